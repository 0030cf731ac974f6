// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>

namespace shoji::server {

inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr char kSoftwareVersion[] = SHOJI_VERSION;  // from the build, the project's version

}  // namespace shoji::server
