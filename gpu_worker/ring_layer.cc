// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/ring_layer.h"

#include <array>
#include <initializer_list>
#include <limits>
#include <utility>

#include <google/protobuf/repeated_field.h>

#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;
using kernels::ring::Ring;

// Larger numbers are refused before they are multiplied.
constexpr uint64_t kMaxExtent = std::numeric_limits<int32_t>::max();
// Of the input and of the output, as they lie in memory; a Shape holds as many.
constexpr int64_t kMaxTensorBytes = Shape::kMaxElements;

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError("the linear layer " + what); }

absl::StatusOr<int64_t> Extent(const char* name, uint64_t value, uint64_t least) {
  if (value < least || value > kMaxExtent) {
    return Wrong("has " + std::string(name) + " " + std::to_string(value) + "; it must be " + std::to_string(least) +
                 " to " + std::to_string(kMaxExtent));
  }
  return static_cast<int64_t>(value);
}

template <size_t N>
absl::Status ReadExtents(const char* name, const google::protobuf::RepeatedField<uint64_t>& from, uint64_t least,
                         std::array<int64_t, N>& to) {
  if (static_cast<size_t>(from.size()) != N) {
    return Wrong("has " + std::to_string(from.size()) + " values of " + name + "; it must have " + std::to_string(N));
  }
  for (size_t i = 0; i < N; ++i) {
    ASSIGN_OR_RETURN(to[i], Extent(name, from.Get(static_cast<int>(i)), least));
  }
  return absl::OkStatus();
}

absl::StatusOr<kernels::ConvGeometry> ReadGeometry(const pb::LinearLayer& in) {
  kernels::Window window;
  RETURN_IF_ERROR(ReadExtents("kernel", in.kernel(), 1, window.kernel));
  RETURN_IF_ERROR(ReadExtents("strides", in.strides(), 1, window.strides));
  RETURN_IF_ERROR(ReadExtents("dilations", in.dilations(), 1, window.dilations));
  RETURN_IF_ERROR(ReadExtents("pads", in.pads(), 0, window.pads));
  ASSIGN_OR_RETURN(const int64_t in_channels, Extent("in_channels", in.in_channels(), 1));
  ASSIGN_OR_RETURN(const int64_t out_channels, Extent("out_channels", in.out_channels(), 1));
  ASSIGN_OR_RETURN(const int64_t group, Extent("group", in.group(), 1));
  ASSIGN_OR_RETURN(const int64_t in_height, Extent("in_height", in.in_height(), 1));
  ASSIGN_OR_RETURN(const int64_t in_width, Extent("in_width", in.in_width(), 1));
  ASSIGN_OR_RETURN(const int64_t out_height, Extent("out_height", in.out_height(), 1));
  ASSIGN_OR_RETURN(const int64_t out_width, Extent("out_width", in.out_width(), 1));
  if (in_channels % group != 0) {
    return Wrong("has " + std::to_string(in_channels) + " in_channels in " + std::to_string(group) + " groups");
  }
  ASSIGN_OR_RETURN(const Shape x, Shape::Create({1, in_channels, in_height, in_width}));
  ASSIGN_OR_RETURN(const Shape w,
                   Shape::Create({out_channels, in_channels / group, window.kernel[0], window.kernel[1]}));
  ASSIGN_OR_RETURN(const Shape y, Shape::Create({1, out_channels, out_height, out_width}));
  if (in.weights().size() != w.num_elements()) {
    return Wrong("has " + std::to_string(in.weights().size()) + " bytes of weights; " + w.ToString() + " has " +
                 std::to_string(w.num_elements()));
  }
  return kernels::MakeConvGeometry(x, w, y, group, window);
}

absl::Status ReadElements(const pb::LinearLayer& in, RingLayer& out) {
  if (in.ring_bits() != 24 && in.ring_bits() != 32) {
    return Wrong("has ring_bits " + std::to_string(in.ring_bits()) + "; it must be 24 or 32");
  }
  out.ring = in.ring_bits() == 24 ? Ring::k24 : Ring::k32;
  if (in.num_limbs() != 1 && in.num_limbs() != kernels::ring::WordBytes(out.ring)) {
    return Wrong("has num_limbs " + std::to_string(in.num_limbs()) + "; it must be 1 or ring_bits / 8");
  }
  out.num_limbs = in.num_limbs();
  if (in.padding() > (out.num_limbs == 1 ? 255U : 0U)) {
    return Wrong("has padding " + std::to_string(in.padding()) + "; it must be at most 255, and 0 for masked values");
  }
  out.padding = static_cast<uint8_t>(in.padding());
  return absl::OkStatus();
}

// The padding of channels and planes included, which a Shape of the elements does not count.
absl::Status CheckTensorBytes(const char* name, std::initializer_list<int64_t> factors) {
  int64_t bytes = 1;
  for (const int64_t factor : factors) {
    const absl::StatusOr<int64_t> product = CheckedMul(bytes, factor);
    if (!product.ok() || *product > kMaxTensorBytes) {
      return Wrong("has an " + std::string(name) + " of more than " + std::to_string(kMaxTensorBytes) + " bytes");
    }
    bytes = *product;
  }
  return absl::OkStatus();
}

}  // namespace

Shape RingLayer::InputShape() const {
  return {geometry.input[0], static_cast<int64_t>(num_limbs),
          static_cast<int64_t>(kernels::ring::PlaneBytes(geometry.input[1], geometry.in_channels))};
}

Shape RingLayer::OutputShape() const {
  return {geometry.output[0], static_cast<int64_t>(kernels::ring::WordRowBytes(geometry, ring))};
}

absl::StatusOr<RingLayer> ParseRingLayer(ByteSpan serialized) {
  pb::LinearLayer in;
  if (serialized.size() > std::numeric_limits<int>::max() ||
      !in.ParseFromArray(serialized.data(), static_cast<int>(serialized.size()))) {
    return Wrong("is no LinearLayer message");
  }
  RingLayer out;
  RETURN_IF_ERROR(ReadElements(in, out));
  ASSIGN_OR_RETURN(out.geometry, ReadGeometry(in));
  const kernels::ConvGeometry& geometry = out.geometry;
  RETURN_IF_ERROR(CheckTensorBytes(
      "input", {geometry.input[0], static_cast<int64_t>(out.num_limbs),
                static_cast<int64_t>(kernels::ring::PlaneBytes(geometry.input[1], geometry.in_channels))}));
  RETURN_IF_ERROR(CheckTensorBytes(
      "output", {geometry.output[0], static_cast<int64_t>(kernels::ring::WordRowBytes(geometry, out.ring))}));
  out.weight_bytes = std::move(*in.mutable_weights());
  return out;
}

absl::StatusOr<uint64_t> MacsOf(const RingLayer& layer) {
  // Each weight meets each output position of its channel; kernels work on whole vectors of outputs and steps of
  // inputs, so that small groups cost more than their weights.
  constexpr uint64_t kOutputs = 16;
  constexpr uint64_t kInputs = 4;
  const kernels::ConvGeometry& geometry = layer.geometry;
  const auto group = static_cast<uint64_t>(geometry.group);
  const auto up = [](uint64_t value, uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; };
  const bool depthwise = geometry.in_channels == geometry.group && geometry.out_channels == geometry.group;
  uint64_t macs = depthwise ? 1
                            : up(static_cast<uint64_t>(geometry.out_channels) / group, kOutputs) *
                                  up(static_cast<uint64_t>(geometry.in_channels) / group, kInputs);
  for (const int64_t factor : {geometry.group, geometry.window.kernel[0], geometry.window.kernel[1], geometry.output[0],
                               geometry.output[1], static_cast<int64_t>(layer.num_limbs)}) {
    ASSIGN_OR_RETURN(macs, CheckedMul<uint64_t>(macs, static_cast<uint64_t>(factor)));
  }
  return macs;
}

}  // namespace shoji::accelerator
