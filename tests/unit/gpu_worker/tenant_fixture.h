// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A tenant without a stream: its messages are handed to it one by one, its answers collected.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/tenant.h"
#include "lib/rpc/tensor_proto.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/gpu_worker/fake_backend.h"

namespace shoji::accelerator {

// Collects answers. Thread-safe.
class Answers final : public AnswerSink {
 public:
  void Send(internal::v1::AttachResponse answer) override {
    const absl::MutexLock lock(&mu_);
    answers_.push_back(std::move(answer));
  }
  internal::v1::AttachResponse Next() {
    const absl::MutexLock lock(&mu_);
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !answers_.empty(); };
    mu_.Await(absl::Condition(&any));
    internal::v1::AttachResponse answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  bool empty() {
    const absl::MutexLock lock(&mu_);
    return answers_.empty();
  }

 private:
  absl::Mutex mu_;
  std::deque<internal::v1::AttachResponse> answers_ ABSL_GUARDED_BY(mu_);
};

// A tenant as a stream holds it: closed when the stream goes, while jobs may still share it.
struct CloseTenant {
  std::shared_ptr<Tenant> shared;
  void operator()(Tenant* tenant) const { tenant->Close(); }
};
using AttachedTenant = std::unique_ptr<Tenant, CloseTenant>;

inline AttachedTenant Attached(std::shared_ptr<Tenant> tenant) {
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

  static internal::v1::AttachRequest Begin(uint64_t id, const std::string& digest, uint64_t size) {
    internal::v1::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_begin()->set_digest(digest);
    request.mutable_upload_begin()->set_size(size);
    return request;
  }
  static internal::v1::AttachRequest Chunk(uint64_t id, const std::string& data) {
    internal::v1::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_chunk()->set_data(data);
    return request;
  }
  static internal::v1::AttachRequest End(uint64_t id) {
    internal::v1::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_end();
    return request;
  }
  static internal::v1::AttachRequest Unload(uint64_t id, const std::string& model) {
    internal::v1::AttachRequest request;
    request.set_id(id);
    request.mutable_unload()->set_digest(DigestOf(model));
    return request;
  }
  static internal::v1::AttachRequest Execute(uint64_t id, const std::string& model, std::vector<float> values = {1, 2},
                                             uint64_t timeout_micros = 0) {
    internal::v1::AttachRequest request;
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
    const internal::v1::AttachResponse answer = answers.Next();
    EXPECT_EQ(answer.id(), id);
    EXPECT_TRUE(answer.has_upload_reply()) << answer.DebugString();
  }
  static void ExpectFailure(Answers& answers, uint64_t id, absl::StatusCode code, const std::string& text = "") {
    const internal::v1::AttachResponse answer = answers.Next();
    EXPECT_EQ(answer.id(), id);
    ASSERT_TRUE(answer.has_failure()) << answer.DebugString();
    EXPECT_EQ(static_cast<absl::StatusCode>(answer.failure().code()), code) << answer.failure().message();
    EXPECT_THAT(answer.failure().message(), ::testing::HasSubstr(text));
  }
  static std::vector<float> Values(const internal::v1::AttachResponse& answer) {
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

}  // namespace shoji::accelerator
