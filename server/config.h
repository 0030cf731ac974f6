// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/config/fixed_settings.h"
#include "lib/config/node.h"
#include "lib/metrics/exporter.h"
#include "lib/rpc/coalescing.h"
#include "lib/rpc/endpoint.h"
#include "lib/telemetry/log.h"
#include "server/account.h"

namespace shoji::server {

struct EnclaveTarget {
  std::string name;  // for logs
  rpc::Endpoint endpoint;
};

struct Limits {
  size_t max_in_flight = 32;  // at each enclave
  size_t max_queue = 256;     // for each enclave
  std::chrono::nanoseconds max_queue_wait = std::chrono::seconds(1);
  size_t max_message_bytes = size_t{4} << 20;
  // Of requests and answers that are held, all connections together, before some are cut off; at least
  // 4 x max_message_bytes.
  size_t max_buffered_bytes = size_t{512} << 20;
  // The longest a request may take; also the deadline of one that brings none.
  std::chrono::nanoseconds max_deadline = std::chrono::seconds(60);
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
  AccountLimits per_token;
};

// How connections of clients are kept. Fixed while the server runs.
struct Connections {
  std::chrono::nanoseconds idle = std::chrono::minutes(10);
  std::chrono::nanoseconds max_age = std::chrono::hours(1);  // zero: any
  std::chrono::nanoseconds age_grace = std::chrono::minutes(2);
  std::chrono::nanoseconds keepalive = std::chrono::seconds(30);
  std::chrono::nanoseconds keepalive_timeout = std::chrono::seconds(10);
};

// What config/server.yaml says; that file documents each key.
struct Config {
  rpc::Endpoint listen;
  std::vector<EnclaveTarget> enclaves;
  std::optional<std::string> tokens_file;  // nullopt: whoever can connect may call
  std::string tokens_where;                // the place that names it, for errors about the file
  Limits limits;
  Connections connections;
  std::chrono::nanoseconds coalesce = rpc::Coalescing().wait;
  metrics::Options metrics;
  telemetry::LogOptions log;
  config::FixedSettings fixed;
};

// Errors name file, line and key.
absl::StatusOr<Config> ReadConfig(const config::Document& document);

}  // namespace shoji::server
