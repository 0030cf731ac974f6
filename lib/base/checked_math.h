// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Sizes that come from outside multiply and add only through these.
#pragma once

#include <concepts>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoji {

// OUT_OF_RANGE when the result does not fit in T.
template <std::integral T>
absl::StatusOr<T> CheckedMul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) {
    return absl::OutOfRangeError("size overflow");
  }
  return out;
}

template <std::integral T>
absl::StatusOr<T> CheckedAdd(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) {
    return absl::OutOfRangeError("size overflow");
  }
  return out;
}

}  // namespace shoji
