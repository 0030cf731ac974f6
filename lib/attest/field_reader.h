// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "lib/base/bytes.h"

namespace shoji::attest {

// Reads the fixed, little-endian fields of vendors' structures from front to back, never past the end: the first field
// that does not fit fails the reader for good, and every later one reads as zero. The bytes outlive it.
// Thread-compatible.
class FieldReader {
 public:
  explicit FieldReader(ByteSpan bytes) : left_(bytes) {}

  bool ok() const { return ok_; }
  size_t size() const { return left_.size(); }

  ByteSpan Span(size_t size) {
    if (size > left_.size()) {
      ok_ = false;
      left_ = {};
      return {};
    }
    const ByteSpan out = left_.first(size);
    left_ = left_.subspan(size);
    return out;
  }
  template <std::unsigned_integral T>
  T Integer() {
    T out = 0;
    const ByteSpan bytes = Span(sizeof(T));
    for (size_t i = 0; i < bytes.size(); ++i) {
      out = static_cast<T>(out | static_cast<T>(T{bytes[i]} << (8 * i)));
    }
    return out;
  }
  template <size_t N>
  void Take(std::array<uint8_t, N>& out) {
    const ByteSpan bytes = Span(N);
    out = {};
    std::copy(bytes.begin(), bytes.end(), out.begin());
  }

 private:
  ByteSpan left_;
  bool ok_ = true;
};

}  // namespace shoji::attest
