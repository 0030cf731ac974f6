// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoji {

// The extents of a tensor: rank at most 8, every extent at least 0, and their product at most 2^40, all checked at
// creation, so that num_elements() and byte sizes cannot overflow. Copyable; thread-compatible.
class Shape {
 public:
  static constexpr size_t kMaxRank = 8;
  static constexpr int64_t kMaxElements = int64_t{1} << 40;

  Shape() = default;  // a scalar
  // For extents known to be good; aborts otherwise.
  Shape(std::initializer_list<int64_t> dims);

  // INVALID_ARGUMENT names what is wrong.
  static absl::StatusOr<Shape> Create(std::vector<int64_t> dims);

  const std::vector<int64_t>& dims() const { return dims_; }
  size_t rank() const { return dims_.size(); }
  int64_t operator[](size_t i) const { return dims_[i]; }
  size_t num_elements() const { return num_elements_; }
  // "[1,3,32,32]"
  std::string ToString() const;

  bool operator==(const Shape& other) const { return dims_ == other.dims_; }

 private:
  std::vector<int64_t> dims_;
  size_t num_elements_ = 1;
};

}  // namespace shoji
