// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any bytes as a sealed model's header, and as a release of its key.

#include <cstddef>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/channel/release.h"
#include "lib/sealed_model/header.h"
#include "lib/sealed_model/layout.h"

namespace {

// What holds of every header that is accepted.
void CheckAccepted(const shoji::sealed_model::Header& header) {
  using shoji::sealed_model::ConfidentialNodes;
  SHOJI_CHECK(header.terms.queries_per_release >= 1);
  SHOJI_CHECK(!header.parts.empty() && header.plaintext_size() >= 1);
  SHOJI_CHECK(header.plaintext_size() <= shoji::sealed_model::kMaxPlaintextBytes);
  SHOJI_CHECK(header.terms.confidential.nodes.empty() ==
              (header.terms.confidential.extent == ConfidentialNodes::Extent::kAll));
  SHOJI_CHECK(!shoji::sealed_model::Describe(header.terms.confidential).empty());
  const shoji::Bytes encoded = shoji::sealed_model::EncodeHeader(header);
  SHOJI_CHECK(shoji::sealed_model::ParseHeader(encoded).ok());
  SHOJI_CHECK(shoji::sealed_model::SealedSize(encoded.size(), header.plaintext_size()) > header.plaintext_size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const shoji::ByteSpan bytes(data, size);
  if (const auto header = shoji::sealed_model::ParseHeader(bytes); header.ok()) {
    CheckAccepted(*header);
  } else {
    SHOJI_CHECK(!header.status().message().empty());
  }
  SHOJI_CHECK(shoji::channel::ParseRelease(bytes).ok() <= (size == shoji::channel::kReleaseSize));
  return 0;
}
