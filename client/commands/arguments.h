// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the commands have in common: where the server is, what is accepted of it, and how to print.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/commands/verdict.h"
#include "client/printable.h"
#include "client/session.h"
#include "client/transport.h"
#include "lib/base/clock.h"

namespace shoji::client {

enum class OutputFormat : uint8_t { kText, kJson, kCsv };

// As given on the command line.
struct Arguments {
  std::string server;
  std::string model;
  std::string ca_file;
  std::string server_name;
  bool plaintext = false;
  std::string token_file;
  std::string policy_file;
  bool allow_simulated = false;
  std::vector<std::string> simulated_key_files;
  bool allow_open_result = false;
  std::string expected_model_digest;  // hexadecimal
  std::string expected_plan_digest;
  std::string deadline = "10s";
  // For a server that is not there yet; empty: kFirstPatience, or the deadline where that is shorter.
  std::string wait;
  OutputFormat output = OutputFormat::kText;
  size_t top = 5;
  std::vector<std::string> pictures;
  std::string sealed_file;
  std::string model_key_file;
  size_t enclaves = 1;
  // Of `verify`, which appraises what exactly one of `server`, `evidence_file` and `quote_file` gives.
  bool explain = false;
  std::string save_evidence_file;
  std::string evidence_file;
  std::string quote_file;
  std::string quote_kind;
  std::string verification_time;  // RFC 3339
};

// "10s", "500ms", "2m", "1h"; a positive whole number and a unit, at most a day. INVALID_ARGUMENT.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "0", "0s" or "0ms", where a time may also be none.
bool IsNoTime(std::string_view text);

// What `arguments.wait` says; nullopt where it is empty, zero where there is to be no waiting.
absl::StatusOr<std::optional<std::chrono::milliseconds>> ParseWait(const Arguments& arguments);

// 64 hexadecimal digits. INVALID_ARGUMENT names `what`.
absl::StatusOr<digest::Sha256Digest> ParseDigest(std::string_view hex, std::string_view what);

// All errors of the following are usage errors.
absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(const Arguments& arguments, const Clock& clock);
absl::StatusOr<AppraisalPolicy> MakeAppraisalPolicy(const Arguments& arguments);
absl::StatusOr<Expectations> MakeExpectations(const Arguments& arguments);

// "UNAVAILABLE: ...", printable.
std::string Describe(const absl::Status& status);

}  // namespace shoji::client
