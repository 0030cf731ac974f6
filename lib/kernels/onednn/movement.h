// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::kernels::onednn {

// From one layout to another of the same extents.
absl::StatusOr<Primitive> MakeReorder(const Engine& engine, const Layout& from, const Layout& to);

// Inputs: the parts, as their layouts say; the output's layout is the primitive's choice.
absl::StatusOr<Primitive> MakeConcat(const Engine& engine, int64_t axis, std::span<const Layout> parts);

}  // namespace shoji::kernels::onednn
