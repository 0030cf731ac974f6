// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/pixels.h"

#include <algorithm>

#include "lib/image/resize.h"

namespace shoji::image {

Tensor ToPixels(const Image& picture, const Preprocessing& preprocessing) {
  const Channels order = preprocessing.channels;
  const Size scaled = ScaledSize(picture, preprocessing.resize_shorter_side);
  const Size crop = {preprocessing.crop_width, preprocessing.crop_height};
  const Region region = CentralRegion(scaled, crop);
  // Gray first: Pillow would scale what it had already converted.
  const Image image =
      order == Channels::kGray ? ResizeRegion(ToGray(picture), scaled, region) : ResizeRegion(picture, scaled, region);

  const size_t channels = preprocessing.num_channels();
  Tensor out(DataType::kUint8, Shape({static_cast<int64_t>(crop.height), static_cast<int64_t>(crop.width),
                                      static_cast<int64_t>(channels)}));
  const std::span<uint8_t> to = out.mutable_bytes();
  const ByteSpan from = image.pixels();
  const size_t step = image.num_channels();  // 1 where a gray picture goes to a colour model
  for (size_t i = 0; i < crop.width * crop.height; ++i) {
    for (size_t c = 0; c < channels; ++c) {
      const size_t color = order == Channels::kBgr ? channels - 1 - c : c;
      to[i * channels + c] = from[i * step + std::min(color, step - 1)];
    }
  }
  return out;
}

}  // namespace shoji::image
