// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <utility>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/attest/x509/certificate.h"
#include "lib/attest/x509/der.h"
#include "lib/attest/x509/openssl_values.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::x509 {
namespace {

bool AnyCritical(const STACK_OF(X509_EXTENSION) * extensions) {
  for (int i = 0; i < X509v3_get_ext_count(extensions); ++i) {
    if (X509_EXTENSION_get_critical(X509v3_get_ext(extensions, i)) != 0) {
      return true;
    }
  }
  return false;
}

// What a critical extension says would have to be understood: a list for some reasons only, or of changes only.
bool HoldsCriticalExtension(X509_CRL* crl) {
  if (AnyCritical(X509_CRL_get0_extensions(crl))) {
    return true;
  }
  const STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(revoked); ++i) {
    if (AnyCritical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(revoked, i)))) {
      return true;
    }
  }
  return false;
}

// OpenSSL verifies by the algorithm outside of the signed part; RFC 5280, section 5.1.1.2, demands that the one inside
// is the same, and OpenSSL compares them for certificates only.
absl::Status CheckAlgorithms(ByteSpan der) {
  DerReader whole(der);
  ASSIGN_OR_RETURN(const ByteSpan list, whole.Next(kDerSequence));
  DerReader parts(list);
  ASSIGN_OR_RETURN(const ByteSpan signed_part, parts.Next(kDerSequence));
  ASSIGN_OR_RETURN(const ByteSpan outside, parts.Next(kDerSequence));
  DerReader fields(signed_part);
  ASSIGN_OR_RETURN(DerElement inside, fields.Next());
  if (inside.tag == kDerInteger) {  // the version
    ASSIGN_OR_RETURN(inside, fields.Next());
  }
  if (inside.tag != kDerSequence ||
      !std::equal(inside.content.begin(), inside.content.end(), outside.begin(), outside.end())) {
    return absl::InvalidArgumentError("the revocation list names two algorithms for its signature");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RevocationList> RevocationList::FromDer(ByteSpan der) {
  ASSIGN_OR_RETURN(const long size, SizeForOpenSsl(der, "revocation list"));
  const unsigned char* position = der.data();
  std::shared_ptr<X509_CRL> native(d2i_X509_CRL(nullptr, &position, size), X509_CRL_free);
  ERR_clear_error();
  if (native == nullptr || position != der.data() + der.size() || !EncodesTo(native.get(), i2d_X509_CRL, der)) {
    return absl::InvalidArgumentError("not an X.509 revocation list in DER");
  }
  RETURN_IF_ERROR(CheckAlgorithms(der));
  if (HoldsCriticalExtension(native.get())) {
    return absl::InvalidArgumentError("the revocation list has a critical extension that is not understood");
  }
  if (X509_CRL_get0_nextUpdate(native.get()) == nullptr) {
    return absl::InvalidArgumentError("the revocation list does not say until when it holds");
  }
  ASSIGN_OR_RETURN(const SystemTime from, TimeOf(X509_CRL_get0_lastUpdate(native.get())));
  ASSIGN_OR_RETURN(const SystemTime until, TimeOf(X509_CRL_get0_nextUpdate(native.get())));
  return RevocationList(std::move(native), Validity{from, until});
}

std::string RevocationList::Issuer() const { return NameToString(X509_CRL_get_issuer(native_.get())); }

size_t RevocationList::num_revoked() const {
  const int num = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(native_.get()));
  return num < 0 ? 0 : static_cast<size_t>(num);
}

bool RevocationList::NamesIssuer(const Certificate& issuer) const {
  return X509_NAME_cmp(X509_CRL_get_issuer(native_.get()), X509_get_subject_name(issuer.native())) == 0;
}

absl::Status RevocationList::CheckIssuedBy(const Certificate& issuer) const {
  if (!NamesIssuer(issuer)) {
    return absl::InvalidArgumentError("expected a revocation list of " + issuer.Subject() + ", found one of " +
                                      Issuer());
  }
  // RFC 5280, section 6.3.3 (f); X509_get_key_usage gives all bits where there is no such extension.
  if ((X509_get_key_usage(issuer.native()) & KU_CRL_SIGN) == 0) {
    return absl::InvalidArgumentError(issuer.Subject() + " may not sign revocation lists");
  }
  EVP_PKEY* key = X509_get0_pubkey(issuer.native());
  const bool valid = key != nullptr && X509_CRL_verify(native_.get(), key) == 1;
  ERR_clear_error();
  if (!valid) {
    return absl::InvalidArgumentError("the revocation list is not signed by " + issuer.Subject());
  }
  return absl::OkStatus();
}

bool RevocationList::Revokes(const Certificate& certificate) const {
  X509_REVOKED* entry = nullptr;
  return X509_NAME_cmp(X509_CRL_get_issuer(native_.get()), X509_get_issuer_name(certificate.native())) == 0 &&
         X509_CRL_get0_by_serial(native_.get(), &entry, X509_get0_serialNumber(certificate.native())) != 0;
}

}  // namespace shoji::attest::x509
