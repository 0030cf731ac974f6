// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::rpc {

// A certificate chain and its private key, as PEM text.
struct PemIdentity {
  std::string certificate_chain;
  std::string private_key;
};

// Reads both files. Errors name the file: it is missing, not PEM, the key can be read by group or others
// (PERMISSION_DENIED), or the key is not the certificate's.
absl::StatusOr<PemIdentity> LoadPemIdentity(const std::string& certificate_file, const std::string& private_key_file);

// Reads a file of one or more PEM certificates.
absl::StatusOr<std::string> LoadPemCertificates(const std::string& path);

// The public key in a file of a PEM certificate (the first, where there are more) or a PEM public key, as DER
// SubjectPublicKeyInfo (RFC 5280, section 4.1).
absl::StatusOr<Bytes> LoadPemPublicKey(const std::string& path);
// That of a certificate given as PEM text; empty when it is none.
Bytes PublicKeyOf(const std::string& certificate_pem);

}  // namespace shoji::rpc
