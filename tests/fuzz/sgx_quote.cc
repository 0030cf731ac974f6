// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any bytes as a quote of an SGX enclave: never accepted, and never read past its end.

#include <cstddef>
#include <cstdint>

#include "lib/attest/intel/quote.h"
#include "lib/attest/intel/root_key.h"
#include "lib/attest/sgx/sgx_verifier.h"
#include "lib/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoji::attest;  // NOLINT(google-build-using-namespace): one function
  static const auto kVerifier = [] {
    SgxVerifier::Options options;
    options.policy.unpinned = Unpinned::kAccepted;
    options.root_key = intel::IntelSgxRootKey();
    return SgxVerifier::Create(std::move(options));
  }();
  const shoji::ByteSpan bytes(data, size);
  if (const auto quote = intel::ParseQuote(bytes); quote.ok()) {
    SHOJI_CHECK(quote->signed_part.size() + quote->pck_chain.size() + quote->qe_auth_data.size() < size);
  }
  // Without collateral nothing passes.
  const Evidence evidence = {EvidenceKind::kSgx, shoji::Bytes(bytes.begin(), bytes.end())};
  const AttestationResult result =
      (*kVerifier)->Appraise(evidence, {}, shoji::SystemTime(std::chrono::seconds(1751328000)));
  SHOJI_CHECK(!result.accepted() && !result.ToStatus().ok());
  return 0;
}
