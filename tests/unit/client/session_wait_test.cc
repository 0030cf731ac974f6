// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How long a session waits for a server that is away, silent or busy, and what it says meanwhile.
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "client/session.h"
#include "lib/base/reason.h"
#include "tests/unit/client/fake_server.h"

namespace shoji::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class SessionWaitTest : public ::testing::Test {
 protected:
  Session::Options GoodOptions() {
    Session::Options options;
    options.model = "pets";
    options.appraisal = {SimulatedEvidence::kAllow, {server_.signer.public_key()}};
    options.warn = [](const std::string& /*warning*/) {};
    options.clock = &clock_;
    options.wait = [this](milliseconds time) { clock_.Advance(time); };
    return options;
  }

  FakeServer server_;
  FakeClock clock_;
};

// Nobody answers where the server should be until `start_at`.
class LateTransport final : public FakeTransport {
 public:
  LateTransport(FakeServer& server, const Clock& clock, SteadyTime start_at)
      : FakeTransport(server), clock_(clock), start_at_(start_at) {}

  absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& nonce, const std::string& model,
                                            SteadyTime deadline) override {
    if (clock_.SteadyNow() < start_at_) {
      return NobodyAnswers(absl::UnavailableError("nobody answers"));
    }
    return FakeTransport::GetEvidence(nonce, model, deadline);
  }

 private:
  const Clock& clock_;
  const SteadyTime start_at_;
};

TEST_F(SessionWaitTest, WaitsForAServerThatIsStartingAndSaysSoonThatThereIsNone) {
  const SteadyTime start = clock_.SteadyNow();
  Session::Options options = GoodOptions();
  options.create_timeout = seconds(60);
  EXPECT_TRUE(Session::Create(options, std::make_unique<LateTransport>(server_, clock_, start + seconds(4))).ok());
  const SteadyTime again = clock_.SteadyNow();
  const auto session = Session::Create(options, std::make_unique<LateTransport>(server_, clock_, again + seconds(60)));
  EXPECT_EQ(session.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(session.status().message(), "nobody answers");
  EXPECT_GE(clock_.SteadyNow() - again, seconds(5));
  EXPECT_LE(clock_.SteadyNow() - again, seconds(6));
}

// Refuses the first attempt; the second is still under way at the deadline.
class SilentTransport final : public FakeTransport {
 public:
  SilentTransport(FakeServer& server, testing::FakeClock& clock) : FakeTransport(server), clock_(clock) {}

  absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& /*nonce*/, const std::string& /*model*/,
                                            SteadyTime deadline) override {
    if (!std::exchange(has_refused_, true)) {
      return absl::UnavailableError("connection refused");
    }
    clock_.Advance(deadline - clock_.SteadyNow());
    return absl::DeadlineExceededError("Deadline Exceeded");
  }

 private:
  testing::FakeClock& clock_;
  bool has_refused_ = false;
};

TEST_F(SessionWaitTest, AnAttemptThatTheDeadlineEndsIsToldWithTheErrorBeforeIt) {
  const auto session = Session::Create(GoodOptions(), std::make_unique<SilentTransport>(server_, clock_));
  EXPECT_EQ(session.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(session.status().message(),
            "no answer before the deadline; the last error was UNAVAILABLE: connection refused");
}

// Takes one call in half a second, as a front end does for a token with `rate=2 burst=1`.
class RatedTransport final : public FakeTransport {
 public:
  RatedTransport(FakeServer& server, const Clock& clock) : FakeTransport(server), clock_(clock) {}

  absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& nonce, const std::string& model,
                                            SteadyTime deadline) override {
    return Takes() ? FakeTransport::GetEvidence(nonce, model, deadline) : ErrorOf(Reason::kOverloaded);
  }
  absl::StatusOr<std::vector<ModelDescription>> ListModels(SteadyTime deadline) override {
    return Takes() ? FakeTransport::ListModels(deadline) : ErrorOf(Reason::kOverloaded);
  }
  absl::StatusOr<SessionReply> OpenSession(const SessionOffer& offer, SteadyTime deadline) override {
    return Takes() ? FakeTransport::OpenSession(offer, deadline) : ErrorOf(Reason::kOverloaded);
  }

 private:
  bool Takes() {
    const bool takes = clock_.SteadyNow() >= next_;
    next_ = takes ? clock_.SteadyNow() + milliseconds(500) : next_;
    return takes;
  }

  const Clock& clock_;
  SteadyTime next_;
};

TEST_F(SessionWaitTest, ATokenThatMayMakeOneCallAtATimeGetsASessionAndFetchesEvidenceOnce) {
  const SteadyTime start = clock_.SteadyNow();
  const auto session = Session::Create(GoodOptions(), std::make_unique<RatedTransport>(server_, clock_));
  EXPECT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(server_.num_evidence, 1);
  EXPECT_LE(clock_.SteadyNow() - start, seconds(5));
}

TEST_F(SessionWaitTest, SaysAtOnceThatNobodyAnswersAndForHowLongItTriesAgain) {
  Session::Options options = GoodOptions();
  options.create_timeout = seconds(60);
  const SteadyTime start = clock_.SteadyNow();
  std::vector<SteadyTime> told;
  options.warn = [&](const std::string& warning) {
    if (warning == "WAITING for up to 5 s: nobody answers") {
      told.push_back(clock_.SteadyNow());
    }
  };
  ASSERT_TRUE(Session::Create(options, std::make_unique<LateTransport>(server_, clock_, start + seconds(4))).ok());
  ASSERT_EQ(told.size(), 1U) << "once, for all attempts";
  EXPECT_EQ(told.front(), start);
}

TEST_F(SessionWaitTest, WaitsForAServerAsLongAsItIsAskedToAlsoBeyondTheTimeOfACall) {
  Session::Options options = GoodOptions();
  options.create_timeout = seconds(10);
  options.create_patience = seconds(40);
  const SteadyTime start = clock_.SteadyNow();
  EXPECT_TRUE(Session::Create(options, std::make_unique<LateTransport>(server_, clock_, start + seconds(38))).ok());
  options.create_patience = seconds(2);
  const SteadyTime again = clock_.SteadyNow();
  const auto session = Session::Create(options, std::make_unique<LateTransport>(server_, clock_, again + seconds(9)));
  EXPECT_EQ(session.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(clock_.SteadyNow() - again, seconds(3));
}

}  // namespace
}  // namespace shoji::client
