// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The BMP part of stb_image, in a file of its own that is compiled without our warnings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shoji::image::stb_bmp {

// Decodes `file` into `rgb`, which has 3 * width * height bytes. Returns null, or a fixed text that says what is wrong.
const char* DecodeRgb(std::span<const uint8_t> file, size_t width, size_t height, std::span<uint8_t> rgb);

}  // namespace shoji::image::stb_bmp
