// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/connection_mistake.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "client/retry.h"
#include "lib/base/reason.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::client {
namespace {

// What gRPC writes into the status of a call whose connection failed; it has no other way to tell these apart.
struct Mistake {
  std::string_view sign;
  std::string_view meaning;
};
constexpr std::string_view kPlaintextThere = "wrong version number";
constexpr std::array<Mistake, 4> kMistakes = {{
    {"certificate verify failed", "its certificate is not signed by a CA that is trusted here; name its CA with --ca"},
    {"is not in peer certificate", "its certificate is for another name; say the right one with --server-name"},
    {kPlaintextThere, "it speaks plaintext there; allow that with --plaintext, or use its TLS port"},
    {"SSL_ERROR_SSL", "the TLS handshake was refused"},
}};
// The second is of Unix sockets; the third is what gRPC makes of a refusal now and then.
constexpr std::string_view kWithoutCause = "tcp handshaker shutdown";
constexpr std::array<std::string_view, 3> kNobody = {"Connection refused", "No such file or directory", kWithoutCause};
constexpr std::string_view kClosed = "Socket closed";
constexpr std::string_view kNoConnection = "failed to connect to all addresses";

bool Says(const absl::Status& status, std::string_view sign) {
  return std::string_view(status.message().data(), status.message().size()).find(sign) != std::string_view::npos;
}

bool IsOfConnection(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable && ReasonOf(status) == Reason::kUnspecified;
}

absl::Status Nobody(const rpc::Endpoint& server, const std::string& cause) {
  return NobodyAnswers(absl::UnavailableError(
      "nobody answers at " + server.address.ToString() +
      ": is shoji-server running, and is that the address in `listen` of its configuration? (" + cause + ")"));
}

bool IsPlaintext(const rpc::Endpoint& server) {
  using Kind = rpc::TransportSecurity::Kind;
  return server.security.kind == Kind::kLocalPlaintext || server.security.kind == Kind::kInsecurePlaintext;
}

// Whether `server`, where plaintext is cut off, answers to TLS. Sends nothing but a call without a token.
bool SpeaksTls(rpc::Endpoint server, const Clock& clock) {
  server.security = {};
  server.security.kind = rpc::TransportSecurity::Kind::kTls;
  const auto channel = rpc::CreateChannel(server, {});
  if (!channel.ok()) {
    return false;
  }
  grpc::ClientContext context;
  context.set_deadline(rpc::ToGrpcDeadline(clock.SteadyNow() + std::chrono::seconds(2), clock));
  v1::ListModelsResponse response;
  const absl::Status status = rpc::FromGrpcStatus(
      v1::InferenceService::NewStub(*channel)->ListModels(&context, v1::ListModelsRequest(), &response));
  if (IsOfConnection(status)) {
    return !Says(status, kPlaintextThere) &&
           std::any_of(kMistakes.begin(), kMistakes.end(), [&](const Mistake& m) { return Says(status, m.sign); });
  }
  return status.code() != absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

absl::Status ExplainConnection(const absl::Status& status, const rpc::Endpoint& server) {
  const std::string where = server.address.ToString();
  if (status.code() == absl::StatusCode::kUnimplemented && ReasonOf(status) == Reason::kUnspecified) {
    return absl::UnimplementedError(where +
                                    " is no shoji-server of this version: it does not know the call; is that the "
                                    "address in `listen` of the front end's configuration?");
  }
  if (!IsOfConnection(status)) {
    return status;
  }
  const std::string message(status.message());
  for (const Mistake& mistake : kMistakes) {
    if (Says(status, mistake.sign)) {
      std::string text = "cannot connect to " + where + ": ";
      text.append(mistake.meaning).append(" (").append(message).append(")");
      return absl::FailedPreconditionError(text);
    }
  }
  if (Says(status, "DNS resolution failed")) {
    return NobodyAnswers(absl::UnavailableError(
        "cannot resolve '" + server.address.host +
        "': is the host's name in --server right, and known to this machine? (" + message + ")"));
  }
  if (std::any_of(kNobody.begin(), kNobody.end(), [&](std::string_view sign) { return Says(status, sign); })) {
    return Nobody(server, message);
  }
  const bool is_connected = !Says(status, kNoConnection);
  if (Says(status, kClosed)) {
    std::string text = message + "; if this lasts: does ";
    text.append(where).append(IsPlaintext(server) ? " want TLS (no --plaintext)?" : " ask for a client certificate?");
    return is_connected ? absl::UnavailableError(text) : NobodyAnswers(absl::UnavailableError(text));
  }
  return is_connected ? status
                      : NobodyAnswers(absl::UnavailableError("cannot connect to " + where + " (" + message + ")"));
}

absl::Status ConnectionExplainer::Explain(const absl::Status& status) {
  absl::Status explained = ExplainConnection(status, server_);
  if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    return explained;  // of a connection or of a call
  }
  const absl::MutexLock lock(&mu_);
  if (!IsOfConnection(status)) {
    last_.reset();
    return explained;
  }
  if (Says(status, kWithoutCause) && last_.has_value()) {
    return *last_;
  }
  last_ = explained;
  return explained;
}

absl::Status ConnectionExplainer::ExplainAskingTheServer(const absl::Status& status) {
  absl::Status explained = Explain(status);
  if (!IsPlaintext(server_) || !IsOfConnection(explained) || !Says(explained, kClosed) ||
      !Says(explained, kNoConnection)) {
    return explained;
  }
  {
    const absl::MutexLock lock(&mu_);
    if (std::exchange(was_asked_, true)) {
      return explained;
    }
  }
  if (!SpeaksTls(server_, clock_)) {
    return explained;
  }
  return absl::FailedPreconditionError("cannot connect to " + server_.address.ToString() +
                                       ": it wants TLS there; leave --plaintext out, and name its CA with --ca if that "
                                       "is not one of the system's (" +
                                       std::string(status.message()) + ")");
}

absl::Status ConnectionExplainer::NoConnectionYet() {
  const absl::MutexLock lock(&mu_);
  return last_.value_or(Nobody(server_, "no connection in time"));
}

}  // namespace shoji::client
