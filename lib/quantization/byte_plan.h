// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Which values of a graph are bytes and which are float32 in the order of bytes ("wide"), what numbers bytes stand for,
// and which kernel computes each node. Decided for the whole part at once, so that nothing depends on where a policy
// cuts it. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/execution/fusion.h"
#include "lib/graph/affine.h"
#include "lib/graph/graph.h"
#include "lib/kernels/geometry.h"
#include "lib/quantization/activation_ranges.h"
#include "lib/quantization/program.h"

namespace shoji::quantization {

enum class ByteKernel : uint8_t {
  kNone,      // float32 in ONNX's order only
  kLinear,    // Conv, Gemm, MatMul with constant weights; from bytes
  kFunction,  // of one element; wide
  kPair,      // Add, Sub, Mul of two values; wide
  kAffine,    // BatchNormalization; Add, Sub, Mul, Div with a constant a channel; wide
  kAverage,   // AveragePool, GlobalAveragePool, ReduceMean over height and width; wide
  kMaxPool,   // on bytes
  kMove,      // Reshape, Transpose, Slice, Pad with 0, Concat; on bytes
};
inline bool IsWideKernel(ByteKernel kernel) {
  return kernel == ByteKernel::kFunction || kernel == ByteKernel::kPair || kernel == ByteKernel::kAffine ||
         kernel == ByteKernel::kAverage;
}
inline bool MovesBytes(ByteKernel kernel) { return kernel == ByteKernel::kMaxPool || kernel == ByteKernel::kMove; }

// What `node` can be computed by between two linear layers. Requires a checked graph.
ByteKernel ByteKernelOf(const graph::Graph& graph, const graph::Node& node);

// Of a kAffine node, and what else is one, by the channels of the output's byte form; none for others.
std::optional<graph::Affine> AsAffine(const graph::Graph& graph, const graph::Node& node);

// How an operand of a kPair node goes along with the result.
enum class Walk : uint8_t {
  kWhole,    // element by element
  kChannel,  // one value a channel, the same for all pixels
  kPixel,    // one value a pixel, the same for all channels
  kSingle,   // one value
};
// Of a value of shape `x` in an operation whose result has shape `y`; none where the layouts of bytes do not fit.
std::optional<Walk> WalkOf(const Shape& x, const Shape& y);

// Of all values and nodes of a graph, which must outlive it. Thread-compatible.
class BytePlan {
 public:
  BytePlan(const graph::Graph& graph, const ActivationRanges& ranges);

  const execution::UseTable& uses() const { return uses_; }
  // kNone where no linear layer depends on the node's result through nothing but kernels.
  ByteKernel kernel(size_t node) const { return kernels_[node]; }
  // Whether somebody reads `value` as bytes, or wide. Where somebody reads it as bytes, all kernels do.
  bool IsBytes(graph::ValueId value) const { return is_bytes_[value]; }
  bool IsWide(graph::ValueId value) const { return is_wide_[value]; }
  // The one node that reads `value`, where there is exactly one and no output of the graph is it.
  std::optional<size_t> OnlyReader(graph::ValueId value) const;
  // What the bytes of `value` mean. INVALID_ARGUMENT names the value that has no range, or whose scales do not fit it.
  absl::StatusOr<ByteTensor> FormOfValue(graph::ValueId value) const;
  // The range of `value` itself; null where it has none.
  const Range* RangeOf(graph::ValueId value) const;
  // The value whose range is that of `value`; itself where it shares no other's.
  graph::ValueId RootOf(graph::ValueId value) const;
  // The channel of the root that is the first of `value`; none where they are not those of the root in their order.
  std::optional<size_t> ChannelInRoot(graph::ValueId value) const;
  // Whether the channels of a root may have scales of their own: every value that shares its range has its channels.
  bool TakesScales(graph::ValueId root) const { return takes_scales_[root]; }

 private:
  void MarkNear();
  void MarkForms();
  void ShareRanges();
  void MarkScales();

  struct Source {
    graph::ValueId value = 0;
    std::optional<size_t> channel = 0;  // of `value` that is this one's first
  };

  const graph::Graph& graph_;
  const ActivationRanges& ranges_;
  const execution::UseTable uses_;
  std::vector<ByteKernel> kernels_;  // of each node
  std::vector<bool> is_bytes_;       // of each value
  std::vector<bool> is_wide_;
  // Of each value, the one whose range it shares, or itself: moving and pooling change no number, and what goes into a
  // Concat and nowhere else is made with the range of its result.
  std::vector<Source> source_;
  std::vector<bool> takes_scales_;
};

}  // namespace shoji::quantization
