// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Signs simulated evidence with a fresh key, as an operator's machine would.
#pragma once

#include <string>

#include <openssl/evp.h>

#include "lib/attest/simulated/simulated_evidence.h"
#include "lib/base/check.h"
#include "lib/base/file.h"

namespace shoji::testing {

// Thread-compatible.
class SimulatedSigner {
 public:
  SimulatedSigner() : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")) { SHOJI_CHECK(key_ != nullptr); }
  ~SimulatedSigner() { EVP_PKEY_free(key_); }
  SimulatedSigner(const SimulatedSigner&) = delete;
  SimulatedSigner& operator=(const SimulatedSigner&) = delete;

  attest::Ed25519PublicKey public_key() const {
    attest::Ed25519PublicKey out = {};
    size_t size = out.size();
    SHOJI_CHECK(EVP_PKEY_get_raw_public_key(key_, out.data(), &size) == 1);
    return out;
  }
  // Fills in signer and signature.
  attest::SimulatedEvidence Sign(attest::SimulatedEvidence evidence) const {
    evidence.signer = public_key();
    const Bytes message = attest::SimulatedEvidenceSignedMessage(evidence);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    size_t size = evidence.signature.size();
    SHOJI_CHECK(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key_) == 1);
    SHOJI_CHECK(EVP_DigestSign(context, evidence.signature.data(), &size, message.data(), message.size()) == 1);
    EVP_MD_CTX_free(context);
    return evidence;
  }

 private:
  EVP_PKEY* const key_;
};

}  // namespace shoji::testing
