// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/certificate.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/attest/x509/openssl_values.h"
#include "lib/attest/x509/pem.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::x509 {
namespace {

std::string OnlyCommonName(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, index) >= 0) {
    return "";
  }
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
  return ToString({ASN1_STRING_get0_data(value), static_cast<size_t>(ASN1_STRING_length(value))});
}

}  // namespace

absl::StatusOr<Certificate> Certificate::FromDer(ByteSpan der) {
  ASSIGN_OR_RETURN(const long size, SizeForOpenSsl(der, "certificate"));
  const unsigned char* position = der.data();
  std::shared_ptr<X509> native(d2i_X509(nullptr, &position, size), X509_free);
  ERR_clear_error();
  if (native == nullptr || position != der.data() + der.size() || !EncodesTo(native.get(), i2d_X509, der)) {
    return absl::InvalidArgumentError("not an X.509 certificate in DER");
  }
  ASSIGN_OR_RETURN(const SystemTime from, TimeOf(X509_get0_notBefore(native.get())));
  ASSIGN_OR_RETURN(const SystemTime until, TimeOf(X509_get0_notAfter(native.get())));
  return Certificate(std::move(native), Validity{from, until});
}

std::string Certificate::Subject() const { return NameToString(X509_get_subject_name(native())); }
std::string Certificate::Issuer() const { return NameToString(X509_get_issuer_name(native())); }
std::string Certificate::CommonName() const { return OnlyCommonName(X509_get_subject_name(native())); }
std::string Certificate::IssuerCommonName() const { return OnlyCommonName(X509_get_issuer_name(native())); }

Bytes Certificate::SerialNumber() const {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(native());
  return {ASN1_STRING_get0_data(serial), ASN1_STRING_get0_data(serial) + ASN1_STRING_length(serial)};
}

Bytes Certificate::PublicKeyInfo() const { return Encode(X509_get_X509_PUBKEY(native()), i2d_X509_PUBKEY); }
Bytes Certificate::Der() const { return Encode(native(), i2d_X509); }

std::optional<Bytes> Certificate::Extension(const std::string& object_identifier) const {
  const std::unique_ptr<ASN1_OBJECT, decltype(&ASN1_OBJECT_free)> wanted(OBJ_txt2obj(object_identifier.c_str(), 1),
                                                                         ASN1_OBJECT_free);
  const int index = wanted == nullptr ? -1 : X509_get_ext_by_OBJ(native(), wanted.get(), -1);
  if (index < 0 || X509_get_ext_by_OBJ(native(), wanted.get(), index) >= 0) {
    return std::nullopt;
  }
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(native(), index));
  return Bytes(ASN1_STRING_get0_data(value), ASN1_STRING_get0_data(value) + ASN1_STRING_length(value));
}

absl::StatusOr<std::vector<Certificate>> CertificatesFromPem(ByteSpan pem) {
  ASSIGN_OR_RETURN(const std::vector<Bytes> blocks, DecodePem(pem, "CERTIFICATE"));
  std::vector<Certificate> out;
  for (const Bytes& der : blocks) {
    ASSIGN_OR_RETURN(Certificate certificate, Certificate::FromDer(der));
    out.push_back(std::move(certificate));
  }
  return out;
}

}  // namespace shoji::attest::x509
