// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How a picture becomes a model's input (proto shoji.v1.Preprocessing). The client crops and sends 8-bit pixels, which
// are a quarter of the floats; the enclave normalizes them. Both halves are fixed to the bit, so that an answer does
// not depend on who did what. This header's target links no image decoder: the enclave uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/tensor/shape.h"
#include "lib/tensor/tensor.h"

namespace shoji::image {

enum class Channels : uint8_t { kRgb, kBgr, kGray };
enum class Layout : uint8_t { kNchw, kNhwc };

// The picture's shorter side is scaled to `resize_shorter_side` (bilinear, antialiased), the centre cropped, the
// channels ordered; then value = (pixel * scale - mean) / std in float32.
struct Preprocessing {
  static constexpr uint32_t kMaxSide = 8192;

  uint32_t resize_shorter_side = 0;  // at least the crop's longer side, at most kMaxSide
  uint32_t crop_width = 0;
  uint32_t crop_height = 0;
  Channels channels = Channels::kRgb;
  float scale = 1;
  std::vector<float> mean;  // one a channel, in the order of `channels`
  std::vector<float> std;   // likewise, none 0
  Layout layout = Layout::kNchw;

  size_t num_channels() const { return channels == Channels::kGray ? 1 : 3; }
  // Of the cropped pixels: height * width * channels bytes.
  size_t num_pixel_bytes() const { return size_t{crop_height} * crop_width * num_channels(); }
  // [1,C,H,W] or [1,H,W,C].
  Shape input_shape() const;

  bool operator==(const Preprocessing&) const = default;
};

// INVALID_ARGUMENT names the field that is wrong; a preprocessing that passes cannot make a value that is not finite.
absl::Status Validate(const Preprocessing& preprocessing);

// The serialized proto, deterministic: the manifest holds its SHA-256. Requires a valid `preprocessing`.
Bytes Serialize(const Preprocessing& preprocessing);
// Parses hostile bytes and validates. INVALID_ARGUMENT.
absl::StatusOr<Preprocessing> ParsePreprocessing(ByteSpan bytes);

// The model's input from cropped pixels: rows from the top, channels interleaved in the order of
// `preprocessing.channels`. INVALID_ARGUMENT when `pixels` has not exactly num_pixel_bytes(). Requires a valid
// `preprocessing`. The time it takes does not depend on the pixels' values, as far as caches allow (it uses no table).
absl::StatusOr<Tensor> Normalize(ByteSpan pixels, const Preprocessing& preprocessing);

}  // namespace shoji::image
