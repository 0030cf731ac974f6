// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/digest/sha2.h"

namespace shoji::server {

// The bearer tokens that may call, and what their file says of each. Only a token's SHA-256 is kept, and the time a
// check takes depends on neither the token nor which one matches. Copyable; thread-compatible.
class TokenTable {
 public:
  static constexpr size_t kMinTokenLength = 16;
  static constexpr size_t kMaxTokenLength = 512;
  static constexpr size_t kMaxNameLength = 64;

  struct Entry {
    digest::Sha256Digest digest = {};
    std::string name;  // empty: none is given
    // As AccountLimits; nullopt: as for all tokens.
    std::optional<double> rate = std::nullopt;
    std::optional<uint64_t> burst = std::nullopt;
    std::optional<size_t> in_flight = std::nullopt;
  };

  // One token a line, and before it what holds for it:
  //   [name=WORD] [rate=CALLS_A_SECOND] [burst=CALLS] [in_flight=CALLS] TOKEN
  // Several tokens of one name are one caller, and must have the same limits. Blank lines and lines that start with '#'
  // do not count. Errors name `path` and the line, never a token: the file is missing or open to group or others, holds
  // no token, a token is too short or not printable, or a word before it is none of these.
  static absl::StatusOr<TokenTable> Load(const std::string& path);
  static absl::StatusOr<TokenTable> Parse(std::string_view text, const std::string& name);

  // The number of the entry of `token`; nullopt when there is none.
  std::optional<size_t> Find(std::string_view token) const;
  // As Find, of the value of an `authorization` header: "Bearer <token>" (RFC 6750 section 2.1).
  std::optional<size_t> FindHeader(std::string_view header) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace shoji::server
