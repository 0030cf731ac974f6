// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The two steps of CpuBackend::Load, for a backend that has the CPU run what it cannot.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cpu/cpu_backend.h"
#include "lib/base/byte_source.h"
#include "lib/graph/graph.h"

namespace shoji::accelerator {

// Reads a serialized ONNX model. Errors as of Backend::Load: its values and its work are within `options`.
absl::StatusOr<graph::Graph> ImportOpenSegment(ByteSource& onnx, const CpuBackendOptions& options);

absl::StatusOr<std::unique_ptr<Model>> CreateCpuOpenModel(graph::Graph graph, const CpuBackendOptions& options);

}  // namespace shoji::accelerator
