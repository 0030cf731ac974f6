// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// An address and how the connection to it is protected. The rule of the house: plaintext stays on this host (Unix
// socket or loopback) unless a public endpoint asks for it by name, and an internal endpoint that leaves the host uses
// mutual TLS.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/config/node.h"
#include "lib/rpc/address.h"

namespace shoji::rpc {

// Who uses the endpoint: clients, or our own processes among themselves.
enum class Exposure : uint8_t { kPublic, kInternal };
enum class Role : uint8_t { kListen, kConnect };

struct TransportSecurity {
  enum class Kind : uint8_t {
    kLocalPlaintext,     // Unix socket or loopback
    kTls,                // the listener proves who it is
    kMutualTls,          // both do
    kInsecurePlaintext,  // over the network, explicitly asked for
  };

  Kind kind = Kind::kLocalPlaintext;
  std::string certificate_file;  // PEM chain, leaf first. Listener: always with TLS; caller: with mutual TLS
  std::string private_key_file;  // PEM, readable by its owner only
  // PEM roots. Listener: who may call (mutual TLS). Caller: who may answer; empty: the system's roots.
  std::string ca_file;
  // Caller: the name expected in the listener's certificate; empty: the address's host.
  std::string server_name;
  // Caller: a PEM certificate or public key; only a listener that proves to hold exactly this key is accepted.
  // `ca_file` must certify it as well, but the name in its certificate does not matter then. Empty: not pinned.
  std::string server_key_file;
  // What that file held (DER SubjectPublicKeyInfo), once somebody has read it: the link then demands exactly this, and
  // the file, which may have changed meanwhile, is not read again.
  Bytes server_public_key;
  // Where a configuration states this, for errors about the files ("server.yaml:3: key 'listen.tls'"); empty: nowhere.
  std::string where;
};

struct Endpoint {
  Address address;
  TransportSecurity security;
};

// Checks `endpoint` against the rule above, and that the files its security needs are named. INVALID_ARGUMENT says what
// to change.
absl::Status CheckEndpoint(const Endpoint& endpoint, Role role, Exposure exposure);

// Address and security as text, to be compared; of files only the names.
std::string TextOf(const Endpoint& endpoint);

// Reads an endpoint from a map that allows the keys `address`, `tls` and `insecure_plaintext` (and the caller's own),
// and checks it. Relative paths, also of Unix sockets, are taken from the document's folder.
//   listen:  {address: "0.0.0.0:8443", tls: {certificate: c.pem, private_key: k.pem, client_ca: ca.pem}}
//   connect: {address: "host:9000", tls: {ca: ca.pem, certificate: c.pem, private_key: k.pem, server_name: enclave,
//             server_key: s.pem}}
// With `client_ca`, or with `certificate` and `private_key` of the caller, TLS is mutual.
absl::StatusOr<Endpoint> ReadEndpoint(const config::Fields& fields, Role role, Exposure exposure);

}  // namespace shoji::rpc
