// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// X.509 certificates and revocation lists (RFC 5280) as values. Only DER that encodes again to the same bytes is taken,
// so that no bit of one can be changed without changing what is signed, or the signature.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

struct x509_st;
struct X509_crl_st;

namespace shoji::attest::x509 {

struct Validity {
  SystemTime from;
  SystemTime until;
};

// Immutable; copies share the parsed form. Thread-safe.
class Certificate {
 public:
  // INVALID_ARGUMENT.
  static absl::StatusOr<Certificate> FromDer(ByteSpan der);

  // "CN=Intel SGX PCK Certificate,O=Intel Corporation,...", RFC 2253.
  std::string Subject() const;
  std::string Issuer() const;
  // Empty when there is none, or more than one.
  std::string CommonName() const;
  std::string IssuerCommonName() const;
  Validity validity() const { return validity_; }
  // The content of the DER INTEGER.
  Bytes SerialNumber() const;
  // SubjectPublicKeyInfo, DER.
  Bytes PublicKeyInfo() const;
  // The content of the extension with this dotted object identifier; nullopt when there is none, or more than one.
  std::optional<Bytes> Extension(const std::string& object_identifier) const;
  Bytes Der() const;

  // For this library.
  x509_st* native() const { return native_.get(); }

 private:
  Certificate(std::shared_ptr<x509_st> native, Validity validity) : native_(std::move(native)), validity_(validity) {}

  std::shared_ptr<x509_st> native_;  // shared by copies of an immutable value
  Validity validity_;
};

// Every certificate of a PEM bundle, in order. INVALID_ARGUMENT.
absl::StatusOr<std::vector<Certificate>> CertificatesFromPem(ByteSpan pem);

// Immutable; copies share the parsed form. Thread-safe.
class RevocationList {
 public:
  // INVALID_ARGUMENT; also for a list without a next update and for critical extensions, none of which is understood.
  static absl::StatusOr<RevocationList> FromDer(ByteSpan der);

  std::string Issuer() const;
  // thisUpdate and nextUpdate.
  Validity validity() const { return validity_; }
  size_t num_revoked() const;
  // Whether `issuer` made it, by name and signature. INVALID_ARGUMENT says what is wrong.
  absl::Status CheckIssuedBy(const Certificate& issuer) const;
  bool NamesIssuer(const Certificate& issuer) const;
  // Whether it lists `certificate` of the same issuer, for whatever reason.
  bool Revokes(const Certificate& certificate) const;

 private:
  RevocationList(std::shared_ptr<X509_crl_st> native, Validity validity)
      : native_(std::move(native)), validity_(validity) {}

  std::shared_ptr<X509_crl_st> native_;  // shared by copies of an immutable value
  Validity validity_;
};

// "2025-07-01T00:00:00Z"
std::string TimeToString(SystemTime time);

}  // namespace shoji::attest::x509
