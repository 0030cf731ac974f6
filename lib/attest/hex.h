// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::attest {

// Hexadecimal digits of either case, `size` bytes of them. INVALID_ARGUMENT.
absl::StatusOr<Bytes> DecodeHex(std::string_view text, size_t size);
// Of any size.
absl::StatusOr<Bytes> DecodeHex(std::string_view text);

}  // namespace shoji::attest
