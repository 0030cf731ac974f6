// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Functions of single elements, pairs of elements, and of elements along one axis, on tensors that lie as the layouts
// say. UNIMPLEMENTED where the reference kernel serves better or oneDNN has none.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "lib/kernels/activation.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/onednn/primitive.h"
#include "lib/kernels/reference/elementwise.h"

namespace shoji::kernels::onednn {

// To be run one after the other; each may run in place.
absl::StatusOr<std::vector<Primitive>> MakeActivation(const Engine& engine, const Activation& activation,
                                                      const Layout& x);

// `a` has the output's extents and layout; `b` has the same rank, and 1 where it is broadcast. Inputs: A, B. The output
// may be A's memory.
absl::StatusOr<Primitive> MakeBinary(const Engine& engine, BinaryKind kind, const Layout& a, const Layout& b);

// Inputs: X, mean, variance, scale, bias. The output may be X's memory.
absl::StatusOr<Primitive> MakeBatchNorm(const Engine& engine, float epsilon, const Layout& x);

// Local response normalization across channels; as `parameters` of the reference kernel.
absl::StatusOr<Primitive> MakeLrn(const Engine& engine, const reference::LrnParameters& parameters, const Layout& x);

absl::StatusOr<Primitive> MakeSoftmax(const Engine& engine, int64_t axis, const Layout& x);

}  // namespace shoji::kernels::onednn
