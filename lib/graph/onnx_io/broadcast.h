// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/statusor.h"
#include "lib/tensor/shape.h"

namespace shoji::graph::onnx_io {

// The shape that `a` and `b` broadcast to by numpy's rules; INVALID_ARGUMENT when they do not.
absl::StatusOr<Shape> BroadcastShape(const Shape& a, const Shape& b);

}  // namespace shoji::graph::onnx_io
