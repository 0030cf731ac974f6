// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/digest/sha2.h"

namespace shoji::server {

// The bearer tokens that may call. Only their SHA-256 is kept, and the time a check takes depends on neither the token
// nor which one matches. Copyable; thread-compatible.
class TokenTable {
 public:
  static constexpr size_t kMinTokenLength = 16;
  static constexpr size_t kMaxTokenLength = 512;

  // One token a line; blank lines and lines that start with '#' do not count. Errors name `path` and the line, never a
  // token: the file is missing or open to group or others, holds no token, or a token is too short or not printable.
  static absl::StatusOr<TokenTable> Load(const std::string& path);
  static absl::StatusOr<TokenTable> Parse(std::string_view text, const std::string& name);

  bool Accepts(std::string_view token) const;
  // As Accepts, of the value of an `authorization` header: "Bearer <token>" (RFC 6750 section 2.1).
  bool AcceptsHeader(std::string_view header) const;
  size_t size() const { return digests_.size(); }

 private:
  std::vector<digest::Sha256Digest> digests_;
};

}  // namespace shoji::server
