// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any text as saved evidence: what is read is read the same when it is written again.

#include <cstddef>
#include <cstdint>

#include "client/evidence_file.h"
#include "lib/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoji::client;  // NOLINT(google-build-using-namespace): one function
  const auto saved = ParseSavedEvidence({data, size});
  if (saved.ok()) {
    const std::string text = EncodeSavedEvidence(*saved);
    const auto again = ParseSavedEvidence(shoji::AsBytes(text));
    SHOJI_CHECK(again.ok() && EncodeSavedEvidence(*again) == text);
    SHOJI_CHECK(again->reply.manifest == saved->reply.manifest);
    SHOJI_CHECK(again->reply.evidence.data == saved->reply.evidence.data);
  }
  return 0;
}
