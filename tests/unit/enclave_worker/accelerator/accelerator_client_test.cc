// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/accelerator_client.h"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <grpcpp/server_context.h>
#include <gtest/gtest.h>

#include "enclave_worker/core/accelerator_group.h"
#include "gpu_worker/accelerator_server.h"
#include "gpu_worker/cpu/cpu_backend.h"
#include "lib/rpc/channel.h"
#include "shoji/internal/v1/accelerator.grpc.pb.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/gpu_worker/fake_backend.h"

namespace shoji::enclave {
namespace {

namespace pb = internal::v1;
using accelerator::testing::FakeBackend;
using std::chrono::milliseconds;
using std::chrono::seconds;

digest::Sha256Digest DigestOf(const std::string& model) { return digest::Sha256(AsBytes(model)); }

class AcceleratorClientTest : public ::testing::Test {
 protected:
  // Keeps gRPC up between tests: its own shutdown after the last object can wait 10 s for its backup poller.
  static void SetUpTestSuite() { grpc_init(); }
  AcceleratorClientTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "shoji-accel-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    endpoint_.address.kind = rpc::Address::Kind::kUnix;
    endpoint_.address.path = folder_ + "/a.sock";
    config_.listen = endpoint_;
    config_.num_workers = 2;
    config_.max_message_bytes = size_t{8} << 20;
    config_.tenants.quotas.message_bytes = config_.max_message_bytes;
  }
  ~AcceleratorClientTest() override { std::filesystem::remove_all(folder_); }

  // The process restarted: models are gone, the socket is the same.
  void StartServer() {
    auto backend = std::make_unique<FakeBackend>();
    backend_ = backend.get();
    auto server = accelerator::AcceleratorServer::Start(config_, std::move(backend), clock_, log_, *exporter_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void KillServer() { server_.reset(); }

  AcceleratorClient::Options ClientOptions() {
    const auto channel = rpc::CreateChannel(endpoint_, {.max_message_bytes = size_t{8} << 20});
    EXPECT_TRUE(channel.ok()) << channel.status();
    AcceleratorClient::Options options;
    options.name = "gpu0";
    options.channel = *channel;
    options.backoff = {.initial = milliseconds(1), .max = milliseconds(20)};
    options.link.upload_retry = milliseconds(20);
    options.link.on_event = [this](AcceleratorEvent event, absl::StatusCode /*code*/) {
      const absl::MutexLock lock(&mu_);
      ++num_events_[event];
    };
    return options;
  }
  std::unique_ptr<AcceleratorClient> MakeClient() {
    auto client = AcceleratorClient::Create(ClientOptions(), readiness_, clock_);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  static void Register(AcceleratorClient& client, const std::string& model) {
    client.Register(DigestOf(model), std::make_shared<const Bytes>(ToBytes(model)), SubModelFormat::kOnnx);
  }
  bool AwaitReady(const AcceleratorClient& client) {
    const SteadyTime give_up = clock_.SteadyNow() + seconds(30);
    while (true) {
      const uint64_t generation = readiness_.generation();
      if (client.ready()) {
        return true;
      }
      if (clock_.SteadyNow() >= give_up) {
        return false;
      }
      readiness_.AwaitChange(generation, absl::Seconds(1));
    }
  }
  void AwaitEvents(AcceleratorEvent event, int count) {
    const absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return num_events_[event] >= count; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30)));
  }
  absl::StatusOr<std::vector<Tensor>> Execute(AcceleratorClient& client, const std::string& model,
                                              std::vector<float> values = {1, 2}, milliseconds timeout = seconds(60)) {
    const Tensor input = Tensor::Of<float>(Shape({static_cast<int64_t>(values.size())}), values);
    const Tensor* inputs[] = {&input};
    return client.Execute(DigestOf(model), inputs, clock_.SteadyNow() + timeout);
  }

  RealClock clock_;
  telemetry::Logger log_{"test", {.level = telemetry::LogLevel::kError}, clock_};
  const std::unique_ptr<metrics::Exporter> exporter_ = *metrics::Exporter::Start({});
  std::string folder_;
  rpc::Endpoint endpoint_;
  accelerator::Config config_;
  FakeBackend* backend_ = nullptr;
  std::unique_ptr<accelerator::AcceleratorServer> server_;
  ReadinessSignal readiness_;
  absl::Mutex mu_;
  std::map<AcceleratorEvent, int> num_events_ ABSL_GUARDED_BY(mu_);
};

TEST_F(AcceleratorClientTest, UploadsAndExecutes) {
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 3");
  ASSERT_TRUE(AwaitReady(*client));
  const auto outputs = Execute(*client, "add 3");
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_THAT((*outputs)[0].values<float>(), ::testing::ElementsAre(4, 5));
}

TEST_F(AcceleratorClientTest, UploadsAndExecutesARealModelOnTheCpuBackend) {
  const auto server =
      accelerator::AcceleratorServer::Start(config_, accelerator::CreateCpuBackend({}), clock_, log_, *exporter_);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto client = MakeClient();
  const std::string onnx =
      ToString(shoji::testing::OnnxBuilder().Input("x", {3}).Node("Relu", {"x"}, {"y"}).Output("y").Build());
  Register(*client, onnx);
  ASSERT_TRUE(AwaitReady(*client));
  const auto outputs = Execute(*client, onnx, {1, -2, 3});
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_THAT((*outputs)[0].values<float>(), ::testing::ElementsAre(1, 0, 3));
}

TEST_F(AcceleratorClientTest, UploadsInManyChunks) {
  StartServer();
  const auto client = MakeClient();
  const std::string large = "add 1 " + std::string(size_t{5} << 20, 'x');
  Register(*client, large);
  ASSERT_TRUE(AwaitReady(*client));
  EXPECT_TRUE(Execute(*client, large).ok());
}

TEST_F(AcceleratorClientTest, ManyExecutionsInFlightFromManyThreads) {
  config_.tenants.quotas.num_executions = 16;
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  std::atomic<int> num_right{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 12; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; ++i) {
          const auto x = static_cast<float>(t * 1000 + i);
          const auto outputs = Execute(*client, "add 1", {x});
          num_right += outputs.ok() && (*outputs)[0].values<float>()[0] == x + 1 ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(num_right, 1200);
  EXPECT_EQ(client->num_in_flight(), 0U);
}

TEST_F(AcceleratorClientTest, TwoEnclavesDoNotSeeEachOthersModels) {
  StartServer();
  const auto one = MakeClient();
  const auto two = MakeClient();
  Register(*one, "add 1");
  Register(*two, "add 2");
  ASSERT_TRUE(AwaitReady(*one) && AwaitReady(*two));
  EXPECT_FALSE(one->Serves(DigestOf("add 2")));
  EXPECT_TRUE(Execute(*one, "add 1").ok());
  EXPECT_TRUE(Execute(*two, "add 2").ok());
  EXPECT_FALSE(Execute(*one, "add 2").ok());
}

TEST_F(AcceleratorClientTest, ConnectsWhenTheAcceleratorStartsLater) {
  const auto client = MakeClient();
  Register(*client, "add 1");
  AwaitEvents(AcceleratorEvent::kLost, 2);
  EXPECT_FALSE(client->ready());
  EXPECT_TRUE(absl::IsUnavailable(Execute(*client, "add 1").status()));
  StartServer();
  ASSERT_TRUE(AwaitReady(*client));
  EXPECT_TRUE(Execute(*client, "add 1").ok());
}

TEST_F(AcceleratorClientTest, WhatIsInFlightFailsWhenTheAcceleratorDiesAndServiceResumesWhenItIsBack) {
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  backend_->run_gate.Close();
  std::jthread caller([&] { EXPECT_TRUE(absl::IsUnavailable(Execute(*client, "add 1").status())); });
  backend_->run_gate.AwaitWaiting(1);
  // The server cannot be destroyed while its run is held back; the stream breaks first.
  std::jthread opener([&] {
    AwaitEvents(AcceleratorEvent::kLost, 1);
    caller.join();
    backend_->run_gate.Open();
  });
  KillServer();
  opener.join();
  StartServer();
  ASSERT_TRUE(AwaitReady(*client));
  EXPECT_TRUE(Execute(*client, "add 1").ok());
}

TEST_F(AcceleratorClientTest, AGroupCarriesARequestOverARestart) {
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  const AcceleratorGroup group({client.get()}, readiness_, clock_, {.patience = seconds(30)});
  const std::vector<partition::CrossingTensor> expected = {
      {.name = "y", .type = DataType::kFloat32, .shape = Shape({1})}};
  const Tensor input = Tensor::Of<float>(Shape({1}), std::vector<float>{1});
  const Tensor* inputs[] = {&input};
  KillServer();
  std::jthread restart([&] {
    AwaitEvents(AcceleratorEvent::kLost, 2);
    StartServer();
  });
  const auto outputs = group.Execute(DigestOf("add 1"), inputs, expected, clock_.SteadyNow() + seconds(60));
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_EQ((*outputs)[0].values<float>()[0], 2);
}

TEST_F(AcceleratorClientTest, ADrainingAcceleratorAnswersWhatItHas) {
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  backend_->run_gate.Close();
  std::jthread caller([&] { EXPECT_TRUE(Execute(*client, "add 1").ok()); });
  backend_->run_gate.AwaitWaiting(1);
  std::jthread drain([&] { EXPECT_TRUE(server_->Drain(seconds(30))); });
  backend_->run_gate.Open();
  drain.join();
  caller.join();
  AwaitEvents(AcceleratorEvent::kLost, 1);
}

TEST_F(AcceleratorClientTest, ReturnsAtTheDeadline) {
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  backend_->run_gate.Close();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Execute(*client, "add 1", {1}, milliseconds(20)).status()));
  backend_->run_gate.Open();
  EXPECT_TRUE(Execute(*client, "add 1").ok());  // the late answer of the first one harms nothing
}

TEST_F(AcceleratorClientTest, AQuotaOfTheAcceleratorIsAnErrorOfThatRequest) {
  config_.tenants.quotas.num_executions = 1;
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  backend_->run_gate.Close();
  std::jthread caller([&] { EXPECT_TRUE(Execute(*client, "add 1").ok()); });
  backend_->run_gate.AwaitWaiting(1);
  EXPECT_TRUE(absl::IsResourceExhausted(Execute(*client, "add 1").status()));
  backend_->run_gate.Open();
}

TEST_F(AcceleratorClientTest, AModelThatDoesNotFitIsRefusedAndTheOthersServe) {
  config_.tenants.quotas.model_bytes = 10;
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  Register(*client, "add 1 but much too large");
  AwaitEvents(AcceleratorEvent::kUploadRefused, 3);
  EXPECT_FALSE(client->ready());
  EXPECT_TRUE(Execute(*client, "add 1").ok());
  client->Unregister(DigestOf("add 1 but much too large"));
  EXPECT_TRUE(AwaitReady(*client));
}

TEST_F(AcceleratorClientTest, AnAcceleratorThatIsFullIsTriedAgainUntilThereIsRoom) {
  config_.tenants.max_tenants = 1;
  StartServer();
  auto one = MakeClient();
  ASSERT_TRUE(AwaitReady(*one));
  const auto two = MakeClient();
  AwaitEvents(AcceleratorEvent::kLost, 2);
  EXPECT_FALSE(two->ready());
  one.reset();
  EXPECT_TRUE(AwaitReady(*two));
}

TEST_F(AcceleratorClientTest, ARequestLargerThanAMessageFailsAndServiceGoesOn) {
  StartServer();
  const auto client = MakeClient();
  Register(*client, "add 1");
  ASSERT_TRUE(AwaitReady(*client));
  EXPECT_FALSE(Execute(*client, "add 1", std::vector<float>(size_t{4} << 20)).ok());
  ASSERT_TRUE(AwaitReady(*client));
  EXPECT_TRUE(Execute(*client, "add 1").ok());
}

TEST_F(AcceleratorClientTest, NeedsAChannel) {
  EXPECT_TRUE(absl::IsInvalidArgument(AcceleratorClient::Create({}, readiness_, clock_).status()));
}

// An accelerator that does what a test tells it to, on every stream anew.
class HostileService final : public pb::AcceleratorService::Service {
 public:
  using Stream = grpc::ServerReaderWriter<pb::AttachResponse, pb::AttachRequest>;
  explicit HostileService(std::function<void(Stream&)> script) : script_(std::move(script)) {}

  grpc::Status Attach(grpc::ServerContext* /*context*/, Stream* stream) override {
    stream->SendInitialMetadata();
    script_(*stream);
    return grpc::Status::OK;
  }

  // Acknowledges uploads and returns the first execution; nullopt when the stream ends.
  static std::optional<pb::AttachRequest> AwaitExecute(Stream& stream) {
    pb::AttachRequest request;
    while (stream.Read(&request)) {
      if (request.has_execute()) {
        return request;
      }
      if (request.has_upload_end()) {
        pb::AttachResponse response;
        response.set_id(request.id());
        response.mutable_upload_reply();
        stream.Write(response);
      }
    }
    return std::nullopt;
  }

 private:
  const std::function<void(Stream&)> script_;
};

class HostileAcceleratorTest : public AcceleratorClientTest {
 protected:
  // The status of an execution on an accelerator that acknowledges the upload and then follows `script`.
  absl::Status ExecuteAgainst(std::function<void(HostileService::Stream&)> script, milliseconds timeout = seconds(60)) {
    HostileService service(std::move(script));
    auto server = rpc::Server::Start({.listeners = {endpoint_}, .max_message_bytes = size_t{100} << 20}, {&service});
    EXPECT_TRUE(server.ok()) << server.status();
    const auto client = MakeClient();
    Register(*client, "model");
    EXPECT_TRUE(AwaitReady(*client));
    return Execute(*client, "model", {1}, timeout).status();
  }
};

TEST_F(HostileAcceleratorTest, AnswersOfGarbageFailTheRequest) {
  EXPECT_TRUE(absl::IsInvalidArgument(ExecuteAgainst([](HostileService::Stream& stream) {
    while (const auto request = HostileService::AwaitExecute(stream)) {
      pb::AttachResponse response;
      response.set_id(request->id());
      response.mutable_execute_reply()->add_outputs()->add_dims(-1);
      stream.Write(response);
    }
  })));
}

TEST_F(HostileAcceleratorTest, AMessageOverTheLimitFailsTheRequest) {
  const absl::Status status = ExecuteAgainst([](HostileService::Stream& stream) {
    if (const auto request = HostileService::AwaitExecute(stream)) {
      pb::AttachResponse response;
      response.set_id(request->id());
      response.mutable_execute_reply()->add_outputs()->mutable_data()->resize(size_t{50} << 20);
      stream.Write(response);
    }
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(HostileAcceleratorTest, AFloodOfUnsolicitedAnswersEndsTheStream) {
  const absl::Status status = ExecuteAgainst([](HostileService::Stream& stream) {
    if (HostileService::AwaitExecute(stream).has_value()) {
      pb::AttachResponse response;
      response.set_id(1'000'000);
      response.mutable_execute_reply();
      while (stream.Write(response)) {
      }
    }
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  AwaitEvents(AcceleratorEvent::kMisbehaved, 1);
}

TEST_F(HostileAcceleratorTest, AStreamThatEndsUnderTheRequestFailsIt) {
  const absl::Status status =
      ExecuteAgainst([](HostileService::Stream& stream) { HostileService::AwaitExecute(stream); });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(HostileAcceleratorTest, SilenceEndsAtTheDeadline) {
  const absl::Status status = ExecuteAgainst(
      [](HostileService::Stream& stream) {
        while (HostileService::AwaitExecute(stream).has_value()) {
        }
      },
      milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST_F(HostileAcceleratorTest, AnAcceleratorThatNeverAdmitsIsGivenUpAndTriedAgain) {
  // Reads nothing and sends no initial metadata until the call is given up.
  class Silent final : public pb::AcceleratorService::Service {
   public:
    grpc::Status Attach(grpc::ServerContext* /*context*/, HostileService::Stream* stream) override {
      pb::AttachRequest request;
      stream->Read(&request);
      return grpc::Status::OK;
    }
  } service;
  const auto server = rpc::Server::Start({.listeners = {endpoint_}}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  AcceleratorClient::Options options = ClientOptions();
  options.connect_timeout = milliseconds(10);
  const auto client = AcceleratorClient::Create(std::move(options), readiness_, clock_);
  ASSERT_TRUE(client.ok());
  AwaitEvents(AcceleratorEvent::kLost, 2);
  EXPECT_FALSE((*client)->ready());
}

}  // namespace
}  // namespace shoji::enclave
