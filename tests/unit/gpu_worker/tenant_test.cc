// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A tenant's life: its messages' ids, its end, and the others beside it.
#include "gpu_worker/tenant.h"

#include "gpu_worker/tenant_table.h"
#include "tests/unit/gpu_worker/tenant_fixture.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;

TEST_F(TenantTest, AMessageOfNoKindFailsThatMessageOnly) {
  Answers answers;
  const auto tenant = Attach(answers);
  pb::AttachRequest empty;
  empty.set_id(7);
  ASSERT_TRUE(tenant->Handle(empty).ok());
  ExpectFailure(answers, 7, absl::StatusCode::kInvalidArgument);
}

TEST_F(TenantTest, AMessageWithoutAnIdEndsTheStream) {
  Answers answers;
  const auto tenant = Attach(answers);
  EXPECT_TRUE(absl::IsInvalidArgument(tenant->Handle(Execute(0, "add 1"))));
}

TEST_F(TenantTest, AnIdThatIsInUseEndsTheStream) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), 5)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(tenant->Handle(Begin(1, DigestOf("add 2"), 5))));
  EXPECT_TRUE(absl::IsInvalidArgument(tenant->Handle(Execute(1, "add 1"))));
  Upload(*tenant, 2, "add 3");
  backend_.run_gate.Close();
  ExpectUploaded(answers, 2);
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 3")).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(tenant->Handle(Execute(3, "add 3"))));
  EXPECT_TRUE(absl::IsInvalidArgument(tenant->Handle(Chunk(3, "x"))));
  backend_.run_gate.Open();
}

TEST_F(TenantTest, OneTenantDoesNotSeeWhatAnotherUploaded) {
  Answers answers;
  Answers other_answers;
  const auto tenant = Attach(answers);
  const auto other = Attach(other_answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(other->Handle(Execute(1, "add 1")).ok());
  ExpectFailure(other_answers, 1, absl::StatusCode::kNotFound);
  Upload(*other, 2, "add 1");  // its own copy
  ExpectUploaded(other_answers, 2);
  EXPECT_EQ(backend_.num_models, 2);
  tenant->Close();
  ASSERT_TRUE(other->Handle(Execute(3, "add 1")).ok());
  EXPECT_TRUE(other_answers.Next().has_execute_reply());
}

TEST_F(TenantTest, ClosingFreesEverythingWhileExecutionsRun) {
  Answers answers;
  auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  backend_.run_gate.AwaitWaiting(1);
  ASSERT_TRUE(tenant->Handle(Begin(3, DigestOf("add 2"), 50)).ok());
  tenant->Close();
  EXPECT_TRUE(absl::IsCancelled(tenant->Handle(Execute(4, "add 1"))));
  tenant = nullptr;  // and its part of the ownership with it
  tenant.get_deleter().shared.reset();
  EXPECT_EQ(backend_.num_models, 1);  // kept by the execution that runs
  backend_.run_gate.Open();
  Answers others;
  const auto other = Attach(others);  // the thread is free again, and the first tenant's model with it
  Upload(*other, 1, "nothing");
  ExpectUploaded(others, 1);
  EXPECT_TRUE(answers.empty());
}

TEST_F(TenantTest, ADrainingTenantFinishesWhatRunsAndRefusesNewWork) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  tenant->Drain();
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 1")).ok());
  ExpectFailure(answers, 3, absl::StatusCode::kUnavailable, "shutting down");
  Upload(*tenant, 4, "add 2");
  ExpectFailure(answers, 4, absl::StatusCode::kUnavailable, "shutting down");
  EXPECT_FALSE(tenant->Idle());
  backend_.run_gate.Open();
  EXPECT_TRUE(answers.Next().has_execute_reply());
  EXPECT_TRUE(tenant->Idle());
}

TEST_F(TenantTest, TheTableAdmitsNoMoreTenantsThanItsLimit) {
  TenantTable table({.max_tenants = 2, .quotas = {}}, environment_);
  Answers answers;
  const auto first = table.Admit(answers);
  const auto second = table.Admit(answers);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE((*first)->id(), (*second)->id());
  EXPECT_TRUE(absl::IsResourceExhausted(table.Admit(answers).status()));
  table.Release(**first);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_TRUE(table.Admit(answers).ok());
  table.Drain();
  table.Release(**second);
  EXPECT_TRUE(absl::IsUnavailable(table.Admit(answers).status()));
}

TEST_F(TenantTest, AQuotaThatIsRaisedHoldsForWhoIsAttached) {
  TenantTable table({.max_tenants = 1, .quotas = SmallQuotas()}, environment_);
  Answers answers;
  const auto tenant = table.Admit(answers);
  ASSERT_TRUE(tenant.ok()) << tenant.status();
  const std::string large = "add 1 " + std::string(120, ' ');
  Upload(**tenant, 1, large);
  ExpectFailure(answers, 1, absl::StatusCode::kResourceExhausted, "quotas.model_bytes");
  TenantQuotas quotas = SmallQuotas();
  quotas.model_bytes = 200;
  table.Configure({.max_tenants = 2, .quotas = quotas});
  Upload(**tenant, 2, large);
  ExpectUploaded(answers, 2);
  Answers others;
  EXPECT_TRUE(table.Admit(others).ok()) << "the second place is there";
  EXPECT_EQ(table.quotas().model_bytes, 200U);
}

// Both threads of the queue are busy: the third waits for its turn.
TEST_F(TenantTest, WhatWasTakenIsRunUnderTheQuotasOfThen) {
  TenantQuotas quotas = SmallQuotas();
  quotas.num_executions = 3;
  Answers answers;
  const auto tenant = Attach(answers, quotas);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  for (uint64_t id = 2; id <= 4; ++id) {
    ASSERT_TRUE(tenant->Handle(Execute(id, "add 1")).ok());
  }
  tenant->SetQuotas({.num_executions = 1, .execution_bytes = 1, .message_bytes = 1});
  backend_.run_gate.Open();
  for (int i = 0; i < 3; ++i) {
    const internal::v1::AttachResponse answer = answers.Next();
    EXPECT_TRUE(answer.has_execute_reply()) << answer.DebugString();
  }
}

// Below what is used, the rest of a quota is nothing; as a difference it would be nearly 2^64.
TEST_F(TenantTest, AQuotaLoweredBelowWhatIsUsedTakesNothingAwayAndGivesNoMore) {
  Answers answers;
  const auto tenant = Attach(answers, {});
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  tenant->SetQuotas({.model_bytes = 1, .memory = 1, .num_models = 9, .num_executions = 9, .execution_bytes = 1});
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 1", {1})).ok());
  if (answers.empty()) {
    backend_.run_gate.Open();
    FAIL() << "it was taken, and waits for its turn";
  }
  ExpectFailure(answers, 3, absl::StatusCode::kResourceExhausted, "quotas.execution_bytes");
  ASSERT_TRUE(tenant->Handle(Begin(4, DigestOf("add 2"), 5)).ok());
  if (answers.empty()) {
    backend_.run_gate.Open();
    FAIL() << "it was begun";
  }
  ExpectFailure(answers, 4, absl::StatusCode::kResourceExhausted, "quotas.model_bytes");
  tenant->SetQuotas({.memory = 1});
  Upload(*tenant, 5, "add 2");
  ExpectFailure(answers, 5, absl::StatusCode::kResourceExhausted, "quotas.memory");
  backend_.run_gate.Open();
  EXPECT_TRUE(answers.Next().has_execute_reply());
  ASSERT_TRUE(tenant->Handle(Execute(6, "add 1")).ok());
  EXPECT_TRUE(answers.Next().has_execute_reply()) << "what was loaded stays";
}

}  // namespace
}  // namespace shoji::accelerator
