// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/preprocessing.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "shoji/v1/inference.pb.h"

namespace shoji::image {
namespace {

absl::Status Invalid(const std::string& what) { return absl::InvalidArgumentError("preprocessing: " + what); }

// Rounded to float32 after every operation; the target is built with -ffp-contract=off.
float NormalizeOne(float pixel, float scale, float mean, float std) { return (pixel * scale - mean) / std; }

v1::Preprocessing::Channels ToProto(Channels channels) {
  switch (channels) {
    case Channels::kRgb:
      return v1::Preprocessing::RGB;
    case Channels::kBgr:
      return v1::Preprocessing::BGR;
    case Channels::kGray:
      return v1::Preprocessing::GRAY;
  }
  return v1::Preprocessing::CHANNELS_UNSPECIFIED;
}

absl::StatusOr<Channels> FromProto(v1::Preprocessing::Channels channels) {
  switch (channels) {
    case v1::Preprocessing::RGB:
      return Channels::kRgb;
    case v1::Preprocessing::BGR:
      return Channels::kBgr;
    case v1::Preprocessing::GRAY:
      return Channels::kGray;
    default:
      return Invalid("unknown channel order");
  }
}

absl::StatusOr<Layout> FromProto(v1::Preprocessing::Layout layout) {
  switch (layout) {
    case v1::Preprocessing::NCHW:
      return Layout::kNchw;
    case v1::Preprocessing::NHWC:
      return Layout::kNhwc;
    default:
      return Invalid("unknown layout");
  }
}

}  // namespace

Shape Preprocessing::input_shape() const {
  const int64_t h = crop_height;
  const int64_t w = crop_width;
  const auto c = static_cast<int64_t>(num_channels());
  return layout == Layout::kNchw ? Shape({1, c, h, w}) : Shape({1, h, w, c});
}

absl::Status Validate(const Preprocessing& p) {
  if (p.crop_width == 0 || p.crop_height == 0) {
    return Invalid("the crop has no pixels");
  }
  if (p.resize_shorter_side > Preprocessing::kMaxSide) {
    return Invalid("resize is " + std::to_string(p.resize_shorter_side) + ", more than " +
                   std::to_string(Preprocessing::kMaxSide));
  }
  if (std::max(p.crop_width, p.crop_height) > p.resize_shorter_side) {
    return Invalid("the crop is larger than what resize leaves (" + std::to_string(p.resize_shorter_side) + ")");
  }
  const size_t channels = p.num_channels();
  if (p.mean.size() != channels || p.std.size() != channels) {
    return Invalid("mean and std need " + std::to_string(channels) + " values each");
  }
  if (!std::isfinite(p.scale)) {
    return Invalid("scale is not a finite number");
  }
  for (size_t c = 0; c < channels; ++c) {
    if (p.std[c] == 0) {
      return Invalid("std holds a zero");
    }
    // Monotonic in the pixel, so the two ends decide.
    if (!std::isfinite(p.mean[c]) || !std::isfinite(p.std[c]) ||
        !std::isfinite(NormalizeOne(0, p.scale, p.mean[c], p.std[c])) ||
        !std::isfinite(NormalizeOne(255, p.scale, p.mean[c], p.std[c]))) {
      return Invalid("mean, std and scale make values that are not finite");
    }
  }
  return absl::OkStatus();
}

Bytes Serialize(const Preprocessing& preprocessing) {
  v1::Preprocessing proto;
  proto.set_resize_shorter_side(preprocessing.resize_shorter_side);
  proto.set_crop_width(preprocessing.crop_width);
  proto.set_crop_height(preprocessing.crop_height);
  proto.set_channels(ToProto(preprocessing.channels));
  proto.set_scale(preprocessing.scale);
  proto.mutable_mean()->Add(preprocessing.mean.begin(), preprocessing.mean.end());
  proto.mutable_std()->Add(preprocessing.std.begin(), preprocessing.std.end());
  proto.set_layout(preprocessing.layout == Layout::kNchw ? v1::Preprocessing::NCHW : v1::Preprocessing::NHWC);
  return ToBytes(proto.SerializeAsString());  // no maps, so the order of fields is the only one there is
}

absl::StatusOr<Preprocessing> ParsePreprocessing(ByteSpan bytes) {
  constexpr size_t kMaxLen = 1024;
  v1::Preprocessing proto;
  if (bytes.size() > kMaxLen || !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Invalid("malformed");
  }
  Preprocessing out;
  out.resize_shorter_side = proto.resize_shorter_side();
  out.crop_width = proto.crop_width();
  out.crop_height = proto.crop_height();
  ASSIGN_OR_RETURN(out.channels, FromProto(proto.channels()));
  out.scale = proto.scale();
  out.mean.assign(proto.mean().begin(), proto.mean().end());
  out.std.assign(proto.std().begin(), proto.std().end());
  ASSIGN_OR_RETURN(out.layout, FromProto(proto.layout()));
  RETURN_IF_ERROR(Validate(out));
  return out;
}

absl::StatusOr<Tensor> Normalize(ByteSpan pixels, const Preprocessing& preprocessing) {
  if (pixels.size() != preprocessing.num_pixel_bytes()) {
    return absl::InvalidArgumentError("the picture has " + std::to_string(pixels.size()) + " bytes where " +
                                      std::to_string(preprocessing.num_pixel_bytes()) + " are expected");
  }
  Tensor out(DataType::kFloat32, preprocessing.input_shape());
  const std::span<float> values = out.mutable_values<float>();
  const size_t channels = preprocessing.num_channels();
  const size_t plane = pixels.size() / channels;
  const bool planar = preprocessing.layout == Layout::kNchw;
  for (size_t c = 0; c < channels; ++c) {
    const float mean = preprocessing.mean[c];
    const float std = preprocessing.std[c];
    for (size_t i = 0; i < plane; ++i) {
      const auto pixel = static_cast<float>(pixels[i * channels + c]);
      values[planar ? c * plane + i : i * channels + c] = NormalizeOne(pixel, preprocessing.scale, mean, std);
    }
  }
  return out;
}

}  // namespace shoji::image
