// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <vector>

#include "tests/support/onnx_builder.h"

namespace shoji::graph {

using Floats = std::vector<float>;

// The outputs of the model for `inputs`, by the reference kernels. Checks on the way that oneDNN's kernels give the
// same, and that so does the model after an export and a second import.
std::vector<Floats> RunModel(const testing::OnnxBuilder& builder, const std::vector<Floats>& inputs);

// `count` numbers from `low` to `high` in an order that repeats nothing nearby.
Floats Spread(size_t count, float low = -2, float high = 2);

void ExpectNear(const Floats& actual, const Floats& expected, float tolerance = 1e-5F);

}  // namespace shoji::graph
