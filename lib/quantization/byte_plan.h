// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Which values of a graph are bytes, what numbers they stand for, and which kernel computes each node. Decided for the
// whole part at once, so that nothing depends on where a policy cuts it. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/execution/fusion.h"
#include "lib/graph/graph.h"
#include "lib/kernels/geometry.h"
#include "lib/quantization/activation_ranges.h"
#include "lib/quantization/byte_kernels.h"

namespace shoji::quantization {

enum class ByteKernel : uint8_t {
  kNone,    // float32 only
  kLinear,  // Conv, Gemm, MatMul with constant weights
  kTable,   // a function of one byte
  kPair,    // Add, Sub, Mul of two byte values
  kAffine,  // BatchNormalization; Add, Sub, Mul, Div with a constant a channel
  kMaxPool,
  kAverage,  // AveragePool, GlobalAveragePool, ReduceMean over height and width
  kMove,     // Reshape, Transpose, Slice, Pad with 0, Concat
};

// What `node` can be computed by on bytes. Requires a checked graph.
ByteKernel ByteKernelOf(const graph::Graph& graph, const graph::Node& node);

// y = factor * x + shift, one pair a channel of the output's byte form.
struct AffineNode {
  size_t input = 0;  // which of the node's inputs x is
  std::vector<double> factor;
  std::vector<double> shift;
};
// Of a kAffine node, and what else is one; none for others.
std::optional<AffineNode> AsAffine(const graph::Graph& graph, const graph::Node& node);

// How a kPair node walks its operands.
std::optional<PairLoop> PairLoopOf(const graph::Graph& graph, const graph::Node& node);

// Of all values and nodes of a graph, which must outlive it. Thread-compatible.
class BytePlan {
 public:
  BytePlan(const graph::Graph& graph, const ActivationRanges& ranges);

  const execution::UseTable& uses() const { return uses_; }
  ByteKernel kernel(size_t node) const { return kernels_[node]; }
  // Whether somebody reads `value` as bytes.
  bool IsBytes(graph::ValueId value) const { return is_bytes_[value]; }
  // The one node that reads `value`, where there is exactly one and no output of the graph is it.
  std::optional<size_t> OnlyReader(graph::ValueId value) const;
  // What the bytes of `value` mean. INVALID_ARGUMENT names the value that has no range.
  absl::StatusOr<QuantizationParameters> Parameters(graph::ValueId value) const;

 private:
  void MarkBytes();
  void ShareParameters();

  const graph::Graph& graph_;
  const ActivationRanges& ranges_;
  const execution::UseTable uses_;
  std::vector<ByteKernel> kernels_;  // of each node
  std::vector<bool> is_bytes_;       // of each value
  // Of each value, the one whose parameters it shares, or itself: moving and pooling change no number, and what goes
  // into a Concat and nowhere else is made with the parameters of its result.
  std::vector<graph::ValueId> source_;
};

}  // namespace shoji::quantization
