// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The sub-model of one blinded or verified linear layer, from its bytes on the wire to what a kernel is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/layout.h"
#include "lib/tensor/shape.h"

namespace shoji::accelerator {

// One that exists is consistent: the geometry fits itself, the limbs the ring, the weights the geometry, and what the
// functions below return does not overflow.
struct RingLayer {
  kernels::ring::Ring ring = kernels::ring::Ring::k32;
  size_t num_limbs = 1;
  uint8_t padding = 0;
  kernels::ConvGeometry geometry;  // batch 1
  std::string weight_bytes;        // as they came

  // [out_channels][in_channels / group][kernel height][kernel width]
  std::span<const int8_t> weights() const {
    return {reinterpret_cast<const int8_t*>(weight_bytes.data()), weight_bytes.size()};
  }
  // Of the one input and the one output of an execution, both uint8: [in_height, num_limbs, PlaneBytes] and
  // [out_height, WordRowBytes].
  Shape InputShape() const;
  Shape OutputShape() const;
};

// Reads a serialized shoji.internal.v1.LinearLayer, which may come from an adversary. INVALID_ARGUMENT says what is
// wrong with it. Allocates no more than a few times the size of `serialized`, whatever sizes it speaks of.
absl::StatusOr<RingLayer> ParseRingLayer(ByteSpan serialized);

// Multiply-adds of one execution, all limbs. OUT_OF_RANGE when they are more than 2^64.
absl::StatusOr<uint64_t> MacsOf(const RingLayer& layer);

}  // namespace shoji::accelerator
