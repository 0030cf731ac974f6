// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a tenant uploads: pieces, digests, quotas.
#include "gpu_worker/tenant.h"
#include "tests/unit/gpu_worker/linear_layers.h"
#include "tests/unit/gpu_worker/tenant_fixture.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;

using TenantUploadTest = TenantTest;

TEST_F(TenantUploadTest, UploadsInChunksAndExecutes) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 5");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 5")).ok());
  const pb::AttachResponse answer = answers.Next();
  EXPECT_EQ(answer.id(), 2U);
  EXPECT_THAT(Values(answer), ::testing::ElementsAre(6, 7));
}

TEST_F(TenantUploadTest, RefusesAnUploadOverTheBytesQuotaAtItsBegin) {
  Answers answers;
  const auto tenant = Attach(answers);
  for (const uint64_t size : {uint64_t{101}, uint64_t{1} << 40, UINT64_MAX}) {
    ASSERT_TRUE(tenant->Handle(Begin(size, DigestOf("x"), size)).ok());
    ExpectFailure(answers, size, absl::StatusCode::kResourceExhausted, "quotas.model_bytes");
  }
}

TEST_F(TenantUploadTest, CountsUploadsUnderWayAgainstTheQuotas) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("a"), 60)).ok());
  ASSERT_TRUE(tenant->Handle(Begin(2, DigestOf("b"), 60)).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kResourceExhausted, "60 bytes beside 60");
  ASSERT_TRUE(tenant->Handle(Begin(3, DigestOf("c"), 10)).ok());
  ASSERT_TRUE(tenant->Handle(Begin(4, DigestOf("d"), 10)).ok());
  ASSERT_TRUE(tenant->Handle(Begin(5, DigestOf("e"), 10)).ok());
  ExpectFailure(answers, 5, absl::StatusCode::kResourceExhausted, "quotas.models");
}

TEST_F(TenantUploadTest, UnloadFreesTheQuota) {
  Answers answers;
  const auto tenant = Attach(answers);
  const std::string large = "add 1 " + std::string(80, ' ');
  const std::string other = "add 2 " + std::string(80, ' ');
  Upload(*tenant, 1, large);
  ExpectUploaded(answers, 1);
  Upload(*tenant, 2, other);
  ExpectFailure(answers, 2, absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(tenant->Handle(Unload(3, large)).ok());
  EXPECT_TRUE(answers.Next().has_unload_reply());
  EXPECT_EQ(backend_.num_models, 0);
  Upload(*tenant, 4, other);
  ExpectUploaded(answers, 4);
}

// An upload, a slow execution and an unload, again and again, would otherwise hold far more than the quotas.
TEST_F(TenantUploadTest, AnUnloadedModelCountsUntilItsLastExecutionHasEnded) {
  Answers answers;
  const auto tenant = Attach(answers, {.model_bytes = 8, .memory = 15});
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  backend_.run_gate.AwaitWaiting(1);
  ASSERT_TRUE(tenant->Handle(Unload(3, "add 1")).ok());
  EXPECT_TRUE(answers.Next().has_unload_reply());
  Upload(*tenant, 4, "add 2");
  ExpectFailure(answers, 4, absl::StatusCode::kResourceExhausted, "5 bytes beside 5");
  tenant->SetQuotas({.memory = 15});
  Upload(*tenant, 5, "add 2");
  ExpectFailure(answers, 5, absl::StatusCode::kResourceExhausted, "10 bytes of memory beside 10");
  backend_.run_gate.Open();
  EXPECT_TRUE(answers.Next().has_execute_reply());
  EXPECT_EQ(backend_.num_models, 0);
  tenant->SetQuotas({.model_bytes = 8, .memory = 15});
  Upload(*tenant, 6, "add 2");
  ExpectUploaded(answers, 6);
}

TEST_F(TenantUploadTest, AModelThatStillRunsCountsAfterTheStreamHasEnded) {
  Answers answers;
  auto tenant = Tenant::Create(++last_tenant_, SmallQuotas(), environment_, answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  backend_.run_gate.Close();
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  backend_.run_gate.AwaitWaiting(1);
  tenant->Close();
  AcceleratorState state;
  tenant->AddTo(state);
  EXPECT_EQ(state.models, 0U);
  EXPECT_EQ(state.memory_bytes, 10U);
  tenant.reset();  // the run gives up the last reference to both
  backend_.run_gate.Open();
}

TEST_F(TenantUploadTest, RefusesBytesThatDoNotHaveTheDeclaredDigest) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), 5)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add 2")).ok());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "digest");
  EXPECT_EQ(backend_.num_models, 0);
  Upload(*tenant, 2, "add 1");
  ExpectUploaded(answers, 2);
}

TEST_F(TenantUploadTest, RefusesMoreBytesThanDeclaredAndIgnoresTheRestOfThatUpload) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), 5)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add 12")).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "more bytes");
  ASSERT_TRUE(tenant->Handle(Chunk(1, "more")).ok());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  EXPECT_TRUE(answers.empty());
}

TEST_F(TenantUploadTest, RefusesFewerBytesThanDeclared) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), 5)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add ")).ok());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "fewer bytes");
}

TEST_F(TenantUploadTest, RefusesAnUploadOfNothingAndADigestOfTheWrongLength) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf(""), 0)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "no bytes");
  ASSERT_TRUE(tenant->Handle(Begin(2, "short", 5)).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kInvalidArgument, "32 bytes");
}

TEST_F(TenantUploadTest, RefusesASecondUploadOfTheSameModel) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  Upload(*tenant, 2, "add 1");
  ExpectFailure(answers, 2, absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(answers.empty());
}

TEST_F(TenantUploadTest, AModelThatDoesNotLoadIsAFailureInPrintableTextAndFreesItsQuota) {
  Answers answers;
  const auto tenant = Attach(answers);
  for (uint64_t id = 1; id <= 20; ++id) {
    Upload(*tenant, id, "junk " + std::string(90, ' '));
    ExpectFailure(answers, id, absl::StatusCode::kInvalidArgument, "not a model: line?break ?");
  }
}

TEST_F(TenantUploadTest, ChunksWithoutABeginFailThatMessageOnly) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Chunk(1, "x")).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(tenant->Handle(End(2)).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kFailedPrecondition);
}

TEST_F(TenantUploadTest, TooManyRefusedUploadsWithoutAnEndEndTheStream) {
  Answers answers;
  const auto tenant = Attach(answers);
  absl::Status status;
  uint64_t id = 0;
  while (status.ok() && id < 1000) {
    status = tenant->Handle(Begin(++id, DigestOf("x"), 1000));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_LT(id, 100U);
}

TEST_F(TenantUploadTest, OverflowingUploadsWithoutAnEndEndTheStreamToo) {
  Answers answers;
  const auto tenant = Attach(answers);
  absl::Status status;
  uint64_t id = 0;
  while (status.ok() && id < 1000) {
    ASSERT_TRUE(tenant->Handle(Begin(++id, DigestOf("x"), 1)).ok());
    status = tenant->Handle(Chunk(id, "xx"));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status));
}

TEST_F(TenantUploadTest, AModelThatIsStillLoadingNeitherRunsNorUnloads) {
  Answers answers;
  const auto tenant = Attach(answers);
  backend_.load_gate.Close();
  Upload(*tenant, 1, "add 1");
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1")).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kNotFound);
  ASSERT_TRUE(tenant->Handle(Unload(3, "add 1")).ok());
  ExpectFailure(answers, 3, absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(tenant->Idle());
  backend_.load_gate.Open();
  ExpectUploaded(answers, 1);
  EXPECT_TRUE(tenant->Idle());
}

TEST_F(TenantUploadTest, AClaimedSizeTakesNoMemoryBeforeItsBytesCome) {
  Answers answers;
  const auto tenant = Attach(answers, {.model_bytes = uint64_t{1} << 62});
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), uint64_t{1} << 61)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add 1")).ok());
  EXPECT_TRUE(answers.empty());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "fewer bytes");
}

TEST_F(TenantUploadTest, RefusesModelsThatTogetherTakeMoreMemoryThanTheQuota) {
  Answers answers;
  const auto tenant = Attach(answers, {.memory = 25});
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  Upload(*tenant, 2, "add 2");
  ExpectUploaded(answers, 2);
  Upload(*tenant, 3, "add 3");
  ExpectFailure(answers, 3, absl::StatusCode::kResourceExhausted, "quotas.memory");
  ASSERT_TRUE(tenant->Handle(Unload(4, "add 1")).ok());
  EXPECT_TRUE(answers.Next().has_unload_reply());
  Upload(*tenant, 5, "add 3");  // the refused one left nothing behind
  ExpectUploaded(answers, 5);
}

TEST_F(TenantUploadTest, UploadsAndExecutesALinearLayer) {
  Answers answers;
  TenantQuotas quotas;
  const AttachedTenant tenant = Attach(answers, quotas);
  const std::string layer = testing::SmallLayer().SerializeAsString();
  pb::AttachRequest begin = Begin(1, DigestOf(layer), layer.size());
  begin.mutable_upload_begin()->set_format(pb::LINEAR_LAYER);
  ASSERT_TRUE(tenant->Handle(begin).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, layer)).ok());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  ExpectUploaded(answers, 1);
  pb::AttachRequest execute = Execute(2, layer);
  execute.mutable_execute()->clear_inputs();
  rpc::WriteTensor(Tensor(DataType::kUint8, Shape({6, 4, 64})), *execute.mutable_execute()->add_inputs());
  ASSERT_TRUE(tenant->Handle(execute).ok());
  const pb::AttachResponse answer = answers.Next();
  ASSERT_TRUE(answer.has_execute_reply()) << answer.DebugString();
  EXPECT_EQ(answer.execute_reply().outputs(0).data(), std::string(3 * 128, '\1'));
  ASSERT_TRUE(tenant->Handle(Execute(3, layer)).ok());
  ExpectFailure(answers, 3, absl::StatusCode::kInvalidArgument, "uint8[6,4,64]");
}

}  // namespace
}  // namespace shoji::accelerator
