// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/tensor/shape_text.h"

#include <charconv>
#include <string>
#include <utility>
#include <vector>

namespace shoji {

absl::StatusOr<Shape> ParseShape(std::string_view text) {
  std::vector<int64_t> dims;
  for (std::string_view rest = text;;) {
    const std::string_view extent = rest.substr(0, rest.find('x'));
    int64_t dim = 0;
    const auto read = std::from_chars(extent.data(), extent.data() + extent.size(), dim);
    if (read.ec != std::errc() || read.ptr != extent.data() + extent.size() || dim < 1) {
      return absl::InvalidArgumentError("'" + std::string(text) +
                                        "' is no shape; write it like 3x224x224, each extent at least 1");
    }
    dims.push_back(dim);
    if (extent.size() == rest.size()) {
      return Shape::Create(std::move(dims));
    }
    rest.remove_prefix(extent.size() + 1);
  }
}

}  // namespace shoji
