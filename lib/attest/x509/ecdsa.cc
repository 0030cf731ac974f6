// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/ecdsa.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "lib/base/check.h"

namespace shoji::attest::x509 {
namespace {

struct Curve {
  const char* name;
  size_t field_bytes;
  const EVP_MD* (*hash)();
};

Curve CurveOf(EcdsaScheme scheme) {
  return scheme == EcdsaScheme::kP256Sha256 ? Curve{SN_X9_62_prime256v1, 32, EVP_sha256}
                                            : Curve{SN_secp384r1, 48, EVP_sha384};
}

// r || s as the DER that OpenSSL takes; it refuses values out of range itself.
Bytes ToDer(ByteSpan signature) {
  const size_t half = signature.size() / 2;
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> values(ECDSA_SIG_new(), ECDSA_SIG_free);
  BIGNUM* r = BN_bin2bn(signature.data(), static_cast<int>(half), nullptr);
  BIGNUM* s = BN_bin2bn(signature.data() + half, static_cast<int>(half), nullptr);
  SHOJI_CHECK(values != nullptr && r != nullptr && s != nullptr && ECDSA_SIG_set0(values.get(), r, s) == 1);
  const int size = i2d_ECDSA_SIG(values.get(), nullptr);
  SHOJI_CHECK(size > 0);
  Bytes out(static_cast<size_t>(size));
  unsigned char* position = out.data();
  i2d_ECDSA_SIG(values.get(), &position);
  return out;
}

}  // namespace

absl::StatusOr<EcdsaPublicKey> EcdsaPublicKey::FromPoint(EcdsaScheme scheme, ByteSpan point) {
  const Curve curve = CurveOf(scheme);
  if (point.size() != 2 * curve.field_bytes) {
    return absl::InvalidArgumentError("a public key of " + std::to_string(point.size()) + " bytes");
  }
  Bytes uncompressed = {POINT_CONVERSION_UNCOMPRESSED};
  Append(uncompressed, point);
  std::string group = curve.name;
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, uncompressed.data(), uncompressed.size()),
      OSSL_PARAM_construct_end()};
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), EVP_PKEY_CTX_free);
  SHOJI_CHECK(context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1);
  EVP_PKEY* key = nullptr;
  const bool valid =
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(parameters.data())) == 1;
  ERR_clear_error();
  if (!valid) {
    return absl::InvalidArgumentError("the public key is no point of the curve");
  }
  return EcdsaPublicKey(scheme, std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free));
}

absl::StatusOr<EcdsaPublicKey> EcdsaPublicKey::Of(EcdsaScheme scheme, const Certificate& certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate.native());
  std::array<char, 64> group = {};
  size_t size = 0;
  const bool right = key != nullptr && EVP_PKEY_is_a(key, "EC") == 1 &&
                     EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
                     std::string_view(group.data(), size) == CurveOf(scheme).name;
  ERR_clear_error();
  if (!right) {
    return absl::InvalidArgumentError(certificate.Subject() + " has no key of curve " + CurveOf(scheme).name);
  }
  SHOJI_CHECK(EVP_PKEY_up_ref(key) == 1);
  return EcdsaPublicKey(scheme, std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free));
}

bool EcdsaPublicKey::Verifies(ByteSpan message, ByteSpan signature) const {
  const Curve curve = CurveOf(scheme_);
  if (signature.size() != 2 * curve.field_bytes) {
    return false;
  }
  const Bytes der = ToDer(signature);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  SHOJI_CHECK(context != nullptr);
  const bool valid = EVP_DigestVerifyInit(context.get(), nullptr, curve.hash(), nullptr, key_.get()) == 1 &&
                     EVP_DigestVerify(context.get(), der.data(), der.size(), message.data(), message.size()) == 1;
  ERR_clear_error();
  return valid;
}

}  // namespace shoji::attest::x509
