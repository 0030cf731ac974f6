// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Several hostile connections that fill calls with bodies they never end: the front end's memory stays bounded, and
// others are served.
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/support/http2_flood.h"

namespace shoji {
namespace {

using testing::Http2Flood;
using testing::Process;

constexpr int kConnections = 6;
constexpr int kCalls = 32;  // a connection
constexpr size_t kMessage = size_t{4} << 20;
constexpr long kMaxBufferedKib = 32 * 1024;
constexpr std::chrono::milliseconds kQuiet(300);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasuresMemory = false;  // freed memory is kept for a while
#else
constexpr bool kMeasuresMemory = true;
#endif

class FloodTest : public ::testing::Test {
 protected:
  // A front end alone: no call gets as far as an enclave.
  void StartServer(const std::string& more_yaml) {
    std::ofstream(dir_.File("server.yaml")) << "listen: {address: \"127.0.0.1:0\"}\n"
                                            << "enclaves: [{name: enclave0, address: \"unix:none.sock\"}]\n"
                                            << "limits: {max_message: 4MiB, max_buffered: 32MiB}\n"
                                            << more_yaml;
    auto server = Process::Start({{testing::BinDir() + "/shoji-server", "--config", dir_.File("server.yaml"),
                                   "--address-file", dir_.File("address")},
                                  dir_.File("server.log"),
                                  {},
                                  {}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    ASSERT_TRUE(testing::WaitFor([this] { return static_cast<bool>(std::ifstream(dir_.File("address")) >> address_); }))
        << server_->Log();
    stub_ = v1::InferenceService::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
    // One call, so that what is set up only once is there.
    ASSERT_TRUE(testing::WaitFor([this] { return Call(); }));
    peak_kib_ = testing::PeakKib(server_->pid());
  }

  // Whether a call of an honest client is answered.
  bool Call() const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    if (!token_.empty()) {
      context.AddMetadata("authorization", "Bearer " + token_);
    }
    v1::GetVersionResponse version;
    return stub_->GetVersion(&context, v1::GetVersionRequest(), &version).ok();
  }

  void Flood(const std::string& path, const std::string& authorization) {
    for (int i = 0; i < kConnections; ++i) {
      auto flood = Http2Flood::Connect(address_);
      ASSERT_TRUE(flood.ok()) << flood.status();
      floods_.push_back(*std::move(flood));
      floods_.back()->Open(kCalls, path, authorization, kMessage);
      floods_.back()->Fill(kQuiet);
    }
    for (const auto& flood : floods_) {
      flood->Fill(kQuiet);
      num_sent_bytes_ += flood->num_sent_bytes();
      num_ended_ += flood->num_ended();
    }
    RecordProperty("sent KiB", static_cast<int>(num_sent_bytes_ / 1024));
    RecordProperty("ended calls", static_cast<int>(num_ended_));
    RecordProperty("growth KiB", static_cast<int>(GrowthKib()));
  }

  // How much more than before the flood, at the worst moment.
  long GrowthKib() const { return testing::PeakKib(server_->pid()) - peak_kib_; }

  const testing::TempDir dir_;
  std::string token_;
  std::unique_ptr<Process> server_;
  std::string address_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
  long peak_kib_ = 0;
  std::vector<std::unique_ptr<Http2Flood>> floods_;
  size_t num_sent_bytes_ = 0;
  size_t num_ended_ = 0;
};

TEST_F(FloodTest, WithoutATokenNoBodyIsTakenIn) {
  token_ = "0123456789abcdef0123456789abcdef";
  std::ofstream(dir_.File("tokens.txt")) << token_ << "\n";
  ASSERT_EQ(testing::RunCommand({"/bin/chmod", "600", dir_.File("tokens.txt")}).exit_code, 0);
  StartServer("auth: {tokens_file: tokens.txt}\n");
  Flood("/shoji.v1.InferenceService/Infer", "Bearer 0123456789abcdef-wrong-wrong");
  EXPECT_EQ(num_ended_, static_cast<size_t>(kConnections) * kCalls);  // all refused
  if (kMeasuresMemory) {
    EXPECT_LT(GrowthKib(), kMaxBufferedKib / 2);
  }
  EXPECT_TRUE(Call());
}

TEST_F(FloodTest, BodiesOfAllConnectionsTogetherStayWithinTheBound) {
  StartServer("");
  Flood("/shoji.v1.InferenceService/Infer", "");
  EXPECT_GT(num_sent_bytes_, kMessage);  // it can: some bodies were taken in
  EXPECT_LT(num_ended_, static_cast<size_t>(kConnections) * kCalls);
  if (kMeasuresMemory) {
    EXPECT_LT(GrowthKib(), 2 * kMaxBufferedKib);
  }
  // The bodies still hang there; they are cut off for one that ends its own.
  EXPECT_TRUE(testing::WaitFor([this] { return Call(); }));
}

TEST_F(FloodTest, HealthTakesInHardlyAnyBody) {
  token_ = "0123456789abcdef0123456789abcdef";
  std::ofstream(dir_.File("tokens.txt")) << token_ << "\n";
  ASSERT_EQ(testing::RunCommand({"/bin/chmod", "600", dir_.File("tokens.txt")}).exit_code, 0);
  StartServer("auth: {tokens_file: tokens.txt}\n");
  Flood("/grpc.health.v1.Health/Check", "");
  if (kMeasuresMemory) {
    EXPECT_LT(GrowthKib(), 2 * kMaxBufferedKib);
  }
  EXPECT_TRUE(Call());  // at once: health has a bound of its own
}

}  // namespace
}  // namespace shoji
