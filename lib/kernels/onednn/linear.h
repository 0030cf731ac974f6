// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Convolution and matrix products. Layouts are the primitive's choice: the caller brings inputs and weights into them.
// UNIMPLEMENTED where the reference kernel serves better or oneDNN has none; never a crash, whatever the geometry.
#pragma once

#include "absl/status/statusor.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/onednn/post_ops.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::kernels::onednn {

enum class Bias : uint8_t { kAbsent, kPresent };

// Which layouts a convolution reads and writes.
enum class ConvLayout : uint8_t {
  kAny,      // as oneDNN prefers
  kBlocked,  // channels in blocks of ChannelBlock() in input and output; an image's few channels as they come
};
// The float32 that a vector of this CPU holds, as far as oneDNN uses them: 8 or 16.
size_t ChannelBlock();

// Inputs: X, W, and the bias if present. With groups W's extents are [group, out / group, in / group, kernel]: the same
// row-major bytes.
absl::StatusOr<Primitive> MakeConvolution(const Engine& engine, const ConvGeometry& geometry, Bias bias,
                                          const PostOps& post_ops, ConvLayout layout = ConvLayout::kAny);

// Y [m, n] = X [m, k] * W^T + bias [n]. Inputs: X, W with extents [n, k], and the bias if present.
absl::StatusOr<Primitive> MakeInnerProduct(const Engine& engine, const GemmGeometry& geometry, Bias bias,
                                           const PostOps& post_ops);

// Inputs: A, B, both row-major, as is the output.
absl::StatusOr<Primitive> MakeMatMul(const Engine& engine, const MatMulGeometry& geometry);

}  // namespace shoji::kernels::onednn
