// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_plan.h"

#include <algorithm>
#include <utility>

#include "gpu_worker/cuda/open_lowering.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/graph/passes.h"

namespace shoji::accelerator::open_segment {

const float* Addresses::In(const Place& place) const {
  const OpenBuffer& buffer = (*buffers_)[place.buffer];
  const uint8_t* const base = buffer.memory == OpenBuffer::Memory::kArena ? arena_ : constants_;
  return reinterpret_cast<const float*>(base + buffer.offset + place.offset);
}

float* Addresses::Out(const Place& place) const {
  const OpenBuffer& buffer = (*buffers_)[place.buffer];
  SHOJI_CHECK(buffer.memory == OpenBuffer::Memory::kArena);
  return reinterpret_cast<float*>(arena_ + buffer.offset + place.offset);
}

std::vector<Kernel> OpenPlan::Bind(uint8_t* arena, const uint8_t* constant_memory) const {
  const Addresses at(buffers, arena, constant_memory);
  std::vector<Kernel> out;
  out.reserve(num_kernels);
  for (const OpenStep& step : steps) {
    step.bind(at, out);
  }
  return out;
}

size_t OpenPlan::NumWorkspaces(size_t most, size_t max_bytes) const {
  return std::clamp<size_t>(max_bytes / std::max<size_t>(1, WorkspaceBytes()), 1, most);
}

absl::StatusOr<OpenPlan> PlanOpenModel(graph::Graph graph, const OpenPlanOptions& options) {
  RETURN_IF_ERROR(execution::CheckGraph(graph));
  graph::Optimize(graph);
  RETURN_IF_ERROR(execution::CheckGraph(graph));
  ASSIGN_OR_RETURN(const std::unique_ptr<Lowering> lowering, Lowering::Create(graph, options));
  return lowering->Finish();
}

}  // namespace shoji::accelerator::open_segment
