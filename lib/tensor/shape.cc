// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/tensor/shape.h"

#include <utility>

#include "lib/base/check.h"

namespace shoji {

Shape::Shape(std::initializer_list<int64_t> dims) {
  absl::StatusOr<Shape> shape = Create(dims);
  SHOJI_CHECK(shape.ok());
  *this = *std::move(shape);
}

absl::StatusOr<Shape> Shape::Create(std::vector<int64_t> dims) {
  if (dims.size() > kMaxRank) {
    return absl::InvalidArgumentError("a tensor of rank " + std::to_string(dims.size()) + "; at most " +
                                      std::to_string(kMaxRank) + " is supported");
  }
  int64_t product = 1;
  for (const int64_t dim : dims) {
    if (dim < 0 || dim > kMaxElements) {
      return absl::InvalidArgumentError("a tensor extent of " + std::to_string(dim));
    }
    if (__builtin_mul_overflow(product, dim, &product) || product > kMaxElements) {
      return absl::InvalidArgumentError("a tensor of more than 2^40 elements");
    }
  }
  Shape out;
  out.dims_ = std::move(dims);
  out.num_elements_ = static_cast<size_t>(product);
  return out;
}

std::string Shape::ToString() const {
  std::string out = "[";
  for (size_t i = 0; i < dims_.size(); ++i) {
    out += (i == 0 ? "" : ",") + std::to_string(dims_[i]);
  }
  return out + "]";
}

}  // namespace shoji
