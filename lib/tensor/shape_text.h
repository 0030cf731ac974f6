// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Shapes as people write them in options and configuration files.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "lib/tensor/shape.h"

namespace shoji {

// "3x224x224": extents of at least 1. INVALID_ARGUMENT says how to write it.
absl::StatusOr<Shape> ParseShape(std::string_view text);

}  // namespace shoji
