// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From the bytes of a picture file to pixels. The bytes may come from an adversary; the decoders are libpng,
// libjpeg-turbo and stb_image (its BMP part alone).
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/image/image.h"

namespace shoji::image {

// Decodes a PNG, JPEG or BMP file, told apart by its first bytes, to RGB. The pixels are those of Pillow's
// Image.open(...).convert("RGB"): alpha and embedded colour profiles are ignored, 16-bit samples keep their high byte
// (of 16-bit gray too, which Pillow clips to white instead), palettes are resolved, CMYK follows Adobe's inverted
// convention, and the orientation tag is not applied.
//
// A file that is cut short or damaged is refused rather than half decoded. All errors are INVALID_ARGUMENT and start
// with `name`: the size is outside CheckSize's limits, the format is none of the three, or what the decoder found.
absl::StatusOr<Image> Decode(ByteSpan file, std::string_view name);

}  // namespace shoji::image
