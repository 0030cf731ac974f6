// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A real front end over real sockets, with fake enclaves in this process behind it.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/base/clock.h"
#include "lib/base/reason.h"
#include "server/front_end.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/fake_enclave_service.h"

namespace shoji::server {

// What a client got.
struct Outcome {
  absl::Status status;
  v1::InferResponse response;

  Reason reason() const { return ReasonOf(status); }
};

class FrontEndTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds kLong{60};

  FrontEndTest();
  ~FrontEndTest() override;

  static std::string KeyOf(size_t enclave) { return std::string(16, static_cast<char>('a' + enclave)); }
  static internal::v1::EnclaveState StateOf(size_t enclave, const std::string& model = "m");

  // The i-th enclave of the configuration; it answers under the name "enclave<i>".
  void StartEnclave(size_t i, const std::string& model = "m");
  testing::FakeEnclave& enclave(size_t i = 0) { return *enclaves_[i]; }
  void StopEnclave(size_t i) { enclaves_[i].reset(); }

  // Starts a front end for `num_enclaves`, of which those already started are found. `limits()` and `config()` may be
  // changed before.
  void StartFrontEnd(size_t num_enclaves = 1);
  // As StartFrontEnd, and waits until the enclave is seen.
  void StartReady();
  // Blocks until the health service says `wanted`.
  void AwaitHealth(grpc::health::v1::HealthCheckResponse::ServingStatus wanted);

  Config& config() { return config_; }
  FrontEnd& front_end() { return *front_end_; }
  const FrontEnd& front_end() const { return *front_end_; }
  // Returns when every call is over, and what is logged after its answer has been.
  void StopFrontEnd() { front_end_.reset(); }
  const RealClock& clock() const { return clock_; }
  telemetry::Logger& logger() { return logger_; }
  std::shared_ptr<grpc::Channel> Connect() const;
  std::string File(const std::string& name) const { return folder_ + "/" + name; }
  void WriteTokens(const std::string& text) const;

  struct InferOptions {
    std::string key_id = KeyOf(0);
    std::string ciphertext = "sealed";
    std::chrono::milliseconds timeout = kLong;
    std::vector<std::string> authorization = {};
    bool wait_for_connection = false;  // connect anew, when an attempt fails, until the timeout
  };
  Outcome Infer(const InferOptions& options) const;
  Outcome Infer() const { return Infer(InferOptions()); }
  std::future<Outcome> InferInBackground(const InferOptions& options) const;
  // Blocks until `n` calls wait in the queue.
  void AwaitQueued(size_t n) const;
  // Blocks until `n` calls are at enclaves.
  void AwaitInFlight(size_t n) const;

 private:
  std::string folder_;
  const RealClock clock_;
  telemetry::Logger logger_;
  Config config_;
  std::vector<std::unique_ptr<testing::FakeEnclave>> enclaves_;
  std::unique_ptr<FrontEnd> front_end_;
};

}  // namespace shoji::server
