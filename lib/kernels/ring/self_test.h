// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The cases of SelfTest, for whatever computes what LinearKernel::Run does.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::kernels::ring {

// All rows of the output, as Run() writes them.
using KernelRunner = std::function<absl::StatusOr<std::vector<uint8_t>>(
    const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring, const LinearInput& input)>;

// INTERNAL names `name` and the first case in which `run` fails or differs from plain integer loops.
absl::Status TestKernel(std::string_view name, const KernelRunner& run);

}  // namespace shoji::kernels::ring
