// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>

#include "lib/image/image.h"

namespace shoji::image {

struct Size {
  size_t width = 0;
  size_t height = 0;
};

// A part of a picture: `size` pixels from column `left` and row `top` on.
struct Region {
  size_t left = 0;
  size_t top = 0;
  Size size;
};

// The size of `image` scaled so that its shorter side is `shorter_side`: the other one is long * shorter_side / short,
// rounded down, as torchvision's Resize has it.
Size ScaledSize(const Image& image, size_t shorter_side);

// The central `size` of a picture of `whole`, which is at least as large: offsets are halves rounded to even, as
// torchvision's CenterCrop has it.
Region CentralRegion(Size whole, Size size);

// `region` of `image` scaled to `scaled`, bilinear with antialiasing: bit for bit what Pillow's
// Image.resize(scaled, BILINEAR).crop(region) gives for 8-bit pictures. Only what the region needs is computed, so the
// cost is bounded by the picture and the region however large `scaled` is. `region` lies inside `scaled`.
Image ResizeRegion(const Image& image, Size scaled, const Region& region);

}  // namespace shoji::image
