// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/arguments.h"

#include <charconv>

#include "client/grpc_transport.h"
#include "lib/appraisal_file/appraisal_file.h"
#include "lib/attest/simulated/simulated_verifier.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

constexpr size_t kMaxSmallFile = 64 << 10;

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  if (path.empty()) {
    return std::string();
  }
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(path, kMaxSmallFile));
  std::string token = ToString(file);
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) {
    token.pop_back();
  }
  if (token.empty()) {
    return absl::InvalidArgumentError(path + " holds no token");
  }
  return token;
}

}  // namespace

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(rest - text.data()));
  int64_t millis = 0;
  if (unit == "ms") {
    millis = 1;
  } else if (unit == "s") {
    millis = 1000;
  } else if (unit == "m") {
    millis = 60'000;
  } else if (unit == "h") {
    millis = 3'600'000;
  }
  constexpr int64_t kDay = 86'400'000;
  if (error != std::errc() || millis == 0 || number <= 0 || number > kDay / millis) {
    return absl::InvalidArgumentError("'" + std::string(text) +
                                      "' is not a time such as 500ms, 10s, 2m or 1h: a whole number, a day at most");
  }
  return std::chrono::milliseconds(number * millis);
}

bool IsNoTime(std::string_view text) { return text == "0" || text == "0s" || text == "0ms"; }

absl::StatusOr<std::optional<std::chrono::milliseconds>> ParseWait(const Arguments& arguments) {
  if (arguments.wait.empty()) {
    return std::nullopt;
  }
  if (IsNoTime(arguments.wait)) {
    return std::chrono::milliseconds(0);
  }
  return ParseDuration(arguments.wait);
}

absl::StatusOr<digest::Sha256Digest> ParseDigest(std::string_view hex, std::string_view what) {
  digest::Sha256Digest out = {};
  bool good = hex.size() == 2 * out.size();
  for (size_t i = 0; good && i < out.size(); ++i) {
    const char* const digits = hex.data() + 2 * i;
    good = digits[0] != '-' && std::from_chars(digits, digits + 2, out[i], 16).ptr == digits + 2;
  }
  if (!good) {
    return absl::InvalidArgumentError(std::string(what) + " takes 64 hexadecimal digits");
  }
  return out;
}

absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(const Arguments& arguments, const Clock& clock) {
  ServerSecurity security;
  security.ca_file = arguments.ca_file;
  security.server_name = arguments.server_name;
  security.plaintext = arguments.plaintext ? Plaintext::kAllow : Plaintext::kRefuse;
  GrpcTransportOptions options;
  ASSIGN_OR_RETURN(options.server, PublicEndpoint(arguments.server, security));
  ASSIGN_OR_RETURN(options.token, ReadToken(arguments.token_file));
  return CreateGrpcTransport(options, clock);
}

absl::StatusOr<AppraisalPolicy> MakeAppraisalPolicy(const Arguments& arguments) {
  AppraisalPolicy policy;
  if (!arguments.policy_file.empty()) {
    ASSIGN_OR_RETURN(policy.policy, appraisal_file::LoadAppraisalPolicy(arguments.policy_file));
  }
  if (!arguments.allow_simulated) {
    return policy;
  }
  policy.simulated = SimulatedEvidence::kAllow;
  if (arguments.simulated_key_files.empty()) {
    return absl::InvalidArgumentError(
        "--allow-simulated needs --simulated-key FILE: the public key that the operator signs simulated evidence with");
  }
  for (const std::string& path : arguments.simulated_key_files) {
    ASSIGN_OR_RETURN(const Bytes pem, ReadFile(path, kMaxSmallFile));
    absl::StatusOr<attest::Ed25519PublicKey> key = attest::ParseEd25519PublicKeyPem(pem);
    if (!key.ok()) {
      return absl::InvalidArgumentError(path + ": " + std::string(key.status().message()));
    }
    policy.simulated_signers.push_back(*key);
  }
  return policy;
}

absl::StatusOr<Expectations> MakeExpectations(const Arguments& arguments) {
  Expectations expectations;
  expectations.opened_result = arguments.allow_open_result ? OpenedResult::kAllow : OpenedResult::kRefuse;
  if (!arguments.expected_model_digest.empty()) {
    ASSIGN_OR_RETURN(expectations.model_digest, ParseDigest(arguments.expected_model_digest, "--expect-model-digest"));
  }
  if (!arguments.expected_plan_digest.empty()) {
    ASSIGN_OR_RETURN(expectations.plan_digest, ParseDigest(arguments.expected_plan_digest, "--expect-plan-digest"));
  }
  return expectations;
}

std::string Describe(const absl::Status& status) {
  return Printable(std::string(absl::StatusCodeToString(status.code())) + ": " + std::string(status.message()));
}

}  // namespace shoji::client
