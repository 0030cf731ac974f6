// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From nodes to the kernels of open_kernels.h, and where their values lie. Private to the planning of open segments.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/cuda/open_plan.h"
#include "lib/execution/fusion.h"
#include "lib/execution/memory_plan.h"
#include "lib/graph/graph.h"
#include "lib/kernels/geometry.h"

namespace shoji::accelerator::open_segment {

// Grows an OpenPlan node by node. Nodes are lowered in the order of the graph, which must outlive this and has passed
// execution::CheckGraph. Thread-compatible.
class Lowering {
 public:
  using Bind = std::function<void(const Addresses& at, std::vector<Kernel>& out)>;

  static absl::StatusOr<std::unique_ptr<Lowering>> Create(const graph::Graph& graph, const OpenPlanOptions& options);
  Lowering(const Lowering&) = delete;
  Lowering& operator=(const Lowering&) = delete;

  const graph::Graph& graph() const { return graph_; }
  const OpenPlanOptions& options() const { return options_; }
  const execution::UseTable& uses() const { return uses_; }
  const graph::Value& value(graph::ValueId id) const { return graph_.values[id]; }
  bool IsReady(graph::ValueId id) const { return ready_[id]; }

  // The following are of the node that is being lowered. Where `value`, which is ready, lies.
  absl::StatusOr<Place> In(graph::ValueId value);
  // Memory for `value`, where a concatenation wants it, and says that it is ready.
  Place Out(graph::ValueId value);
  // Says that `value` lies where another one does.
  void SetPlace(graph::ValueId value, const Place& place);
  // Memory during this node alone.
  Place Scratch(size_t num_elements);
  absl::StatusOr<Place> Constant(const std::shared_ptr<const Tensor>& tensor);
  // RESOURCE_EXHAUSTED when there is no room for a constant of that size: to be asked before a large one is made.
  absl::Status CheckRoom(size_t size_bytes) const;
  // The kernels of this node; `num_kernels` is how many `bind` adds, none of which runs if it is 0.
  void AddStep(size_t num_kernels, Bind bind);
  void MarkDone(size_t node) { done_[node] = true; }
  // Where the part `position` of the Concat `node` lies already because it was computed there.
  bool IsInPlace(size_t node, size_t position) const;

  // Lowers all nodes and lays out the arena.
  absl::StatusOr<OpenPlan> Finish();

 private:
  // Memory of `value` is a part of that of another one, the output of a Concat.
  struct Part {
    graph::ValueId whole = graph::kNoValue;
    size_t offset = 0;
  };

  Lowering(const graph::Graph& graph, const OpenPlanOptions& options);
  void FindParts();
  void FindPartsOf(const graph::Node& concat);
  absl::Status LowerAll();
  Place NewBuffer(size_t size_bytes);
  Place Reserve(graph::ValueId value);
  void Touch(const Place& place);

  const graph::Graph& graph_;
  const OpenPlanOptions options_;
  const execution::UseTable uses_;
  OpenPlan plan_;
  std::vector<execution::Lifetime> lifetimes_;          // of each buffer; empty for one of constants
  std::vector<std::optional<Part>> parts_;              // of each value
  std::vector<std::optional<Place>> places_;            // of each value
  std::vector<bool> ready_;                             // of each value
  std::vector<bool> done_;                              // of each node
  std::unordered_map<const Tensor*, Place> constants_;  // where they stand
  size_t node_ = 0;
};

// Lowers one node and those that can be done with it; UNIMPLEMENTED where no kernel does. The first two are parts of
// the third, for Conv, Gemm and MatMul, and for the others.
absl::Status LowerLinear(Lowering& lowering, size_t node);
absl::Status LowerOther(Lowering& lowering, size_t node);
absl::Status LowerNode(Lowering& lowering, size_t node);

// What the above share.

// A chain after `node` without or with a residual; its nodes are marked done, and its output has its place.
struct Tail {
  execution::Chain chain;
  std::optional<Place> residual;
  Place y;
};
absl::StatusOr<Tail> TakeTail(Lowering& lowering, size_t node, execution::Residuals residuals);
// `first`, if there is one, comes before the tail's own activations.
Epilogue EpilogueOf(const Tail& tail, const std::optional<Place>& bias, const Addresses& at,
                    const std::optional<kernels::Activation>& first = std::nullopt);
// UNIMPLEMENTED where a term is too large for 32 bits.
absl::StatusOr<Sliding> SlidingOf(const kernels::Window& window, const kernels::Extents& input,
                                  const kernels::Extents& output);
// The loops of `nest` whose index is in `loops`.
Nest NestOf(const kernels::LoopNest& nest, std::span<const size_t> loops);
Nest NestOf(const kernels::LoopNest& nest);
uint32_t Narrow(int64_t extent);
uint32_t NumElements(const Lowering& lowering, graph::ValueId value);

}  // namespace shoji::accelerator::open_segment
