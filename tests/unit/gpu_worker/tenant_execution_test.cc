// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a tenant asks to be run: quotas, timeouts, wrong inputs.
#include "gpu_worker/tenant.h"
#include "tests/unit/gpu_worker/tenant_fixture.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;

using TenantExecutionTest = TenantTest;

TEST_F(TenantExecutionTest, RefusesAnUnknownModel) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Execute(1, "add 1")).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kNotFound);
  ASSERT_TRUE(tenant->Handle(Unload(2, "add 1")).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kNotFound);
}

TEST_F(TenantExecutionTest, RefusesExecutionsOverTheQuotaAtOnce) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 1")).ok());
  ASSERT_TRUE(tenant->Handle(Execute(4, "add 1")).ok());
  ExpectFailure(answers, 4, absl::StatusCode::kResourceExhausted, "quotas.executions");
  backend_.run_gate.Open();
  EXPECT_TRUE(answers.Next().has_execute_reply());
  EXPECT_TRUE(answers.Next().has_execute_reply());
  ASSERT_TRUE(tenant->Handle(Execute(5, "add 1")).ok());
  EXPECT_TRUE(answers.Next().has_execute_reply());
}

TEST_F(TenantExecutionTest, EachRequestOfABatchCountsAsAnExecution) {
  Answers answers;
  const auto tenant = Attach(answers, {.num_executions = 3});
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  const auto batch = [](uint64_t id, uint32_t size) {
    pb::AttachRequest request = Execute(id, "add 1");
    for (uint32_t i = 1; i < size; ++i) {
      *request.mutable_execute()->add_inputs() = request.execute().inputs(0);
    }
    request.mutable_execute()->set_batch(size);
    return request;
  };
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(batch(2, 2)).ok());
  ASSERT_TRUE(tenant->Handle(batch(3, 2)).ok());
  ExpectFailure(answers, 3, absl::StatusCode::kResourceExhausted, "quotas.executions");
  ASSERT_TRUE(tenant->Handle(Execute(4, "add 1")).ok());
  backend_.run_gate.Open();
  EXPECT_TRUE(answers.Next().has_execute_reply());
  EXPECT_TRUE(answers.Next().has_execute_reply());
  ASSERT_TRUE(tenant->Handle(batch(5, 3)).ok());
  EXPECT_EQ(answers.Next().execute_reply().outputs_size(), 3);
  ASSERT_TRUE(tenant->Handle(batch(6, 1000)).ok());
  ExpectFailure(answers, 6, absl::StatusCode::kInvalidArgument, "at most 64");
}

TEST_F(TenantExecutionTest, RefusesExecutionsOverTheBytesQuotaAtOnce) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1", std::vector<float>(2000))).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kResourceExhausted, "quotas.execution_bytes");
}

TEST_F(TenantExecutionTest, AnExecutionWhoseTimeoutPassesInTheQueueDoesNotRun) {
  Answers answers;
  const auto tenant = Attach(answers, {.num_executions = 8});
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 1")).ok());
  backend_.run_gate.AwaitWaiting(2);  // both threads are taken
  ASSERT_TRUE(tenant->Handle(Execute(4, "add 1", {1}, 1000)).ok());
  clock_.Advance(std::chrono::milliseconds(2));
  backend_.run_gate.Open();
  int num_late = 0;
  for (int i = 0; i < 3; ++i) {
    const pb::AttachResponse answer = answers.Next();
    if (answer.id() == 4) {
      EXPECT_EQ(static_cast<absl::StatusCode>(answer.failure().code()), absl::StatusCode::kDeadlineExceeded);
      ++num_late;
    }
  }
  EXPECT_EQ(num_late, 1);
  EXPECT_EQ(backend_.num_runs, 2);
}

TEST_F(TenantExecutionTest, AMalformedTensorFailsThatExecutionOnly) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  pb::AttachRequest request = Execute(2, "add 1");
  request.mutable_execute()->mutable_inputs(0)->set_dims(0, 3);
  ASSERT_TRUE(tenant->Handle(request).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kInvalidArgument);
  request = Execute(3, "add 1");
  request.mutable_execute()->clear_inputs();
  ASSERT_TRUE(tenant->Handle(request).ok());
  ExpectFailure(answers, 3, absl::StatusCode::kInvalidArgument);
  request = Execute(4, "add 1");
  request.mutable_execute()->mutable_inputs(0)->set_dims(0, int64_t{1} << 39);  // a claim alone allocates nothing
  ASSERT_TRUE(tenant->Handle(request).ok());
  ExpectFailure(answers, 4, absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(tenant->Idle());
}

TEST_F(TenantExecutionTest, OutputsLargerThanAMessageAreAFailure) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "big");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(tenant->Handle(Execute(2, "big")).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kResourceExhausted, "max_message");
}

TEST_F(TenantExecutionTest, AFullQueueRefusesAndLeavesNothingBehind) {
  WorkQueue queue({.num_threads = 1, .max_queued = 1});
  const Tenant::Environment environment{.backend = backend_, .queue = queue, .clock = clock_, .log = log_};
  Answers answers;
  const AttachedTenant tenant = Attached(Tenant::Create(1, {.num_executions = 8}, environment, answers));
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  backend_.run_gate.AwaitWaiting(1);
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 1")).ok());
  ASSERT_TRUE(tenant->Handle(Execute(4, "add 1")).ok());
  ExpectFailure(answers, 4, absl::StatusCode::kResourceExhausted, "queue is full");
  Upload(*tenant, 5, "add 2");
  ExpectFailure(answers, 5, absl::StatusCode::kResourceExhausted, "queue is full");
  backend_.run_gate.Open();
  EXPECT_TRUE(answers.Next().has_execute_reply());
  EXPECT_TRUE(answers.Next().has_execute_reply());
  Upload(*tenant, 6, "add 2");
  ExpectUploaded(answers, 6);
}

TEST_F(TenantExecutionTest, ClosingStopsWhatRuns) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  ASSERT_TRUE(tenant->Handle(Execute(3, "add 1")).ok());
  backend_.run_gate.AwaitWaiting(2);
  tenant->Close();
  backend_.run_gate.Open();
  Answers others;
  const auto other = Attach(others);
  backend_.load_gate.Close();  // two loads hold both threads, so that neither is in a run any more
  Upload(*other, 1, "add 1");
  Upload(*other, 2, "add 2");
  backend_.load_gate.AwaitWaiting(2);
  EXPECT_EQ(backend_.num_stopped, 2);
  backend_.load_gate.Open();
}

TEST_F(TenantExecutionTest, AnExecutionWhoseTimeoutPassesWhileItRunsIsStopped) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1", {1}, 1000)).ok());
  backend_.run_gate.AwaitWaiting(1);
  clock_.Advance(std::chrono::milliseconds(2));
  backend_.run_gate.Open();
  ExpectFailure(answers, 2, absl::StatusCode::kDeadlineExceeded, "timeout passed during its execution");
  EXPECT_EQ(backend_.num_stopped, 1);
}

}  // namespace
}  // namespace shoji::accelerator
