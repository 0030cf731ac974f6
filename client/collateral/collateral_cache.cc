// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/collateral_cache.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <initializer_list>
#include <string_view>
#include <system_error>
#include <tuple>
#include <vector>

#include "lib/base/file.h"

namespace shoji::client {
namespace {

namespace fs = std::filesystem;

// What WriteFileAtomically appends to a file that is not whole yet. One as old as this is of a process that was cut
// off.
constexpr char kPart[] = ".part";
constexpr std::chrono::hours kStalePart(1);

struct Entry {
  fs::path path;
  fs::file_time_type written;
  uintmax_t size = 0;
};

bool IsStalePart(const fs::path& path, fs::file_time_type written) {
  return path.extension() == kPart && IsCacheName(path.stem().string()) &&
         fs::file_time_type::clock::now() - written > kStalePart;
}

// Regular files of the cache's own, links not followed. What vanishes meanwhile, or cannot be looked at, is left out.
std::vector<Entry> List(const std::string& cache_directory) {
  std::vector<Entry> out;
  for (const char* vendor : {"intel", "amd"}) {
    std::error_code error;
    for (fs::directory_iterator it(fs::path(cache_directory) / vendor, error), end; !error && it != end;
         it.increment(error)) {
      std::error_code vanished;
      if (!it->is_regular_file(vanished) || it->is_symlink(vanished)) {
        continue;
      }
      const Entry entry = {it->path(), it->last_write_time(vanished), vanished ? 0 : it->file_size(vanished)};
      if (!vanished && IsStalePart(entry.path, entry.written)) {
        fs::remove(entry.path, vanished);
      } else if (!vanished && IsCacheName(entry.path.filename().string())) {
        out.push_back(entry);
      }
    }
  }
  return out;
}

void Prune(const attest::CollateralServices& services, const fs::path& newest) {
  std::vector<Entry> entries = List(services.cache_directory);
  uintmax_t bytes = 0;
  for (const Entry& entry : entries) {
    bytes += entry.size;
  }
  size_t count = entries.size();
  std::sort(entries.begin(), entries.end(), [](const Entry& left, const Entry& right) {
    return std::tie(left.written, left.path) < std::tie(right.written, right.path);
  });
  for (const Entry& entry : entries) {
    if (count <= services.cache_max_files && bytes <= services.cache_max_bytes) {
      return;
    }
    std::error_code error;
    if (entry.path.filename() != newest.filename() && (fs::remove(entry.path, error) || !error)) {
      --count;  // by us, or by another process
      bytes -= entry.size;
    }
  }
}

// Takes the first of `words` that `text` begins with.
bool TakeOneOf(std::initializer_list<std::string_view> words, std::string_view& text) {
  for (const std::string_view word : words) {
    if (text.starts_with(word)) {
      text.remove_prefix(word.size());
      return true;
    }
  }
  return false;
}

// Takes all hexadecimal digits, in lower case, that `text` begins with; whether they are from `min` to `max`.
bool TakeHex(size_t min, size_t max, std::string_view& text) {
  const size_t count = std::min(text.find_first_not_of("0123456789abcdef"), text.size());
  text.remove_prefix(count);
  return count >= min && count <= max;
}

}  // namespace

bool IsCacheName(const std::string& name) {
  std::string_view rest = name;
  if (TakeOneOf({"sgx-", "tdx-"}, rest)) {
    return TakeHex(12, 12, rest) && TakeOneOf({"-platform.json", "-processor.json"}, rest) && rest.empty();
  }
  if (!TakeOneOf({"Milan-", "Genoa-", "Turin-"}, rest)) {
    return false;
  }
  if (rest == "vcek-chain.pem" || rest == "vlek-chain.pem" || rest == "vcek-crl.der" || rest == "vlek-crl.der") {
    return true;
  }
  return TakeHex(2, 128, rest) && TakeOneOf({"-"}, rest) && TakeHex(16, 16, rest) && rest == ".der";
}

absl::Status KeepInCache(const attest::CollateralServices& services, const std::string& path, ByteSpan content) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  const absl::Status written =
      error ? absl::PermissionDeniedError(error.message()) : WriteFileAtomically(path, content);
  if (!written.ok()) {
    return {written.code(), "what was fetched cannot be kept in " + path + ": " + std::string(written.message()) +
                                "; check collateral.cache_directory"};
  }
  Prune(services, path);
  return absl::OkStatus();
}

}  // namespace shoji::client
