// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/config/node.h"
#include "lib/rpc/endpoint.h"
#include "lib/telemetry/log.h"

namespace shoji::server {

struct EnclaveTarget {
  std::string name;  // for logs
  rpc::Endpoint endpoint;
};

struct Limits {
  size_t max_in_flight = 64;
  size_t max_queue = 256;
  size_t max_message_bytes = size_t{4} << 20;
  // Of requests that have not arrived whole, all connections together, before some are cut off; at least
  // 4 x max_message_bytes.
  size_t max_buffered_bytes = size_t{512} << 20;
  // The longest a request may take; also the deadline of one that brings none.
  std::chrono::nanoseconds max_deadline = std::chrono::seconds(60);
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
};

// What config/server.yaml says; that file documents each key.
struct Config {
  rpc::Endpoint listen;
  std::vector<EnclaveTarget> enclaves;
  std::optional<std::string> tokens_file;  // nullopt: whoever can connect may call
  std::string tokens_where;                // the place that names it, for errors about the file
  Limits limits;
  telemetry::LogOptions log;
};

// Errors name file, line and key.
absl::StatusOr<Config> ReadConfig(const config::Document& document);

}  // namespace shoji::server
