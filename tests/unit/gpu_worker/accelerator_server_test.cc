// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The whole accelerator behind a real socket, and clients that behave as ours never would.
#include "gpu_worker/accelerator_server.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/digest/sha2.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/tensor_proto.h"
#include "shoji/internal/v1/accelerator.grpc.pb.h"
#include "tests/unit/gpu_worker/fake_backend.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;
using std::chrono::seconds;

// One Attach stream, used synchronously.
class RawTenant {
 public:
  explicit RawTenant(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(pb::AcceleratorService::NewStub(channel)), stream_(stub_->Attach(&context_)) {}
  ~RawTenant() {
    context_.TryCancel();
    if (!finished_) {
      stream_->Finish();
    }
  }

  bool Send(const pb::AttachRequest& request) { return stream_->Write(request); }
  bool SendBegin(uint64_t id, const std::string& model, uint64_t size) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_begin()->set_digest(DigestOf(model));
    request.mutable_upload_begin()->set_size(size);
    return Send(request);
  }
  // Uploads and returns the answer.
  pb::AttachResponse Upload(uint64_t id, const std::string& model) {
    SendBegin(id, model, model.size());
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_upload_chunk()->set_data(model);
    Send(request);
    request.mutable_upload_end();
    Send(request);
    return Receive();
  }
  bool SendExecute(uint64_t id, const std::string& model, int64_t num_values = 1) {
    pb::AttachRequest request;
    request.set_id(id);
    request.mutable_execute()->set_digest(DigestOf(model));
    rpc::WriteTensor(Tensor(DataType::kFloat32, Shape({num_values})), *request.mutable_execute()->add_inputs());
    return Send(request);
  }
  pb::AttachResponse Receive() {
    pb::AttachResponse response;
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }
  void HalfClose() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  // The status that the stream ends with, after what is left to read.
  grpc::Status Finish() {
    pb::AttachResponse response;
    while (stream_->Read(&response)) {
    }
    finished_ = true;
    return stream_->Finish();
  }

 private:
  static std::string DigestOf(const std::string& model) { return ToString(digest::Sha256(AsBytes(model))); }

  const std::unique_ptr<pb::AcceleratorService::Stub> stub_;
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReaderWriter<pb::AttachRequest, pb::AttachResponse>> stream_;
  bool finished_ = false;
};

class AcceleratorServerTest : public ::testing::Test {
 protected:
  AcceleratorServerTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "shoji-accel-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    config_.listen.address.kind = rpc::Address::Kind::kUnix;
    config_.listen.address.path = folder_ + "/a.sock";
    config_.num_workers = 1;
    config_.max_message_bytes = size_t{4} << 20;
    config_.tenants.quotas.message_bytes = config_.max_message_bytes;
  }
  ~AcceleratorServerTest() override { std::filesystem::remove_all(folder_); }

  void Start() {
    auto backend = std::make_unique<testing::FakeBackend>();
    backend_ = backend.get();
    auto server = AcceleratorServer::Start(config_, std::move(backend), clock_, log_, *exporter_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::shared_ptr<grpc::Channel> Connect() {
    const auto channel = rpc::CreateChannel(config_.listen, {.max_message_bytes = size_t{64} << 20});
    EXPECT_TRUE(channel.ok()) << channel.status();
    return *channel;
  }
  pb::DescribeResponse Describe() {
    grpc::ClientContext context;
    pb::DescribeResponse response;
    EXPECT_TRUE(pb::AcceleratorService::NewStub(Connect())->Describe(&context, {}, &response).ok());
    return response;
  }
  // A tenant that works, to show that another's misdeeds do not matter.
  void ExpectServes() {
    RawTenant tenant(Connect());
    EXPECT_TRUE(tenant.Upload(1, "add 1").has_upload_reply());
    EXPECT_TRUE(tenant.SendExecute(2, "add 1"));
    EXPECT_TRUE(tenant.Receive().has_execute_reply());
  }

  RealClock clock_;
  telemetry::Logger log_{"test", {.level = telemetry::LogLevel::kError}, clock_};
  const std::unique_ptr<metrics::Exporter> exporter_ = *metrics::Exporter::Start({});
  std::string folder_;
  Config config_;
  testing::FakeBackend* backend_ = nullptr;
  std::unique_ptr<AcceleratorServer> server_;
};

TEST_F(AcceleratorServerTest, DescribesItself) {
  Start();
  RawTenant tenant(Connect());
  EXPECT_TRUE(tenant.Upload(1, "add 1").has_upload_reply());
  const pb::DescribeResponse response = Describe();
  EXPECT_EQ(response.backend(), "fake");
  EXPECT_FALSE(response.software_version().empty());
  EXPECT_EQ(response.num_tenants(), 1U);
}

TEST_F(AcceleratorServerTest, ReportsItsHealth) {
  Start();
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("shoji.internal.v1.AcceleratorService");
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(grpc::health::v1::Health::NewStub(Connect())->Check(&context, request, &response).ok());
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_F(AcceleratorServerTest, AStreamCutInTheMiddleOfAnUploadFreesItsPlace) {
  config_.tenants.max_tenants = 1;
  Start();
  {
    RawTenant tenant(Connect());
    EXPECT_TRUE(tenant.SendBegin(1, "add 1", 1000));
    EXPECT_EQ(tenant.Upload(2, "junk").failure().code(), 3U);  // the begin before it has arrived
    tenant.Cancel();
    tenant.Finish();
  }
  server_->AwaitTenants(0);
  ExpectServes();
}

TEST_F(AcceleratorServerTest, AStreamCutInTheMiddleOfAnExecutionIsCleanedUp) {
  Start();
  {
    RawTenant tenant(Connect());
    EXPECT_TRUE(tenant.Upload(1, "add 1").has_upload_reply());
    backend_->run_gate.Close();
    EXPECT_TRUE(tenant.SendExecute(2, "add 1"));
    EXPECT_TRUE(tenant.SendExecute(3, "add 1"));
    backend_->run_gate.AwaitWaiting(1);
  }
  server_->AwaitTenants(0);
  backend_->run_gate.Open();
  ExpectServes();
  EXPECT_EQ(backend_->num_runs, 2);  // the queued one was dropped
}

TEST_F(AcceleratorServerTest, HalfClosingEndsTheTenant) {
  Start();
  RawTenant tenant(Connect());
  EXPECT_TRUE(tenant.Upload(1, "add 1").has_upload_reply());
  tenant.HalfClose();
  EXPECT_TRUE(tenant.Finish().ok());
  server_->AwaitTenants(0);
  EXPECT_EQ(backend_->num_models, 0);
}

TEST_F(AcceleratorServerTest, AMessageThatCannotBeAttributedEndsThatStreamOnly) {
  Start();
  RawTenant good(Connect());
  EXPECT_TRUE(good.Upload(1, "add 1").has_upload_reply());
  RawTenant bad(Connect());
  EXPECT_TRUE(bad.SendExecute(0, "add 1"));
  EXPECT_EQ(bad.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(good.SendExecute(2, "add 1"));
  EXPECT_TRUE(good.Receive().has_execute_reply());
}

TEST_F(AcceleratorServerTest, AMessageOverTheLimitEndsThatStreamOnly) {
  Start();
  RawTenant good(Connect());
  EXPECT_TRUE(good.Upload(1, "add 1").has_upload_reply());
  RawTenant bad(Connect());
  bad.SendExecute(1, "add 1", int64_t{4} << 20);
  EXPECT_FALSE(bad.Finish().ok());
  EXPECT_TRUE(good.SendExecute(2, "add 1"));
  EXPECT_TRUE(good.Receive().has_execute_reply());
}

TEST_F(AcceleratorServerTest, ATenantTooManyIsToldSo) {
  config_.tenants.max_tenants = 1;
  Start();
  RawTenant first(Connect());
  EXPECT_TRUE(first.Upload(1, "add 1").has_upload_reply());
  RawTenant second(Connect());
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("quotas.tenants"));
}

TEST_F(AcceleratorServerTest, ATenantThatNeverReadsIsStoppedAndHarmsNoOther) {
  config_.tenants.quotas.execution_bytes = uint64_t{1} << 20;
  Start();
  RawTenant bad(Connect());
  EXPECT_TRUE(bad.Upload(1, "echo").has_failure());
  EXPECT_TRUE(bad.Upload(2, "add 1").has_upload_reply());
  // Each refusal is an answer that nobody reads: sooner or later the server stops reading, and this would block.
  std::jthread flood([&] {
    for (uint64_t id = 3; id < 1'000'000 && bad.SendExecute(id, "unknown", 1000); ++id) {
    }
  });
  for (int i = 0; i < 20; ++i) {
    ExpectServes();
  }
  bad.Cancel();
}

TEST_F(AcceleratorServerTest, DrainingAnswersWhatIsUnderWayRefusesTheRestAndEndsTheStreams) {
  Start();
  RawTenant busy(Connect());
  EXPECT_TRUE(busy.Upload(1, "add 1").has_upload_reply());
  RawTenant idle(Connect());
  EXPECT_TRUE(idle.Upload(1, "add 1").has_upload_reply());
  backend_->run_gate.Close();
  EXPECT_TRUE(busy.SendExecute(2, "add 1"));
  backend_->run_gate.AwaitWaiting(1);
  std::jthread drain([&] { EXPECT_TRUE(server_->Drain(seconds(30))); });
  EXPECT_EQ(idle.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(busy.SendExecute(3, "add 1"));
  EXPECT_EQ(busy.Receive().failure().code(), 14U);
  backend_->run_gate.Open();
  EXPECT_TRUE(busy.Receive().has_execute_reply());
  EXPECT_EQ(busy.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(AcceleratorServerTest, DrainingGivesUpAfterItsGrace) {
  Start();
  RawTenant tenant(Connect());
  EXPECT_TRUE(tenant.Upload(1, "add 1").has_upload_reply());
  backend_->run_gate.Close();
  EXPECT_TRUE(tenant.SendExecute(2, "add 1"));
  backend_->run_gate.AwaitWaiting(1);
  EXPECT_FALSE(server_->Drain(std::chrono::milliseconds(10)));
  EXPECT_FALSE(tenant.Finish().ok());
  backend_->run_gate.Open();
}

TEST_F(AcceleratorServerTest, TwoServersOnOneAddressAreAClearError) {
  Start();
  const auto second =
      AcceleratorServer::Start(config_, std::make_unique<testing::FakeBackend>(), clock_, log_, *exporter_);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  ExpectServes();
}

}  // namespace
}  // namespace shoji::accelerator
