// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/endpoint.h"

#include <optional>
#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::rpc {
namespace {

using Kind = TransportSecurity::Kind;

absl::StatusOr<TransportSecurity> ReadListenTls(const config::Node& node) {
  ASSIGN_OR_RETURN(const config::Fields tls, node.Map({"certificate", "private_key", "client_ca"}));
  TransportSecurity out;
  out.where = node.Where();
  ASSIGN_OR_RETURN(out.certificate_file, tls.Path("certificate"));
  ASSIGN_OR_RETURN(out.private_key_file, tls.Path("private_key"));
  ASSIGN_OR_RETURN(out.ca_file, tls.PathOr("client_ca", ""));
  out.kind = out.ca_file.empty() ? Kind::kTls : Kind::kMutualTls;
  return out;
}

absl::StatusOr<TransportSecurity> ReadConnectTls(const config::Node& node) {
  ASSIGN_OR_RETURN(const config::Fields tls,
                   node.Map({"ca", "certificate", "private_key", "server_name", "server_key"}));
  TransportSecurity out;
  out.where = node.Where();
  ASSIGN_OR_RETURN(out.ca_file, tls.PathOr("ca", ""));
  ASSIGN_OR_RETURN(out.server_name, tls.StringOr("server_name", ""));
  ASSIGN_OR_RETURN(out.server_key_file, tls.PathOr("server_key", ""));
  if (tls.Has("certificate") != tls.Has("private_key")) {
    return node.Error("'certificate' and 'private_key' go together: both (mutual TLS) or neither");
  }
  ASSIGN_OR_RETURN(out.certificate_file, tls.PathOr("certificate", ""));
  ASSIGN_OR_RETURN(out.private_key_file, tls.PathOr("private_key", ""));
  out.kind = out.certificate_file.empty() ? Kind::kTls : Kind::kMutualTls;
  return out;
}

}  // namespace

std::string TextOf(const Endpoint& endpoint) {
  const TransportSecurity& security = endpoint.security;
  std::string out = endpoint.address.ToString() + " " + std::to_string(static_cast<int>(security.kind));
  for (const std::string* file : {&security.certificate_file, &security.private_key_file, &security.ca_file,
                                  &security.server_name, &security.server_key_file}) {
    out += " '" + *file + "'";
  }
  return out;
}

absl::Status CheckEndpoint(const Endpoint& endpoint, Role role, Exposure exposure) {
  const TransportSecurity& security = endpoint.security;
  const std::string where = endpoint.address.ToString();
  const bool is_local = endpoint.address.IsLocal();
  const bool is_plaintext = security.kind == Kind::kLocalPlaintext || security.kind == Kind::kInsecurePlaintext;
  if (exposure == Exposure::kInternal && !is_local && security.kind != Kind::kMutualTls) {
    return absl::InvalidArgumentError("the internal address " + where +
                                      " leaves this host: give it mutual TLS, or use a Unix socket or loopback");
  }
  if (security.kind == Kind::kLocalPlaintext && !is_local) {
    return absl::InvalidArgumentError(
        "plaintext on " + where +
        " would cross the network: add 'tls', use loopback, or say 'insecure_plaintext: true'");
  }
  if (is_plaintext) {
    return absl::OkStatus();
  }
  const bool needs_identity = role == Role::kListen || security.kind == Kind::kMutualTls;
  if (needs_identity && (security.certificate_file.empty() || security.private_key_file.empty())) {
    return absl::InvalidArgumentError("TLS on " + where + " needs a certificate and a private key");
  }
  if (security.kind == Kind::kMutualTls && security.ca_file.empty()) {
    return absl::InvalidArgumentError("mutual TLS on " + where + " needs the CA that signs the other side");
  }
  if (!security.server_key_file.empty() && security.ca_file.empty()) {
    return absl::InvalidArgumentError("the pinned key of " + where +
                                      " needs the CA that signs its certificate (or that certificate itself) as 'ca'");
  }
  return absl::OkStatus();
}

absl::StatusOr<Endpoint> ReadEndpoint(const config::Fields& fields, Role role, Exposure exposure) {
  Endpoint out;
  ASSIGN_OR_RETURN(const config::Node node, fields.Require("address"));
  ASSIGN_OR_RETURN(const std::string text, node.String());
  absl::StatusOr<Address> address = ParseAddress(text, node.Folder());
  RETURN_IF_ERROR(node.Annotate(address.status()));
  out.address = *std::move(address);
  ASSIGN_OR_RETURN(const bool is_plaintext_asked, fields.BoolOr("insecure_plaintext", false));
  const std::optional<config::Node> tls = fields.Find("tls");
  if (tls.has_value() && is_plaintext_asked) {
    return fields.node().Error("'tls' and 'insecure_plaintext' exclude each other");
  }
  if (tls.has_value()) {
    ASSIGN_OR_RETURN(out.security, role == Role::kListen ? ReadListenTls(*tls) : ReadConnectTls(*tls));
  } else if (is_plaintext_asked && !out.address.IsLocal()) {
    out.security.kind = Kind::kInsecurePlaintext;
  }
  RETURN_IF_ERROR(node.Annotate(CheckEndpoint(out, role, exposure)));
  return out;
}

}  // namespace shoji::rpc
