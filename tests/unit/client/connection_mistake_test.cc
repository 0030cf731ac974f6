// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/connection_mistake.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/retry.h"
#include "lib/base/reason.h"

namespace shoji::client {
namespace {

using ::testing::HasSubstr;
using Kind = rpc::TransportSecurity::Kind;

rpc::Endpoint Server(Kind kind) {
  rpc::Endpoint out;
  out.address = *rpc::ParseAddress("inference.example.org:8443");
  out.security.kind = kind;
  return out;
}

// As gRPC 1.51 words it.
absl::Status Failed(const std::string& cause) {
  return absl::UnavailableError("failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:8443: " +
                                cause);
}

TEST(ConnectionMistakeTest, WhatCanNeverWorkIsNotTriedAgainAndSaysWhatToChange) {
  const struct {
    std::string cause;
    std::string says;
  } cases[] = {
      {"Ssl handshake failed: SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify failed", "--ca"},
      {"Peer name example.com is not in peer certificate", "--server-name"},
      {"Ssl handshake failed: SSL_ERROR_SSL: error:0A00010B:SSL routines::wrong version number", "--plaintext"},
      {"Ssl handshake failed: SSL_ERROR_SSL: error:0A000410:SSL routines::sslv3 alert handshake failure",
       "the TLS handshake was refused"},
  };
  for (const auto& [cause, says] : cases) {
    const absl::Status explained = ExplainConnection(Failed(cause), Server(Kind::kTls));
    EXPECT_EQ(explained.code(), absl::StatusCode::kFailedPrecondition) << cause;
    EXPECT_EQ(NextStepAfter(explained), NextStep::kFail) << cause;
    const std::string message(explained.message());
    EXPECT_THAT(message, HasSubstr("inference.example.org:8443"));
    EXPECT_THAT(message, HasSubstr(says));
    EXPECT_THAT(message, HasSubstr(cause));
  }
}

TEST(ConnectionMistakeTest, NobodyAnsweringIsSaidInWordsAndTriedAgainForAWhile) {
  for (const char* cause : {"Failed to connect to remote host: Connection refused", "No such file or directory",
                            "tcp handshaker shutdown"}) {
    const absl::Status explained = ExplainConnection(Failed(cause), Server(Kind::kTls));
    EXPECT_EQ(NextStepAfter(explained), NextStep::kRetry);
    EXPECT_THAT(std::string(explained.message()), HasSubstr("nobody answers at inference.example.org:8443"));
    Patience patience(std::chrono::seconds(5));
    const SteadyTime start;
    EXPECT_FALSE(patience.IsOver(explained, start, start));
    EXPECT_FALSE(patience.IsOver(explained, start, start + std::chrono::milliseconds(4999)));
    EXPECT_TRUE(patience.IsOver(explained, start, start + std::chrono::seconds(5)));
    EXPECT_FALSE(patience.IsOver(absl::UnavailableError("Socket closed"), start, start + std::chrono::seconds(6)));
    EXPECT_FALSE(patience.IsOver(explained, start + std::chrono::seconds(7),
                                 start + std::chrono::seconds(7)));  // it was there in between
  }
}

TEST(ConnectionMistakeTest, AClosedConnectionIsTriedAgainAndHintsAtWhatMayBeWrong) {
  const absl::Status plain = ExplainConnection(Failed("Socket closed"), Server(Kind::kInsecurePlaintext));
  EXPECT_EQ(NextStepAfter(plain), NextStep::kRetry);
  EXPECT_THAT(std::string(plain.message()), HasSubstr("want TLS"));
  const absl::Status tls = ExplainConnection(Failed("Socket closed"), Server(Kind::kTls));
  EXPECT_EQ(NextStepAfter(tls), NextStep::kRetry);
  EXPECT_THAT(std::string(tls.message()), HasSubstr("client certificate"));
}

TEST(ConnectionMistakeTest, ADaemonThatDoesNotKnowTheCallIsNoFrontEnd) {
  const absl::Status explained = ExplainConnection(absl::UnimplementedError(""), Server(Kind::kTls));
  EXPECT_EQ(explained.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(NextStepAfter(explained), NextStep::kFail);
  EXPECT_THAT(std::string(explained.message()), HasSubstr("is no shoji-server of this version"));
}

TEST(ConnectionMistakeTest, WhateverElseKeepsFromAConnectionIsTriedForAWhileToo) {
  Patience patience(std::chrono::seconds(0));
  for (const char* cause : {"Failed to connect to remote host: No route to host", "Connection reset by peer"}) {
    const absl::Status explained = ExplainConnection(Failed(cause), Server(Kind::kTls));
    EXPECT_EQ(NextStepAfter(explained), NextStep::kRetry);
    EXPECT_TRUE(patience.IsOver(explained, SteadyTime(), SteadyTime()));
    EXPECT_THAT(std::string(explained.message()), HasSubstr("cannot connect to inference.example.org:8443"));
    EXPECT_THAT(std::string(explained.message()), HasSubstr(cause));
  }
}

TEST(ConnectionMistakeTest, ANameThatDoesNotResolveIsNamedWithTheOptionThatGivesIt) {
  const absl::Status explained = ExplainConnection(
      absl::UnavailableError("DNS resolution failed for inference.example.org:8443: C-ares status is not ARES_SUCCESS"),
      Server(Kind::kTls));
  EXPECT_EQ(NextStepAfter(explained), NextStep::kRetry);
  EXPECT_TRUE(Patience(std::chrono::seconds(0)).IsOver(explained, SteadyTime(), SteadyTime()));
  EXPECT_THAT(std::string(explained.message()), HasSubstr("cannot resolve 'inference.example.org'"));
  EXPECT_THAT(std::string(explained.message()), HasSubstr("--server"));
}

TEST(ConnectionExplainerTest, AFailureWithoutACauseIsExplainedByTheOneBefore) {
  const RealClock clock;
  ConnectionExplainer explainer(Server(Kind::kTls), clock);
  const absl::Status without = Failed("tcp handshaker shutdown");
  EXPECT_THAT(std::string(explainer.NoConnectionYet().message()), HasSubstr("nobody answers"));
  EXPECT_THAT(std::string(explainer.Explain(without).message()), HasSubstr("nobody answers"));
  explainer.Explain(Failed("Socket closed")).IgnoreError();
  EXPECT_THAT(std::string(explainer.Explain(without).message()), HasSubstr("ask for a client certificate?"));
  explainer.Explain(absl::DeadlineExceededError("Deadline Exceeded")).IgnoreError();
  EXPECT_THAT(std::string(explainer.NoConnectionYet().message()), HasSubstr("ask for a client certificate?"));
  explainer.Explain(absl::OkStatus()).IgnoreError();  // there was a connection meanwhile
  EXPECT_THAT(std::string(explainer.Explain(without).message()), HasSubstr("nobody answers"));
}

TEST(ConnectionMistakeTest, EverythingElseStaysAsItIs) {
  for (const absl::Status& status : {absl::OkStatus(), absl::UnavailableError("GOAWAY received"),
                                     ErrorOf(Reason::kNoEnclave), absl::InternalError("certificate verify failed")}) {
    EXPECT_EQ(ExplainConnection(status, Server(Kind::kTls)), status);
  }
}

}  // namespace
}  // namespace shoji::client
