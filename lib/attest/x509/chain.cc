// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/chain.h"

#include <algorithm>
#include <memory>
#include <string>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "lib/base/check.h"

namespace shoji::attest::x509 {
namespace {

constexpr int kSecurityLevel = 2;  // at least 112 bits: no SHA-1, no short RSA

// Borrows the certificates.
using Stack = std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)>;

Stack StackOf(std::span<const Certificate> certificates) {
  Stack out(sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  SHOJI_CHECK(out != nullptr);
  for (const Certificate& certificate : certificates) {
    SHOJI_CHECK(sk_X509_push(out.get(), certificate.native()) > 0);
  }
  return out;
}

}  // namespace

absl::Status VerifyChain(std::span<const Certificate> chain, std::span<const Bytes> pinned) {
  if (chain.size() < 2) {
    return absl::InvalidArgumentError("a chain of " + std::to_string(chain.size()) + " certificates");
  }
  const Certificate& root = chain.back();
  if (std::find(pinned.begin(), pinned.end(), root.PublicKeyInfo()) == pinned.end()) {
    return absl::InvalidArgumentError("the chain ends in " + root.Subject() + " with a key that is not the vendor's");
  }
  const Stack trusted = StackOf(chain.last(1));
  const Stack intermediates = StackOf(chain.subspan(1, chain.size() - 2));
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
  SHOJI_CHECK(context != nullptr &&
              X509_STORE_CTX_init(context.get(), nullptr, chain.front().native(), intermediates.get()) == 1);
  X509_STORE_CTX_set0_trusted_stack(context.get(), trusted.get());
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_CHECK_SS_SIGNATURE);
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  const bool valid = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!valid) {
    const int depth = X509_STORE_CTX_get_error_depth(context.get());
    const auto index = std::min(chain.size() - 1, static_cast<size_t>(std::max(depth, 0)));
    return absl::InvalidArgumentError(chain[index].Subject() + ": " +
                                      X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
  }
  // What was verified is what was given, all of it and in its order.
  const STACK_OF(X509)* verified = X509_STORE_CTX_get0_chain(context.get());
  bool same = sk_X509_num(verified) == static_cast<int>(chain.size());
  for (size_t i = 0; same && i < chain.size(); ++i) {
    same = X509_cmp(sk_X509_value(verified, static_cast<int>(i)), chain[i].native()) == 0;
  }
  return same ? absl::OkStatus() : absl::InvalidArgumentError("the certificates are no chain in the order given");
}

absl::Status CheckValidity(std::span<const Certificate> chain, SystemTime now) {
  for (const Certificate& certificate : chain) {
    const Validity validity = certificate.validity();
    if (now < validity.from || now > validity.until) {
      return absl::InvalidArgumentError(certificate.Subject() + " is valid from " + TimeToString(validity.from) +
                                        " to " + TimeToString(validity.until) + ", not at " + TimeToString(now));
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::attest::x509
