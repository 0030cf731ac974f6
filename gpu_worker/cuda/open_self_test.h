// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Whether models of open segments give what the CPU's do. Without a device and without CUDA.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "lib/graph/graph.h"

namespace shoji::accelerator {

using MakeOpenModel = std::function<absl::StatusOr<std::unique_ptr<Model>>(const graph::Graph& graph)>;

// Runs small networks that between them reach every kernel of open_kernels.h on inputs that are always the same: each
// request alone, again, and beside another one. OK when all values are within 1e-4 of the largest that the CPU has in
// their tensor, and a request has the same bits each time. INTERNAL says which network is wrong and where; what `make`
// or a run answers is passed on with the network's name.
absl::Status TestOpenModels(const MakeOpenModel& make);

}  // namespace shoji::accelerator
