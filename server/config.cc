// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/config.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::server {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

absl::StatusOr<EnclaveTarget> ReadEnclave(const config::Node& node) {
  ASSIGN_OR_RETURN(const config::Fields fields, node.Map({"name", "address", "tls", "insecure_plaintext"}));
  EnclaveTarget out;
  ASSIGN_OR_RETURN(out.name, fields.String("name"));
  ASSIGN_OR_RETURN(out.endpoint, rpc::ReadEndpoint(fields, rpc::Role::kConnect, rpc::Exposure::kInternal));
  return out;
}

absl::StatusOr<std::vector<EnclaveTarget>> ReadEnclaves(const config::Fields& top) {
  ASSIGN_OR_RETURN(const config::Node list, top.Require("enclaves"));
  ASSIGN_OR_RETURN(const std::vector<config::Node> nodes, list.List());
  if (nodes.empty()) {
    return list.Error("name at least one enclave");
  }
  std::vector<EnclaveTarget> out;
  std::set<std::string> names;
  for (const config::Node& node : nodes) {
    ASSIGN_OR_RETURN(EnclaveTarget enclave, ReadEnclave(node));
    if (!names.insert(enclave.name).second) {
      return node.Error("another enclave has the name " + enclave.name);
    }
    out.push_back(std::move(enclave));
  }
  return out;
}

absl::StatusOr<AccountLimits> ReadPerToken(const config::Fields& limits) {
  AccountLimits out;
  const std::optional<config::Node> node = limits.Find("per_token");
  if (!node.has_value()) {
    return out;
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"rate", "burst", "in_flight"}));
  ASSIGN_OR_RETURN(out.rate, fields.DoubleOr("rate", 0, 0.001, 1e6));
  ASSIGN_OR_RETURN(out.burst, fields.Uint64Or("burst", 0, 1, 1'000'000));
  ASSIGN_OR_RETURN(out.in_flight, fields.Uint64Or("in_flight", 0, 1, 1'000'000));
  if (out.burst > 0 && out.rate == 0) {
    return node->Error("'burst' says how many calls may come at once before 'rate' holds them back: give 'rate' too");
  }
  return out;
}

absl::Status ReadConnections(const config::Fields& fields, Connections& out) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  using std::chrono::nanoseconds;
  using std::chrono::seconds;
  ASSIGN_OR_RETURN(out.idle, fields.DurationOr("connection_idle", out.idle, seconds(1), hours(24)));
  ASSIGN_OR_RETURN(out.max_age, fields.DurationOr("connection_age", out.max_age, nanoseconds(0), hours(24 * 30)));
  if (out.max_age.count() != 0 && out.max_age < seconds(1)) {
    return fields.Find("connection_age")->Error("must be at least 1s, or 0s for any age");
  }
  ASSIGN_OR_RETURN(out.age_grace, fields.DurationOr("connection_grace", out.age_grace, seconds(1), hours(24)));
  ASSIGN_OR_RETURN(out.keepalive, fields.DurationOr("keepalive", out.keepalive, seconds(1), hours(24)));
  ASSIGN_OR_RETURN(out.keepalive_timeout,
                   fields.DurationOr("keepalive_timeout", out.keepalive_timeout, milliseconds(100), hours(1)));
  return absl::OkStatus();
}

absl::Status ReadLimits(const config::Fields& top, Config& config) {
  Limits& out = config.limits;
  const std::optional<config::Node> node = top.Find("limits");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  using std::chrono::hours;
  using std::chrono::milliseconds;
  using std::chrono::nanoseconds;
  ASSIGN_OR_RETURN(const config::Fields fields,
                   node->Map({"in_flight", "queue", "queue_wait", "max_message", "max_buffered", "max_deadline",
                              "drain_timeout", "per_token", "connection_idle", "connection_age", "connection_grace",
                              "keepalive", "keepalive_timeout", "coalesce"}));
  ASSIGN_OR_RETURN(out.max_in_flight, fields.Uint64Or("in_flight", out.max_in_flight, 1, 100'000));
  ASSIGN_OR_RETURN(out.max_queue, fields.Uint64Or("queue", out.max_queue, 0, 100'000));
  ASSIGN_OR_RETURN(out.max_queue_wait, fields.DurationOr("queue_wait", out.max_queue_wait, milliseconds(1), hours(1)));
  ASSIGN_OR_RETURN(out.max_message_bytes,
                   fields.ByteSizeOr("max_message", out.max_message_bytes, 64 * 1024, 1024 * kMiB));
  ASSIGN_OR_RETURN(out.max_buffered_bytes,
                   fields.ByteSizeOr("max_buffered", std::max(out.max_buffered_bytes, 4 * out.max_message_bytes),
                                     4 * out.max_message_bytes, 1024 * 1024 * kMiB));
  ASSIGN_OR_RETURN(out.max_deadline, fields.DurationOr("max_deadline", out.max_deadline, milliseconds(1), hours(1)));
  ASSIGN_OR_RETURN(out.drain_timeout, fields.DurationOr("drain_timeout", out.drain_timeout, nanoseconds(0), hours(1)));
  ASSIGN_OR_RETURN(config.coalesce,
                   fields.DurationOr("coalesce", config.coalesce, nanoseconds(0), rpc::Coalescing::kMostWait));
  ASSIGN_OR_RETURN(out.per_token, ReadPerToken(fields));
  return ReadConnections(fields, config.connections);
}

absl::Status ReadAuth(const config::Fields& top, Config& config) {
  const std::optional<config::Node> auth = top.Find("auth");
  if (!auth.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, auth->Map({"tokens_file"}));
  ASSIGN_OR_RETURN(const config::Node file, fields.Require("tokens_file"));
  ASSIGN_OR_RETURN(config.tokens_file, file.Path());
  config.tokens_where = file.Where();
  return absl::OkStatus();
}

std::string DurationText(std::chrono::nanoseconds time) { return std::to_string(time.count()); }

// Every setting that a reload cannot change.
void ReadFixed(const config::Fields& top, Config& config) {
  config::FixedSettings& fixed = config.fixed;
  fixed.Add(top, "listen", rpc::TextOf(config.listen));
  const std::optional<rpc::Address>& metrics = config.metrics.address;
  fixed.Add(top, "metrics.address", metrics.has_value() ? metrics->ToString() : "");
  fixed.Add(top, "log.format", std::to_string(static_cast<int>(config.log.format)));
  fixed.Add(top, "limits.max_message", std::to_string(config.limits.max_message_bytes));
  fixed.Add(top, "limits.connection_idle", DurationText(config.connections.idle));
  fixed.Add(top, "limits.connection_age", DurationText(config.connections.max_age));
  fixed.Add(top, "limits.connection_grace", DurationText(config.connections.age_grace));
  fixed.Add(top, "limits.keepalive", DurationText(config.connections.keepalive));
  fixed.Add(top, "limits.keepalive_timeout", DurationText(config.connections.keepalive_timeout));
  fixed.Add(top, "limits.coalesce", DurationText(config.coalesce));
}

}  // namespace

absl::StatusOr<Config> ReadConfig(const config::Document& document) {
  ASSIGN_OR_RETURN(const config::Fields top,
                   document.root().Map({"listen", "enclaves", "auth", "limits", "metrics", "log"}));
  ASSIGN_OR_RETURN(const config::Node listen, top.Require("listen"));
  ASSIGN_OR_RETURN(const config::Fields listen_fields, listen.Map({"address", "tls", "insecure_plaintext"}));
  Config out;
  ASSIGN_OR_RETURN(out.listen, rpc::ReadEndpoint(listen_fields, rpc::Role::kListen, rpc::Exposure::kPublic));
  ASSIGN_OR_RETURN(out.enclaves, ReadEnclaves(top));
  RETURN_IF_ERROR(ReadAuth(top, out));
  RETURN_IF_ERROR(ReadLimits(top, out));
  ASSIGN_OR_RETURN(out.metrics, metrics::ReadOptions(top));
  ASSIGN_OR_RETURN(out.log, telemetry::ReadLogOptions(top));
  ReadFixed(top, out);
  return out;
}

}  // namespace shoji::server
