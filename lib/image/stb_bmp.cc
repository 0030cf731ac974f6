// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/stb_bmp.h"

#include <strings.h>

#include <climits>
#include <cstring>

// Its assertions guard against colour masks that a hostile file may well have; what follows them is in bounds anyway.
#define STBI_ASSERT(x) ((void)0)
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_SIMD
#define STBI_MAX_DIMENSIONS 32768
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

namespace shoji::image::stb_bmp {

const char* DecodeRgb(std::span<const uint8_t> file, size_t width, size_t height, std::span<uint8_t> rgb) {
  if (file.size() > INT_MAX) {
    return "the file is too large";
  }
  int got_width = 0;
  int got_height = 0;
  int got_channels = 0;
  stbi_uc* const pixels =
      stbi_load_from_memory(file.data(), static_cast<int>(file.size()), &got_width, &got_height, &got_channels, 3);
  if (pixels == nullptr) {
    return stbi_failure_reason();
  }
  const bool same_size = static_cast<size_t>(got_width) == width && static_cast<size_t>(got_height) == height;
  if (same_size) {
    std::memcpy(rgb.data(), pixels, rgb.size());
    explicit_bzero(pixels, rgb.size());
  }
  stbi_image_free(pixels);
  return same_size ? nullptr : "its header contradicts itself";
}

}  // namespace shoji::image::stb_bmp
