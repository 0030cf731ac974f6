// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/connection_mistake.h"

#include <array>
#include <string>
#include <string_view>

#include "client/retry.h"
#include "lib/base/reason.h"

namespace shoji::client {
namespace {

// What gRPC writes into the status of a call whose connection failed; it has no other way to tell these apart.
struct Mistake {
  std::string_view sign;
  std::string_view meaning;
};
constexpr std::array<Mistake, 4> kMistakes = {{
    {"certificate verify failed", "its certificate is not signed by a CA that is trusted here; name its CA with --ca"},
    {"is not in peer certificate", "its certificate is for another name; say the right one with --server-name"},
    {"wrong version number", "it speaks plaintext there; allow that with --plaintext, or use its TLS port"},
    {"SSL_ERROR_SSL", "the TLS handshake was refused"},
}};

}  // namespace

absl::Status ExplainConnection(const absl::Status& status, const rpc::Endpoint& server) {
  if (status.code() == absl::StatusCode::kUnimplemented && ReasonOf(status) == Reason::kUnspecified) {
    return absl::UnimplementedError(server.address.ToString() +
                                    " is no shoji-server of this version: it does not know the call; is that the "
                                    "address in `listen` of the front end's configuration?");
  }
  if (status.code() != absl::StatusCode::kUnavailable || ReasonOf(status) != Reason::kUnspecified) {
    return status;
  }
  const std::string message(status.message());
  const std::string where = server.address.ToString();
  for (const Mistake& mistake : kMistakes) {
    if (message.find(mistake.sign) != std::string::npos) {
      std::string text = "cannot connect to " + where + ": ";
      text.append(mistake.meaning).append(" (").append(message).append(")");
      return absl::FailedPreconditionError(text);
    }
  }
  // The second is of Unix sockets; the third is what gRPC makes of a refusal now and then.
  for (const char* sign : {"Connection refused", "No such file or directory", "tcp handshaker shutdown"}) {
    if (message.find(sign) != std::string::npos) {
      return NobodyAnswers(absl::UnavailableError(
          "nobody answers at " + where +
          ": is shoji-server running, and is that the address in `listen` of its configuration? (" + message + ")"));
    }
  }
  if (message.find("Socket closed") == std::string::npos) {
    return status;
  }
  using Kind = rpc::TransportSecurity::Kind;
  const bool is_plaintext =
      server.security.kind == Kind::kLocalPlaintext || server.security.kind == Kind::kInsecurePlaintext;
  std::string text = message + "; if this lasts: does ";
  text.append(where).append(is_plaintext ? " want TLS (no --plaintext)?" : " ask for a client certificate?");
  return absl::UnavailableError(text);
}

}  // namespace shoji::client
