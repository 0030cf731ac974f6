// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/tenant.h"

#include <deque>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/tenant_table.h"
#include "lib/rpc/tensor_proto.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/gpu_worker/fake_backend.h"
#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;
using ::testing::HasSubstr;

// Collects answers. Thread-safe.
class Answers final : public AnswerSink {
 public:
  void Send(pb::AttachResponse answer) override {
    const absl::MutexLock lock(&mu_);
    answers_.push_back(std::move(answer));
  }
  pb::AttachResponse Next() {
    const absl::MutexLock lock(&mu_);
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !answers_.empty(); };
    mu_.Await(absl::Condition(&any));
    pb::AttachResponse answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  bool empty() {
    const absl::MutexLock lock(&mu_);
    return answers_.empty();
  }

 private:
  absl::Mutex mu_;
  std::deque<pb::AttachResponse> answers_ ABSL_GUARDED_BY(mu_);
};

// A tenant as a stream holds it: closed when the stream goes, while jobs may still share it.
struct CloseTenant {
  std::shared_ptr<Tenant> shared;
  void operator()(Tenant* tenant) const { tenant->Close(); }
};
using AttachedTenant = std::unique_ptr<Tenant, CloseTenant>;

AttachedTenant Attached(std::shared_ptr<Tenant> tenant) {
  Tenant* raw = tenant.get();
  return {raw, CloseTenant{std::move(tenant)}};
}

class TenantTest : public ::testing::Test {
 protected:
  AttachedTenant Attach(Answers& answers, const TenantQuotas& quotas = SmallQuotas()) {
    return Attached(Tenant::Create(++last_tenant_, quotas, environment_, answers));
  }
  static TenantQuotas SmallQuotas() {
    return {.model_bytes = 100, .num_models = 3, .num_executions = 2, .execution_bytes = 4096, .message_bytes = 4096};
  }

  static pb::AttachRequest Begin(uint64_t id, const std::string& digest, uint64_t size) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_begin()->set_digest(digest);
    request.mutable_upload_begin()->set_size(size);
    return request;
  }
  static pb::AttachRequest Chunk(uint64_t id, const std::string& data) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_chunk()->set_data(data);
    return request;
  }
  static pb::AttachRequest End(uint64_t id) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_end();
    return request;
  }
  static pb::AttachRequest Unload(uint64_t id, const std::string& model) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_unload()->set_digest(DigestOf(model));
    return request;
  }
  static pb::AttachRequest Execute(uint64_t id, const std::string& model, std::vector<float> values = {1, 2},
                                   uint64_t timeout_micros = 0) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_execute()->set_digest(DigestOf(model));
    request.mutable_execute()->set_timeout_micros(timeout_micros);
    const auto size = static_cast<int64_t>(values.size());
    rpc::WriteTensor(Tensor::Of<float>(Shape({size}), values), *request.mutable_execute()->add_inputs());
    return request;
  }
  static std::string DigestOf(const std::string& model) { return ToString(digest::Sha256(AsBytes(model))); }

  // Uploads `model` whole, in two chunks.
  static void Upload(Tenant& tenant, uint64_t id, const std::string& model) {
    EXPECT_TRUE(tenant.Handle(Begin(id, DigestOf(model), model.size())).ok());
    EXPECT_TRUE(tenant.Handle(Chunk(id, model.substr(0, 2))).ok());
    EXPECT_TRUE(tenant.Handle(Chunk(id, model.substr(2))).ok());
    EXPECT_TRUE(tenant.Handle(End(id)).ok());
  }
  static void ExpectUploaded(Answers& answers, uint64_t id) {
    const pb::AttachResponse answer = answers.Next();
    EXPECT_EQ(answer.id(), id);
    EXPECT_TRUE(answer.has_upload_reply()) << answer.DebugString();
  }
  static void ExpectFailure(Answers& answers, uint64_t id, absl::StatusCode code, const std::string& text = "") {
    const pb::AttachResponse answer = answers.Next();
    EXPECT_EQ(answer.id(), id);
    ASSERT_TRUE(answer.has_failure()) << answer.DebugString();
    EXPECT_EQ(static_cast<absl::StatusCode>(answer.failure().code()), code) << answer.failure().message();
    EXPECT_THAT(answer.failure().message(), HasSubstr(text));
  }
  static std::vector<float> Values(const pb::AttachResponse& answer) {
    const absl::StatusOr<Tensor> tensor = rpc::ParseTensor(answer.execute_reply().outputs(0), 1 << 20);
    EXPECT_TRUE(tensor.ok()) << tensor.status();
    return {tensor->values<float>().begin(), tensor->values<float>().end()};
  }

  shoji::testing::FakeClock clock_;
  telemetry::Logger log_{"test", {.level = telemetry::LogLevel::kError}, clock_};
  testing::FakeBackend backend_;
  WorkQueue queue_{{.num_threads = 2, .max_queued = 16}};
  Tenant::Environment environment_{.backend = backend_, .queue = queue_, .clock = clock_, .log = log_};
  TenantId last_tenant_ = 0;
};

TEST_F(TenantTest, UploadsInChunksAndExecutes) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 5");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 5")).ok());
  const pb::AttachResponse answer = answers.Next();
  EXPECT_EQ(answer.id(), 2U);
  EXPECT_THAT(Values(answer), ::testing::ElementsAre(6, 7));
}

TEST_F(TenantTest, RefusesAnUploadOverTheBytesQuotaAtItsBegin) {
  Answers answers;
  const auto tenant = Attach(answers);
  for (const uint64_t size : {uint64_t{101}, uint64_t{1} << 40, UINT64_MAX}) {
    ASSERT_TRUE(tenant->Handle(Begin(size, DigestOf("x"), size)).ok());
    ExpectFailure(answers, size, absl::StatusCode::kResourceExhausted, "quotas.model_bytes");
  }
}

TEST_F(TenantTest, CountsUploadsUnderWayAgainstTheQuotas) {
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

TEST_F(TenantTest, UnloadFreesTheQuota) {
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

TEST_F(TenantTest, RefusesBytesThatDoNotHaveTheDeclaredDigest) {
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

TEST_F(TenantTest, RefusesMoreBytesThanDeclaredAndIgnoresTheRestOfThatUpload) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), 5)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add 12")).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "more bytes");
  ASSERT_TRUE(tenant->Handle(Chunk(1, "more")).ok());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  EXPECT_TRUE(answers.empty());
}

TEST_F(TenantTest, RefusesFewerBytesThanDeclared) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), 5)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add ")).ok());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "fewer bytes");
}

TEST_F(TenantTest, RefusesAnUploadOfNothingAndADigestOfTheWrongLength) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf(""), 0)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "no bytes");
  ASSERT_TRUE(tenant->Handle(Begin(2, "short", 5)).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kInvalidArgument, "32 bytes");
}

TEST_F(TenantTest, RefusesASecondUploadOfTheSameModel) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  Upload(*tenant, 2, "add 1");
  ExpectFailure(answers, 2, absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(answers.empty());
}

TEST_F(TenantTest, AModelThatDoesNotLoadIsAFailureInPrintableTextAndFreesItsQuota) {
  Answers answers;
  const auto tenant = Attach(answers);
  for (uint64_t id = 1; id <= 20; ++id) {
    Upload(*tenant, id, "junk " + std::string(90, ' '));
    ExpectFailure(answers, id, absl::StatusCode::kInvalidArgument, "not a model: line?break ?");
  }
}

TEST_F(TenantTest, ChunksWithoutABeginFailThatMessageOnly) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Chunk(1, "x")).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(tenant->Handle(End(2)).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kFailedPrecondition);
}

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

TEST_F(TenantTest, TooManyRefusedUploadsWithoutAnEndEndTheStream) {
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

TEST_F(TenantTest, OverflowingUploadsWithoutAnEndEndTheStreamToo) {
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

TEST_F(TenantTest, RefusesAnUnknownModel) {
  Answers answers;
  const auto tenant = Attach(answers);
  ASSERT_TRUE(tenant->Handle(Execute(1, "add 1")).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kNotFound);
  ASSERT_TRUE(tenant->Handle(Unload(2, "add 1")).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kNotFound);
}

TEST_F(TenantTest, AModelThatIsStillLoadingNeitherRunsNorUnloads) {
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

TEST_F(TenantTest, RefusesExecutionsOverTheQuotaAtOnce) {
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

TEST_F(TenantTest, EachRequestOfABatchCountsAsAnExecution) {
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

TEST_F(TenantTest, RefusesExecutionsOverTheBytesQuotaAtOnce) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "add 1");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(tenant->Handle(Execute(2, "add 1", std::vector<float>(2000))).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kResourceExhausted, "quotas.execution_bytes");
}

TEST_F(TenantTest, AnExecutionWhoseTimeoutPassesInTheQueueDoesNotRun) {
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

TEST_F(TenantTest, AMalformedTensorFailsThatExecutionOnly) {
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

TEST_F(TenantTest, OutputsLargerThanAMessageAreAFailure) {
  Answers answers;
  const auto tenant = Attach(answers);
  Upload(*tenant, 1, "big");
  ExpectUploaded(answers, 1);
  ASSERT_TRUE(tenant->Handle(Execute(2, "big")).ok());
  ExpectFailure(answers, 2, absl::StatusCode::kResourceExhausted, "max_message");
}

TEST_F(TenantTest, AFullQueueRefusesAndLeavesNothingBehind) {
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

TEST_F(TenantTest, ClosingStopsWhatRuns) {
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

TEST_F(TenantTest, AnExecutionWhoseTimeoutPassesWhileItRunsIsStopped) {
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

TEST_F(TenantTest, AClaimedSizeTakesNoMemoryBeforeItsBytesCome) {
  Answers answers;
  const auto tenant = Attach(answers, {.model_bytes = uint64_t{1} << 62});
  ASSERT_TRUE(tenant->Handle(Begin(1, DigestOf("add 1"), uint64_t{1} << 61)).ok());
  ASSERT_TRUE(tenant->Handle(Chunk(1, "add 1")).ok());
  EXPECT_TRUE(answers.empty());
  ASSERT_TRUE(tenant->Handle(End(1)).ok());
  ExpectFailure(answers, 1, absl::StatusCode::kInvalidArgument, "fewer bytes");
}

TEST_F(TenantTest, RefusesModelsThatTogetherTakeMoreMemoryThanTheQuota) {
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

TEST_F(TenantTest, UploadsAndExecutesALinearLayer) {
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
