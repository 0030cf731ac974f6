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

absl::StatusOr<Limits> ReadLimits(const config::Fields& top) {
  Limits out;
  const std::optional<config::Node> node = top.Find("limits");
  if (!node.has_value()) {
    return out;
  }
  ASSIGN_OR_RETURN(const config::Fields fields,
                   node->Map({"in_flight", "queue", "max_message", "max_buffered", "max_deadline", "drain_timeout"}));
  ASSIGN_OR_RETURN(out.max_in_flight, fields.Uint64Or("in_flight", out.max_in_flight, 1, 100'000));
  ASSIGN_OR_RETURN(out.max_queue, fields.Uint64Or("queue", out.max_queue, 0, 100'000));
  ASSIGN_OR_RETURN(out.max_message_bytes,
                   fields.ByteSizeOr("max_message", out.max_message_bytes, 64 * 1024, 1024 * kMiB));
  ASSIGN_OR_RETURN(out.max_buffered_bytes,
                   fields.ByteSizeOr("max_buffered", std::max(out.max_buffered_bytes, 4 * out.max_message_bytes),
                                     4 * out.max_message_bytes, 1024 * 1024 * kMiB));
  ASSIGN_OR_RETURN(out.max_deadline, fields.DurationOr("max_deadline", out.max_deadline, std::chrono::milliseconds(1),
                                                       std::chrono::hours(1)));
  ASSIGN_OR_RETURN(out.drain_timeout, fields.DurationOr("drain_timeout", out.drain_timeout, std::chrono::nanoseconds(0),
                                                        std::chrono::hours(1)));
  return out;
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

}  // namespace

absl::StatusOr<Config> ReadConfig(const config::Document& document) {
  ASSIGN_OR_RETURN(const config::Fields top, document.root().Map({"listen", "enclaves", "auth", "limits", "log"}));
  ASSIGN_OR_RETURN(const config::Node listen, top.Require("listen"));
  ASSIGN_OR_RETURN(const config::Fields listen_fields, listen.Map({"address", "tls", "insecure_plaintext"}));
  Config out;
  ASSIGN_OR_RETURN(out.listen, rpc::ReadEndpoint(listen_fields, rpc::Role::kListen, rpc::Exposure::kPublic));
  ASSIGN_OR_RETURN(out.enclaves, ReadEnclaves(top));
  RETURN_IF_ERROR(ReadAuth(top, out));
  ASSIGN_OR_RETURN(out.limits, ReadLimits(top));
  ASSIGN_OR_RETURN(out.log, telemetry::ReadLogOptions(top));
  return out;
}

}  // namespace shoji::server
