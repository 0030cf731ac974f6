// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From nodes to steps. Private to this folder.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/quantization/byte_plan.h"
#include "lib/quantization/compiled.h"
#include "lib/quantization/linear_node.h"

namespace shoji::quantization {

// Nodes are lowered in the order of the graph, each to one step; those that a step absorbs are passed over. `graph`
// must outlive it. Thread-compatible.
class Lowering {
 public:
  // `origin` is the number that each node of `graph` is known by in the steps.
  Lowering(const graph::Graph& graph, std::vector<size_t> origin, const ActivationRanges& ranges,
           const CompileOptions& options);
  Lowering(const Lowering&) = delete;
  Lowering& operator=(const Lowering&) = delete;

  absl::StatusOr<std::unique_ptr<const Compiled>> Run();

 private:
  // The bounds of the Relu and Clip nodes that a step does at its end.
  struct Clamp {
    double low = 0;
    double high = 0;
  };

  absl::Status PlaceInputs();
  void PlaceOutputs();
  absl::Status LowerNode(size_t node);

  // Linear steps.
  absl::Status LowerLinear(size_t node);
  graph::ValueId AbsorbAffine(LinearNode& linear, graph::ValueId value);
  std::optional<kernels::PoolGeometry> AbsorbMaxPool(graph::ValueId& value);
  void AddTransposedOutput(size_t node, graph::ValueId value, Slot by_channel);
  absl::Status AddRunners();

  // Local steps: in float32, and in lowering_bytes.cc on bytes.
  absl::Status LowerFloat(size_t node);
  absl::Status LowerBytes(size_t node);
  absl::Status LowerTable(size_t node);
  absl::Status LowerPair(size_t node);
  absl::Status LowerAffine(size_t node);
  absl::Status LowerMaxPool(size_t node);
  absl::Status LowerAverage(size_t node);
  absl::Status LowerMove(size_t node);

  // Follows `value` through the Relu and Clip nodes that alone read it, and marks them done.
  Clamp AbsorbClamps(graph::ValueId& value);
  // The parameters of `value` and what `clamp` is in them.
  absl::StatusOr<std::pair<QuantizationParameters, ByteOutput>> OutputOf(graph::ValueId value,
                                                                         const Clamp& clamp) const;
  absl::StatusOr<QuantizationParameters> Parameters(graph::ValueId value) const { return plan_.Parameters(value); }

  // Slots. `time()` is that of the step that is being made.
  size_t time() const { return compiled_->steps.size() + 1; }
  Slot NewSlot(SlotInfo info);
  Slot NewFloats(graph::ValueId value);
  absl::StatusOr<Slot> NewBytes(graph::ValueId value);
  Slot NewScratch(size_t size_bytes);
  void Touch(Slot slot);
  Slot UseBytes(graph::ValueId value);
  // Where `value` is only in bytes, makes it float32 first.
  Slot UseFloats(graph::ValueId value);
  void Do(Operation operation) { operations_.push_back(std::move(operation)); }
  // Leaves `node` to the step that is being made.
  void Absorb(size_t node);
  // Ends a local step that began with `node`.
  void FinishLocal(size_t node);

  const graph::Graph& graph_;
  const std::vector<size_t> origin_;
  const CompileOptions options_;
  const BytePlan plan_;
  const ByteKernels& kernels_;
  std::unique_ptr<Compiled> compiled_;
  std::vector<Operation> operations_;        // of the step that is being made
  size_t last_absorbed_ = 0;                 // by that step
  std::vector<bool> absorbed_;               // of each node
  std::vector<std::optional<Slot>> floats_;  // of each value
  std::vector<std::optional<Slot>> bytes_;
};

}  // namespace shoji::quantization
