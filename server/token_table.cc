// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/token_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::server {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;

// Without a branch on what the digests hold.
bool ConstantTimeEquals(const digest::Sha256Digest& a, const digest::Sha256Digest& b) {
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool IsPrintable(std::string_view token) {
  return std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

absl::StatusOr<TokenTable> TokenTable::Load(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes content, ReadFile(path, kMaxFileBytes));
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError("cannot open " + path + ": " + std::strerror(errno));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError("the tokens file " + path +
                                       " is open to group or others; restrict it with: chmod 600 " + path);
  }
  return Parse(ToString(content), path);
}

absl::StatusOr<TokenTable> TokenTable::Parse(std::string_view text, const std::string& name) {
  TokenTable out;
  size_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view token = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (token.empty() || token.front() == '#') {
      continue;
    }
    const std::string where = name + ":" + std::to_string(line_number) + ": ";
    if (token.size() < kMinTokenLength || token.size() > kMaxTokenLength) {
      return absl::InvalidArgumentError(where + "a token must have from " + std::to_string(kMinTokenLength) + " to " +
                                        std::to_string(kMaxTokenLength) +
                                        " characters; make one with: openssl rand -hex 32");
    }
    if (!IsPrintable(token)) {
      return absl::InvalidArgumentError(where + "a token must be one word of printable ASCII characters");
    }
    out.digests_.push_back(digest::Sha256(AsBytes(token)));
  }
  if (out.digests_.empty()) {
    return absl::InvalidArgumentError(name + " holds no token; put one on a line, or remove 'auth' to let anyone call");
  }
  return out;
}

bool TokenTable::Accepts(std::string_view token) const {
  const digest::Sha256Digest digest = digest::Sha256(AsBytes(token.substr(0, kMaxTokenLength + 1)));
  bool is_found = false;
  for (const digest::Sha256Digest& known : digests_) {
    const bool is_equal = ConstantTimeEquals(known, digest);
    is_found = is_found | is_equal;
  }
  return is_found;
}

bool TokenTable::AcceptsHeader(std::string_view header) const {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size()) {
    return false;
  }
  // The scheme's name is case-insensitive (RFC 9110 section 11.1).
  const bool is_bearer = std::equal(kScheme.begin(), kScheme.end(), header.begin(), [](char expected, char found) {
    return expected == static_cast<char>(std::tolower(static_cast<unsigned char>(found)));
  });
  return is_bearer && Accepts(header.substr(kScheme.size()));
}

}  // namespace shoji::server
