// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/base64.h"

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace shoji {

std::string Base64Encode(ByteSpan bytes) {
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::optional<Bytes> Base64Decode(std::string_view text) {
  std::string out;
  // Abseil takes more than one form of the same bytes.
  if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &out) || absl::Base64Escape(out) != text) {
    return std::nullopt;
  }
  return ToBytes(out);
}

}  // namespace shoji
