// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How a ranges file holds one number of -1, 0, 1 a weight: five of them, as digits to the base of 3, are a byte (the
// first is worth least, -1 is written 0), and the bytes are base64 (RFC 4648, with its padding). Private to this folder
// and its tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shoji::ranges_file {

// Requires numbers of -1, 0 and 1.
std::string PackRounding(const std::vector<int8_t>& rounding);
// None where `text` is not what PackRounding makes of `count` numbers.
std::optional<std::vector<int8_t>> UnpackRounding(std::string_view text, size_t count);

}  // namespace shoji::ranges_file
