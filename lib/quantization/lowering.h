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
#include "lib/quantization/wide_chain.h"

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
  absl::Status Correct(graph::ValueId value, LinearNode& linear) const;
  graph::ValueId AbsorbAffine(LinearNode& linear, graph::ValueId value);
  // What the step that makes `value` gives as bytes alone, with the clamps and the pooling that it takes along; none
  // where somebody wants the number as it is.
  struct ByteResult {
    graph::ValueId value = 0;
    Clamp clamp;
    std::optional<kernels::PoolGeometry> max_pool;
    std::vector<size_t> absorbed;
  };
  std::optional<ByteResult> ByteResultOf(graph::ValueId value) const;
  absl::Status AddRunners();

  // Local steps: in float32, in lowering_bytes.cc on bytes, in lowering_wide.cc wide.
  absl::Status LowerFloat(size_t node);
  absl::Status LowerMaxPool(size_t node);
  absl::Status LowerMove(size_t node);
  absl::Status LowerAverage(size_t node);
  absl::Status LowerChain(size_t node);
  absl::Status NarrowOutputOf(size_t node, graph::ValueId value);
  struct ChainEnds {
    graph::ValueId first = 0;
    graph::ValueId last = 0;
  };
  ChainEnds BuildChain(size_t node, WideChain& chain);
  std::optional<graph::ValueId> ExtendChain(graph::ValueId value, WideChain& chain);
  bool IsResultOfLinearBefore(graph::ValueId value) const;
  bool HasForm(graph::ValueId value) const;
  WideChain::Operand OperandOf(graph::ValueId value, const Shape& result);
  absl::StatusOr<WideChain::Result> NewResult(graph::ValueId value);
  void AddChain(std::shared_ptr<const WideChain> chain, const ChainEnds& ends);
  Slot Requantized(Slot from, const ByteTensor& form);

  // Follows `value` through the Relu and Clip nodes that alone read it.
  Clamp ClampsAfter(graph::ValueId& value, std::vector<size_t>& absorbed) const;
  // The form of `value` and what `clamp` is in it.
  absl::StatusOr<LinearOutput> OutputOf(graph::ValueId value, const Clamp& clamp) const;
  // Whether somebody wants `value` in ONNX's order.
  bool IsReadAsFloat(graph::ValueId value) const;
  bool IsMadeWide(graph::ValueId value) const { return plan_.IsWide(value) || IsReadAsFloat(value); }

  // Slots. `time()` is that of the step that is being made.
  size_t time() const { return compiled_->steps.size() + 1; }
  Slot NewSlot(SlotInfo info);
  Slot NewFloats(graph::ValueId value);
  Slot NewWide(graph::ValueId value);
  absl::StatusOr<Slot> NewBytes(graph::ValueId value);
  Slot NewScratch(size_t size_bytes);
  void Touch(Slot slot);
  Slot UseBytes(graph::ValueId value);
  // In ONNX's order, which is made first where `value` is only wide or bytes.
  Slot UseFloats(graph::ValueId value);
  // Makes the other forms of `value` that somebody reads from its float32 in ONNX's order.
  absl::Status AddFormsOf(graph::ValueId value, Slot floats);
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
  std::shared_ptr<const WideChain> chain_;   // of that step, which the linear one before it may run
  Slot chain_scratch_ = 0;
  std::vector<bool> absorbed_;               // of each node
  std::vector<std::optional<Slot>> floats_;  // of each value
  std::vector<std::optional<Slot>> wide_;
  std::vector<std::optional<Slot>> bytes_;
};

}  // namespace shoji::quantization
