// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The folder in which fetched collateral is kept: CACHE/intel and CACHE/amd. Bounded: who asks about ever new
// platforms, or is led to, fills no disk.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "lib/attest/appraisal/collateral_services.h"
#include "lib/base/bytes.h"

namespace shoji::client {

// Writes `content` to `path`, in one of the cache's two folders, all or nothing; then removes, while the cache holds
// more than `services` allows, the file that was written longest ago. Only what carries a name of the cache's own
// making counts and is removed, so that a folder that holds a user's own files too loses none of them. The file just
// written stays. A reader sees a file whole or not at all, and one that it has open stays readable. Errors name the
// file.
absl::Status KeepInCache(const attest::CollateralServices& services, const std::string& path, ByteSpan content);

// Whether `name` is one that IntelPlatform or AmdPlatform gives its files.
bool IsCacheName(const std::string& name);

}  // namespace shoji::client
