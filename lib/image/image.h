// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "lib/base/bytes.h"
#include "lib/tensor/tensor.h"

namespace shoji::image {

// What a decoder accepts, checked before it allocates a pixel.
inline constexpr uint32_t kMaxSide = 32768;
inline constexpr uint64_t kMaxPixels = uint64_t{1} << 26;

// INVALID_ARGUMENT unless `width` x `height` is at least 1x1 and within the limits above.
absl::Status CheckSize(uint64_t width, uint64_t height);

// 8-bit pixels, row by row from the top, `num_channels` interleaved values each: 3 (red, green, blue) or 1 (gray).
// A picture is somebody's secret: the pixels are overwritten at destruction. Move-only. Thread-compatible.
class Image {
 public:
  // Black. Requires CheckSize(width, height) and 1 or 3 channels; aborts otherwise.
  Image(size_t width, size_t height, size_t num_channels);
  Image(Image&&) noexcept = default;
  Image& operator=(Image&& other) noexcept;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image();

  size_t width() const { return width_; }
  size_t height() const { return height_; }
  size_t num_channels() const { return num_channels_; }
  size_t row_bytes() const { return width_ * num_channels_; }

  ByteSpan pixels() const { return pixels_.bytes(); }
  std::span<uint8_t> mutable_pixels() { return pixels_.mutable_bytes(); }
  const uint8_t* row(size_t y) const { return pixels().data() + y * row_bytes(); }
  uint8_t* mutable_row(size_t y) { return mutable_pixels().data() + y * row_bytes(); }

 private:
  size_t width_;
  size_t height_;
  size_t num_channels_;
  Tensor pixels_;
};

// The luma of every pixel, 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, rounded (ITU-R BT.601, the arithmetic of
// Pillow's convert("L")). Of a gray image, a copy.
Image ToGray(const Image& image);

}  // namespace shoji::image
