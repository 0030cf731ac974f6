// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the front end takes in and what it refuses, over real sockets: limits of tokens, fairness between them, refusals
// before the body, reloads, metrics and traces.
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "lib/metrics/exporter.h"
#include "lib/rpc/status.h"
#include "tests/support/scrape.h"
#include "tests/unit/server/front_end_fixture.h"

namespace shoji::server {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAlice[] = "alice-0123456789abcdef";
constexpr char kBob[] = "bob-0123456789abcdef";
constexpr char kTrace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

class FrontEndAdmissionTest : public FrontEndTest {
 protected:
  void UseTokens(const std::string& text) {
    WriteTokens(text);
    config().tokens_file = File("tokens.txt");
  }
  static InferOptions As(const std::string& token, const std::string& ciphertext = "sealed") {
    InferOptions options;
    options.ciphertext = ciphertext;
    options.authorization = {"Bearer " + token};
    return options;
  }
  // Each takes one call at a time, and the front end knows of both.
  void StartTwoEnclavesOfOneSlot() {
    config().limits.max_in_flight = 1;
    StartEnclave(0);
    StartEnclave(1);
    StartFrontEnd(2);
    for (size_t i = 0; i < 2; ++i) {
      while (!Infer({.key_id = KeyOf(i)}).status.ok()) {
      }
    }
  }
  void ServeMetrics() {
    config().metrics.address.emplace();
    config().metrics.address->host = "127.0.0.1";
  }
  double Metric(const std::string& series) const {
    const auto page = testing::Scrape(*front_end().metrics_address());
    EXPECT_TRUE(page.ok()) << page.status();
    const std::optional<double> value = testing::SeriesIn(*page, series);
    EXPECT_TRUE(value.has_value()) << series << "\n" << *page;
    return value.value_or(-1);
  }
  // Sends one Infer with `metadata`; what came back in the trailers goes to `trailers`.
  grpc::Status InferWith(const std::multimap<std::string, std::string>& metadata,
                         std::multimap<std::string, std::string>* trailers = nullptr) const {
    grpc::ClientContext context;
    for (const auto& [key, value] : metadata) {
      context.AddMetadata(key, value);
    }
    v1::InferRequest request;
    request.set_key_id(KeyOf(0));
    v1::InferResponse response;
    grpc::Status status = v1::InferenceService::NewStub(Connect())->Infer(&context, request, &response);
    for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
      if (trailers != nullptr) {
        trailers->emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
      }
    }
    return status;
  }
};

TEST_F(FrontEndAdmissionTest, ATokensRateIsItsOwnAndTheRefusalSaysWhenToComeBack) {
  UseTokens(std::string("name=alice rate=0.1 burst=2 ") + kAlice + "\n" + kBob + "\n");
  StartReady();
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
  const Outcome refused = Infer(As(kAlice));
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.reason(), Reason::kOverloaded);
  EXPECT_GT(rpc::RetryAfterOf(refused.status), milliseconds(5000));
  EXPECT_LE(rpc::RetryAfterOf(refused.status), milliseconds(10'000));
  EXPECT_TRUE(Infer(As(kBob)).status.ok());
  EXPECT_EQ(enclave().num_infers(), 3U);
}

TEST_F(FrontEndAdmissionTest, ATokensCallsUnderWayAreBoundedAndThoseOfOthersAreNot) {
  UseTokens(std::string("in_flight=1 ") + kAlice + "\n" + kBob + "\n");
  StartReady();
  enclave().Hold();
  std::future<Outcome> held = InferInBackground(As(kAlice));
  enclave().AwaitHeld(1);
  EXPECT_EQ(Infer(As(kAlice)).reason(), Reason::kOverloaded);
  std::future<Outcome> other = InferInBackground(As(kBob));
  enclave().AwaitHeld(2);
  enclave().Let();
  EXPECT_TRUE(held.get().status.ok());
  EXPECT_TRUE(other.get().status.ok());
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
}

TEST_F(FrontEndAdmissionTest, TheLimitsOfAllTokensHoldWhereATokenHasNoneOfItsOwn) {
  config().limits.per_token = {.rate = 0.1, .burst = 1};
  UseTokens(std::string("rate=1000 ") + kAlice + "\n" + kBob + "\n");
  StartReady();
  EXPECT_TRUE(Infer(As(kBob)).status.ok());
  EXPECT_EQ(Infer(As(kBob)).reason(), Reason::kOverloaded);
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
}

TEST_F(FrontEndAdmissionTest, ARefusalCarriesGrpcsOwnAdviceToo) {
  UseTokens(std::string("rate=0.1 burst=1 ") + kAlice + "\n");
  StartReady();
  const std::multimap<std::string, std::string> metadata = {{"authorization", std::string("Bearer ") + kAlice}};
  ASSERT_TRUE(InferWith(metadata).ok());
  std::multimap<std::string, std::string> trailers;
  const grpc::Status status = InferWith(metadata, &trailers);
  ASSERT_EQ(trailers.count("grpc-retry-pushback-ms"), 1U);
  EXPECT_EQ(trailers.find("grpc-retry-pushback-ms")->second,
            std::to_string(rpc::RetryAfterOf(rpc::FromGrpcStatus(status)).count()));
}

TEST_F(FrontEndAdmissionTest, WhoFloodsWaitsForItselfAndNotOthersForIt) {
  config().limits.max_in_flight = 1;
  config().limits.max_queue = 40;
  UseTokens(std::string("name=alice ") + kAlice + "\nname=bob " + kBob + "\n");
  StartReady();
  enclave().Hold();
  std::future<Outcome> first = InferInBackground(As(kAlice));
  enclave().AwaitHeld(1);
  std::vector<std::future<Outcome>> flood;
  for (size_t i = 1; i <= 40; ++i) {
    flood.push_back(InferInBackground(As(kAlice)));
    AwaitQueued(i);
  }
  EXPECT_EQ(Infer(As(kAlice)).reason(), Reason::kOverloaded);
  // Bob gets in although the queue is full, and his turn is the second at the latest.
  std::future<Outcome> light = InferInBackground(As(kBob, "light"));
  size_t num_refused = 0;
  while (num_refused == 0) {  // the last of the flood made room
    num_refused += flood.back().wait_for(milliseconds(1)) == std::future_status::ready ? 1U : 0U;
  }
  EXPECT_EQ(flood.back().get().reason(), Reason::kOverloaded);
  flood.pop_back();
  size_t num_before = 0;
  enclave().AwaitHeld(1);
  while (enclave().last_ciphertext() != "light") {
    ++num_before;
    enclave().LetOne();
    enclave().AwaitHeld(1);
  }
  EXPECT_LE(num_before, 2U);  // the one that was at the enclave, and one of the queue
  enclave().Let();
  EXPECT_TRUE(light.get().status.ok());
  for (auto& call : flood) {
    EXPECT_TRUE(call.get().status.ok());
  }
  EXPECT_TRUE(first.get().status.ok());
}

TEST_F(FrontEndAdmissionTest, ADeadlineOfTheServersOwnIsHonouredInTheQueueAtOnce) {
  config().limits.max_in_flight = 1;
  config().limits.max_deadline = milliseconds(1500);
  StartReady();
  enclave().Hold();
  std::future<Outcome> first = InferInBackground({.timeout = kLong});
  enclave().AwaitHeld(1);
  std::future<Outcome> queued = InferInBackground({.timeout = milliseconds(0)});
  AwaitQueued(1);
  // It leaves while the slot is still taken, or just after: the first one's time is up no earlier than its own begins.
  EXPECT_EQ(queued.get().reason(), Reason::kDeadline);
  EXPECT_EQ(first.get().reason(), Reason::kDeadline);
  EXPECT_LE(enclave().num_infers(), 2U);
  enclave().Let();
}

TEST_F(FrontEndAdmissionTest, WhatWaitsForAnEnclaveThatIsLostGoesToAnotherOrIsToldAtOnce) {
  StartTwoEnclavesOfOneSlot();
  enclave().Hold();
  std::future<Outcome> held = InferInBackground({});
  enclave().AwaitHeld(1);
  std::future<Outcome> queued = InferInBackground({});
  AwaitQueued(1);
  EXPECT_TRUE(Infer({.key_id = KeyOf(1)}).status.ok());  // the other one has slots of its own
  StopEnclave(0);
  EXPECT_EQ(held.get().status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(queued.get().reason(), Reason::kUnknownKey);  // it has not been sent after the one that was lost
}

TEST_F(FrontEndAdmissionTest, ACallThatLosesItsConnectionTakesTheEnclaveOutUntilItIsHeardOfAgain) {
  StartTwoEnclavesOfOneSlot();
  const size_t num_infers = enclave().num_infers();
  enclave().Hold();
  std::future<Outcome> held = InferInBackground({});
  enclave().AwaitHeld(1);
  std::future<Outcome> queued = InferInBackground({});
  AwaitQueued(1);
  enclave().FailWith(absl::UnavailableError("Socket closed"));  // as gRPC says it, while the Watch stream goes on
  enclave().Let();
  EXPECT_EQ(held.get().reason(), Reason::kNoEnclave);
  EXPECT_EQ(queued.get().reason(), Reason::kUnknownKey);
  EXPECT_EQ(enclave().num_infers(), num_infers + 1);
  enclave().FailWith(absl::OkStatus());
  while (!Infer({}).status.ok()) {  // until the link has asked anew
  }
}

TEST_F(FrontEndAdmissionTest, ATraceParentGoesOnToTheEnclaveAndAnInvalidOneDoesNot) {
  StartReady();
  ASSERT_TRUE(InferWith({{"traceparent", kTrace}}).ok());
  EXPECT_EQ(enclave().last_trace_parent(), kTrace);
  ASSERT_TRUE(InferWith({{"traceparent", "00-zz"}}).ok());
  EXPECT_EQ(enclave().last_trace_parent(), "");
  ASSERT_TRUE(InferWith({{"traceparent", kTrace}, {"traceparent", kTrace}}).ok());
  EXPECT_EQ(enclave().last_trace_parent(), "");
}

TEST_F(FrontEndAdmissionTest, MetricsCountWhatHappens) {
  config().limits.max_in_flight = 1;
  config().limits.max_queue = 0;
  ServeMetrics();
  UseTokens(std::string("name=alice ") + kAlice + "\n");
  StartReady();
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
  EXPECT_FALSE(Infer(As(kBob)).status.ok());
  enclave().Hold();
  std::future<Outcome> held = InferInBackground(As(kAlice));
  enclave().AwaitHeld(1);
  EXPECT_EQ(Infer(As(kAlice)).reason(), Reason::kOverloaded);
  EXPECT_EQ(Metric(R"(shoji_server_in_flight)"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_enclave_in_flight{enclave="enclave0",work="request"})"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_queue_depth{enclave="enclave0",work="request"})"), 0);
  EXPECT_EQ(Metric(R"(shoji_server_enclave_ready{enclave="enclave0"})"), 1);
  EXPECT_GT(Metric(R"(shoji_server_held_bytes)"), 0);
  enclave().Let();
  EXPECT_TRUE(held.get().status.ok());
  EXPECT_EQ(Metric(R"(shoji_server_requests_total{method="Infer",status="OK"})"), 2);
  EXPECT_EQ(Metric(R"(shoji_server_requests_total{method="Infer",status="UNAUTHENTICATED"})"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_requests_total{method="Infer",status="RESOURCE_EXHAUSTED"})"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_rejected_total{reason="unauthenticated"})"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_rejected_total{reason="queue_full"})"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_token_requests_total{token="alice",result="admitted"})"), 3);
  EXPECT_EQ(Metric(R"(shoji_server_queue_wait_seconds_count)"), 2);
  EXPECT_EQ(Metric(R"(shoji_server_request_duration_seconds_count{method="Infer"})"), 4);
  EXPECT_EQ(Metric(R"(shoji_server_reloads_total{result="accepted"})"), 0);
}

TEST_F(FrontEndAdmissionTest, AReloadIsTakenAsAWholeOrNotAtAll) {
  config().limits.max_in_flight = 1;
  config().limits.max_queue = 0;
  ServeMetrics();
  UseTokens(std::string(kAlice) + "\n");
  StartReady();
  Config next = config();
  next.limits.max_queue = 5;
  WriteTokens("short\n");
  EXPECT_THAT(std::string(front_end().Reload(next).message()), HasSubstr("tokens.txt:1:"));
  enclave().Hold();
  std::future<Outcome> held = InferInBackground(As(kAlice));
  enclave().AwaitHeld(1);
  EXPECT_EQ(Infer(As(kAlice)).reason(), Reason::kOverloaded);  // neither the tokens nor the queue have changed
  WriteTokens(std::string(kBob) + "\n");
  EXPECT_TRUE(front_end().Reload(next).ok());
  std::future<Outcome> queued = InferInBackground(As(kBob));
  AwaitQueued(1);
  EXPECT_EQ(Infer(As(kAlice)).reason(), Reason::kUnauthenticatedClient);
  enclave().Let();
  EXPECT_TRUE(held.get().status.ok());  // admitted before its token went
  EXPECT_TRUE(queued.get().status.ok());
  EXPECT_EQ(Metric(R"(shoji_server_reloads_total{result="accepted"})"), 1);
  EXPECT_EQ(Metric(R"(shoji_server_reloads_total{result="refused"})"), 1);
}

TEST_F(FrontEndAdmissionTest, AReloadKeepsWhatATokenHasUsedUp) {
  UseTokens(std::string("rate=0.1 burst=1 ") + kAlice + "\n");
  StartReady();
  EXPECT_TRUE(Infer(As(kAlice)).status.ok());
  EXPECT_TRUE(front_end().Reload(config()).ok());
  EXPECT_EQ(Infer(As(kAlice)).reason(), Reason::kOverloaded);
}

TEST_F(FrontEndAdmissionTest, NewSessionsGoToTheEnclaveWithTheLeastToDo) {
  StartEnclave(0);
  StartEnclave(1);
  StartFrontEnd(2);
  for (size_t i = 0; i < 2; ++i) {
    while (!Infer({.key_id = KeyOf(i)}).status.ok()) {
    }
  }
  enclave().Hold();
  std::future<Outcome> held = InferInBackground({});
  enclave().AwaitHeld(1);
  const auto attestation = v1::AttestationService::NewStub(Connect());
  for (int i = 0; i < 4; ++i) {
    grpc::ClientContext context;
    v1::GetEvidenceRequest ask;
    ask.set_model("m");
    v1::GetEvidenceResponse evidence;
    ASSERT_TRUE(attestation->GetEvidence(&context, ask, &evidence).ok());
    EXPECT_EQ(evidence.manifest(), "enclave1");
  }
  enclave().Let();
  EXPECT_TRUE(held.get().status.ok());
}

}  // namespace
}  // namespace shoji::server
