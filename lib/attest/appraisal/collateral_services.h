// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace shoji::attest {

// Where collateral comes from that no file holds, and where it is kept. What a service answers is verified as files
// are; nothing is believed because of who sent it.
struct CollateralServices {
  std::string intel_url;           // Intel's provisioning certification service, or a cache of it; empty: none
  std::string intel_root_crl_url;  // empty: the one that belongs to `intel_url` (RootCrlUrl)
  std::string amd_url;             // AMD's key distribution service, or a cache of it; empty: none
  std::string cache_directory;     // read first; needed where there is an address
  std::chrono::milliseconds timeout{10'000};  // of one request
  // PEM: the authorities that services' certificates may come from, instead of those that this machine trusts; empty:
  // those. For a cache, or a proxy that ends TLS, with an authority of its own.
  std::string ca_file;
  std::string ca_file_named_by;  // for errors: "policy.yaml:7: key 'collateral.ca_file'", or nothing
  // What the cache may hold; the files written longest ago go first.
  size_t cache_max_files = 1000;
  uint64_t cache_max_bytes = uint64_t{64} << 20;

  bool has_address() const { return !intel_url.empty() || !amd_url.empty(); }
};

// https://HOST[:PORT][/PATH], without user, query and fragment; http:// only to this machine (127.0.0.1, [::1] or
// localhost), where tests and local caches are. INVALID_ARGUMENT says what is wrong.
absl::Status CheckServiceUrl(std::string_view url);
// Whether `url`, one that CheckServiceUrl passed, is http.
bool IsPlainHttp(std::string_view url);

// The least that a cache can be bounded to: what one appraisal keeps, several times over.
inline constexpr size_t kMinCacheFiles = 16;
inline constexpr uint64_t kMinCacheBytes = uint64_t{8} << 20;

// Every address is one, there is a folder to keep what they answer, and authorities are named for some address only.
// INVALID_ARGUMENT.
absl::Status CheckCollateralServices(const CollateralServices& services);

// Intel keeps the root's revocation list at another host than the rest; a cache serves it beside it.
std::string RootCrlUrl(const CollateralServices& services);

}  // namespace shoji::attest
