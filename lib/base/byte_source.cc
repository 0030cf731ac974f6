// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/byte_source.h"

#include <algorithm>

namespace shoji {

absl::Status SpanSource::Read(std::span<uint8_t> out) {
  if (out.size() > left_.size()) {
    return absl::OutOfRangeError("the input ends early");
  }
  std::copy_n(left_.begin(), out.size(), out.begin());
  left_ = left_.subspan(out.size());
  return absl::OkStatus();
}

}  // namespace shoji
