// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/pem.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/base64.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::x509 {
namespace {

constexpr size_t kMaxBlocks = 64;

// Takes one end of line, "\n" or "\r\n", off the front of `text`.
bool TakeLineEnd(std::string_view& text) {
  const size_t length = text.starts_with("\r\n") ? 2 : text.starts_with('\n') ? 1 : 0;
  text.remove_prefix(length);
  return length != 0;
}

bool Take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) {
    return false;
  }
  text.remove_prefix(what.size());
  return true;
}

// Base64 with line ends between characters; stops at the first '-'.
absl::StatusOr<Bytes> TakeBase64(std::string_view& text) {
  std::string letters;
  while (!text.empty() && text.front() != '-') {
    if (!TakeLineEnd(text)) {
      letters += text.front();
      text.remove_prefix(1);
    }
  }
  std::optional<Bytes> out = Base64Decode(letters);
  if (!out.has_value() || out->empty()) {
    return absl::InvalidArgumentError("the text between the lines is not base64, or is cut short");
  }
  return *std::move(out);
}

}  // namespace

absl::StatusOr<std::vector<Bytes>> DecodePem(ByteSpan bytes, std::string_view label) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (text.ends_with('\0')) {
    text.remove_suffix(1);
  }
  const std::string begin = "-----BEGIN " + std::string(label) + "-----";
  const std::string end = "-----END " + std::string(label) + "-----";
  std::vector<Bytes> out;
  while (!text.empty()) {
    if (TakeLineEnd(text)) {
      continue;
    }
    if (!Take(text, begin) || !TakeLineEnd(text)) {
      return absl::InvalidArgumentError("expected a line \"" + begin + "\"");
    }
    ASSIGN_OR_RETURN(Bytes der, TakeBase64(text));
    if (!Take(text, end) || (!text.empty() && !TakeLineEnd(text))) {
      return absl::InvalidArgumentError("expected a line \"" + end + "\"");
    }
    if (out.size() == kMaxBlocks) {
      return absl::InvalidArgumentError("more than " + std::to_string(kMaxBlocks) + " PEM blocks");
    }
    out.push_back(std::move(der));
  }
  if (out.empty()) {
    return absl::InvalidArgumentError("no line \"" + begin + "\"");
  }
  return out;
}

bool LooksLikePem(ByteSpan text) {
  static constexpr std::string_view kBegin = "-----BEGIN ";
  return std::search(text.begin(), text.end(), kBegin.begin(), kBegin.end()) != text.end();
}

}  // namespace shoji::attest::x509
