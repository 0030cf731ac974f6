// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/broadcast.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace shoji::graph::onnx_io {

absl::StatusOr<Shape> BroadcastShape(const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.rank(), b.rank());
  std::vector<int64_t> dims(rank, 1);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t from_a = i < a.rank() ? a[a.rank() - 1 - i] : 1;
    const int64_t from_b = i < b.rank() ? b[b.rank() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) {
      return absl::InvalidArgumentError("shapes " + a.ToString() + " and " + b.ToString() + " do not broadcast");
    }
    dims[rank - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return Shape::Create(std::move(dims));
}

}  // namespace shoji::graph::onnx_io
