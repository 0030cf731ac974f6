// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/image.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/check.h"

namespace shoji::image {

absl::Status CheckSize(uint64_t width, uint64_t height) {
  const std::string size = std::to_string(width) + "x" + std::to_string(height);
  if (width == 0 || height == 0) {
    return absl::InvalidArgumentError("the picture has no pixels: its size is " + size);
  }
  if (width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    return absl::InvalidArgumentError("the picture is too large: its size is " + size + "; at most " +
                                      std::to_string(kMaxSide) + " a side and " + std::to_string(kMaxPixels) +
                                      " pixels are accepted");
  }
  return absl::OkStatus();
}

Image::Image(size_t width, size_t height, size_t num_channels)
    : width_(width), height_(height), num_channels_(num_channels) {
  SHOJI_CHECK(CheckSize(width, height).ok());
  SHOJI_CHECK(num_channels == 1 || num_channels == 3);
  pixels_ =
      Tensor(DataType::kUint8,
             Shape({static_cast<int64_t>(height), static_cast<int64_t>(width), static_cast<int64_t>(num_channels)}));
}

Image& Image::operator=(Image&& other) noexcept {
  pixels_.Wipe();
  width_ = other.width_;
  height_ = other.height_;
  num_channels_ = other.num_channels_;
  pixels_ = std::move(other.pixels_);
  return *this;
}

Image::~Image() { pixels_.Wipe(); }

Image ToGray(const Image& image) {
  Image gray(image.width(), image.height(), 1);
  const ByteSpan in = image.pixels();
  const std::span<uint8_t> out = gray.mutable_pixels();
  if (image.num_channels() == 1) {
    std::copy(in.begin(), in.end(), out.begin());
    return gray;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const uint32_t luma = 19595U * in[3 * i] + 38470U * in[3 * i + 1] + 7471U * in[3 * i + 2] + 0x8000U;
    out[i] = static_cast<uint8_t>(luma >> 16);
  }
  return gray;
}

}  // namespace shoji::image
