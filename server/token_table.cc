// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/token_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
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

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= TokenTable::kMaxNameLength &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
         });
}

// A whole number from 1 to a million.
std::optional<uint64_t> Count(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_valid = error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= 1'000'000;
  return is_valid ? std::optional<uint64_t>(value) : std::nullopt;
}

// A number above zero, up to a million: "0.5".
std::optional<double> Rate(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_valid = error == std::errc() && end == text.data() + text.size() && value >= 0.001 && value <= 1e6;
  return is_valid ? std::optional<double>(value) : std::nullopt;
}

// What stands before a token, one word of it. Errors do not repeat the word: it may be a token.
absl::Status ReadWord(std::string_view word, TokenTable::Entry& entry) {
  const size_t equals = word.find('=');
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
  if (key == "name") {
    entry.name = std::string(value);
    return IsName(value) ? absl::OkStatus()
                         : absl::InvalidArgumentError("a name has up to 64 letters, digits and '.', '_', '-'");
  }
  if (key == "rate") {
    entry.rate = Rate(value);
    return entry.rate.has_value()
               ? absl::OkStatus()
               : absl::InvalidArgumentError("rate= takes calls a second, from 0.001 to 1000000, such as rate=0.5");
  }
  if (key == "burst" || key == "in_flight") {
    const std::optional<uint64_t> count = Count(value);
    (key == "burst" ? entry.burst : entry.in_flight) = count;
    return count.has_value()
               ? absl::OkStatus()
               : absl::InvalidArgumentError(std::string(key) + "= takes a whole number from 1 to 1000000");
  }
  return absl::InvalidArgumentError(
      "before the token, which is one word, may stand name=, rate=, burst= and in_flight= only");
}

absl::StatusOr<TokenTable::Entry> ReadLine(std::string_view line) {
  TokenTable::Entry entry;
  for (size_t end = line.find_first_of(" \t"); end != std::string_view::npos; end = line.find_first_of(" \t")) {
    RETURN_IF_ERROR(ReadWord(line.substr(0, end), entry));
    line = Trim(line.substr(end));
  }
  if (line.size() < TokenTable::kMinTokenLength || line.size() > TokenTable::kMaxTokenLength) {
    return absl::InvalidArgumentError("a token must have from " + std::to_string(TokenTable::kMinTokenLength) + " to " +
                                      std::to_string(TokenTable::kMaxTokenLength) +
                                      " characters; make one with: openssl rand -hex 32");
  }
  if (!IsPrintable(line)) {
    return absl::InvalidArgumentError("a token must be one word of printable ASCII characters");
  }
  entry.digest = digest::Sha256(AsBytes(line));
  return entry;
}

bool HaveSameLimits(const TokenTable::Entry& a, const TokenTable::Entry& b) {
  return a.rate == b.rate && a.burst == b.burst && a.in_flight == b.in_flight;
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
  std::vector<size_t> lines;  // of the entries
  size_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') {
      continue;
    }
    const std::string where = name + ":" + std::to_string(line_number) + ": ";
    const absl::StatusOr<Entry> entry = ReadLine(line);
    if (!entry.ok()) {
      return absl::Status(entry.status().code(), where + std::string(entry.status().message()));
    }
    for (size_t i = 0; i < lines.size(); ++i) {
      const Entry& other = out.entries_[i];
      if (other.digest == entry->digest) {
        return absl::InvalidArgumentError(where + "the token of line " + std::to_string(lines[i]) +
                                          " again; a token stands once");
      }
      if (!entry->name.empty() && other.name == entry->name && !HaveSameLimits(other, *entry)) {
        return absl::InvalidArgumentError(where + "another token of the name " + entry->name + " has other limits");
      }
    }
    out.entries_.push_back(*entry);
    lines.push_back(line_number);
  }
  if (out.entries_.empty()) {
    return absl::InvalidArgumentError(name + " holds no token; put one on a line, or remove 'auth' to let anyone call");
  }
  return out;
}

std::optional<size_t> TokenTable::Find(std::string_view token) const {
  const digest::Sha256Digest digest = digest::Sha256(AsBytes(token.substr(0, kMaxTokenLength + 1)));
  size_t found = 0;  // one more than its number
  for (size_t i = 0; i < entries_.size(); ++i) {
    const size_t is_equal = ConstantTimeEquals(entries_[i].digest, digest) ? 1 : 0;
    found = std::max(found, is_equal * (i + 1));
  }
  return found == 0 ? std::nullopt : std::optional<size_t>(found - 1);
}

std::optional<size_t> TokenTable::FindHeader(std::string_view header) const {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size()) {
    return std::nullopt;
  }
  // The scheme's name is case-insensitive (RFC 9110 section 11.1).
  const bool is_bearer = std::equal(kScheme.begin(), kScheme.end(), header.begin(), [](char expected, char found) {
    return expected == static_cast<char>(std::tolower(static_cast<unsigned char>(found)));
  });
  return is_bearer ? Find(header.substr(kScheme.size())) : std::nullopt;
}

}  // namespace shoji::server
