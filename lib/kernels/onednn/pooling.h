// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/statusor.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::kernels::onednn {

// Pools a tensor that lies as `x` says; the output has a layout of the same kind. UNIMPLEMENTED where the reference
// kernel serves better or oneDNN has none.
absl::StatusOr<Primitive> MakePooling(const Engine& engine, const PoolGeometry& geometry, const Layout& x);

}  // namespace shoji::kernels::onednn
