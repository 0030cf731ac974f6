// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/server/front_end_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"

namespace shoji::server {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr size_t kMaxEnclaves = 4;

rpc::Address UnixAddress(const std::string& path) {
  rpc::Address out;
  out.kind = rpc::Address::Kind::kUnix;
  out.path = path;
  return out;
}

}  // namespace

FrontEndTest::FrontEndTest()
    : logger_("server_test", {.level = telemetry::LogLevel::kError, .format = {}}, clock_), enclaves_(kMaxEnclaves) {
  std::string pattern = ::testing::TempDir() + "/shojiXXXXXX";
  folder_ = ::mkdtemp(pattern.data());
  config_.listen.address.host = "127.0.0.1";
}

FrontEndTest::~FrontEndTest() {
  front_end_.reset();
  enclaves_.clear();
  std::filesystem::remove_all(folder_);
}

internal::v1::EnclaveState FrontEndTest::StateOf(size_t enclave, const std::string& model) {
  internal::v1::EnclaveState out;
  out.set_ready(true);
  out.add_key_ids(KeyOf(enclave));
  out.add_models()->set_name(model);
  return out;
}

void FrontEndTest::StartEnclave(size_t i, const std::string& model) {
  const std::string name = "enclave" + std::to_string(i);
  auto enclave = testing::FakeEnclave::Start(name, UnixAddress(File(name + ".sock")), StateOf(i, model));
  ASSERT_TRUE(enclave.ok()) << enclave.status();
  enclaves_[i] = *std::move(enclave);
}

void FrontEndTest::StartFrontEnd(size_t num_enclaves) {
  for (size_t i = 0; i < num_enclaves; ++i) {
    const std::string name = "enclave" + std::to_string(i);
    config_.enclaves.push_back({name, {UnixAddress(File(name + ".sock")), {}}});
  }
  auto front_end = FrontEnd::Start(config_, clock_, logger_);
  ASSERT_TRUE(front_end.ok()) << front_end.status();
  front_end_ = *std::move(front_end);
}

void FrontEndTest::StartReady() {
  StartEnclave(0);
  StartFrontEnd();
  AwaitHealth(HealthCheckResponse::SERVING);
}

void FrontEndTest::AwaitHealth(HealthCheckResponse::ServingStatus wanted) {
  const auto stub = Health::NewStub(Connect());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kLong);
  const auto stream = stub->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  do {
    ASSERT_TRUE(stream->Read(&response)) << "the health stream ended before it said " << wanted;
  } while (response.status() != wanted);
  context.TryCancel();
}

std::shared_ptr<grpc::Channel> FrontEndTest::Connect() const {
  rpc::Endpoint endpoint;
  endpoint.address = front_end_->addresses().front();
  return *rpc::CreateChannel(endpoint, {.max_message_bytes = size_t{64} << 20});
}

void FrontEndTest::WriteTokens(const std::string& text) const {
  std::ofstream(File("tokens.txt")) << text;
  ASSERT_EQ(::chmod(File("tokens.txt").c_str(), 0600), 0);
}

Outcome FrontEndTest::Infer(const InferOptions& options) const {
  const auto stub = v1::InferenceService::NewStub(Connect());
  grpc::ClientContext context;
  if (options.timeout.count() > 0) {
    context.set_deadline(std::chrono::system_clock::now() + options.timeout);
  }
  context.set_wait_for_ready(options.wait_for_connection);
  for (const std::string& value : options.authorization) {
    context.AddMetadata("authorization", value);
  }
  v1::InferRequest request;
  request.set_key_id(options.key_id);
  request.set_ciphertext(options.ciphertext);
  Outcome out;
  out.status = rpc::FromGrpcStatus(stub->Infer(&context, request, &out.response));
  return out;
}

std::future<Outcome> FrontEndTest::InferInBackground(const InferOptions& options) const {
  return std::async(std::launch::async, [this, options] { return Infer(options); });
}

void FrontEndTest::AwaitInFlight(size_t n) const {
  while (front_end_->num_in_flight() != n) {
    std::this_thread::yield();
  }
}

void FrontEndTest::AwaitQueued(size_t n) const {
  while (front_end_->num_queued() != n) {
    std::this_thread::yield();
  }
}

}  // namespace shoji::server
