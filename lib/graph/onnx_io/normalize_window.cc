// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that slide a window over the two spatial dimensions.

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// No real network comes near; products of a few of them stay far from overflow.
constexpr int64_t kMaxExtent = 65536;

struct Window {
  std::array<int64_t, 2> kernel = {1, 1};
  std::array<int64_t, 2> strides = {1, 1};
  std::array<int64_t, 2> dilations = {1, 1};
  std::array<int64_t, 4> pads = {0, 0, 0, 0};
  std::array<int64_t, 2> output = {0, 0};
};

enum class Rounding { kFloor, kCeil };

template <size_t N>
absl::StatusOr<std::array<int64_t, N>> Extents(const NodeScope& node, const std::string& name,
                                               const std::array<int64_t, N>& absent, int64_t min) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> values,
                   node.Ints(name, std::vector<int64_t>(absent.begin(), absent.end())));
  if (values.size() != N) {
    return node.Invalid("attribute `" + name + "` has " + std::to_string(values.size()) + " values where " +
                        std::to_string(N) + " are needed");
  }
  std::array<int64_t, N> out = {};
  for (size_t i = 0; i < N; ++i) {
    if (values[i] < min || values[i] > kMaxExtent) {
      return node.Invalid("attribute `" + name + "`: " + std::to_string(values[i]) + " is out of range");
    }
    out[i] = values[i];
  }
  return out;
}

absl::Status RequireImage(const NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  if (node.shape(0).rank() != 4) {
    return node.Unimplemented("its input has shape " + node.shape(0).ToString() +
                              "; only two spatial dimensions (rank 4) are supported");
  }
  for (const int64_t extent : node.shape(0).dims()) {
    if (extent == 0) {
      return node.Invalid("its input has no elements");
    }
  }
  return absl::OkStatus();
}

// The pads that make an output of ceil(in / stride); an odd one goes to the end for SAME_UPPER.
void PadToSame(Window& window, size_t axis, int64_t in, bool upper) {
  const int64_t span = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
  const int64_t out = (in + window.strides[axis] - 1) / window.strides[axis];
  const int64_t total = std::max<int64_t>(0, (out - 1) * window.strides[axis] + span - in);
  const int64_t small = total / 2;
  window.pads[axis] = upper ? small : total - small;
  window.pads[axis + 2] = upper ? total - small : small;
}

absl::Status ResolvePads(const NodeScope& node, Window& window) {
  ASSIGN_OR_RETURN(const std::string mode, node.String("auto_pad", "NOTSET"));
  if (mode == "NOTSET") {
    ASSIGN_OR_RETURN(window.pads, Extents<4>(node, "pads", {0, 0, 0, 0}, 0));
  } else if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    PadToSame(window, 0, node.shape(0)[2], mode == "SAME_UPPER");
    PadToSame(window, 1, node.shape(0)[3], mode == "SAME_UPPER");
  } else if (mode != "VALID") {
    return node.Invalid("attribute `auto_pad` is " + Quoted(mode));
  }
  return absl::OkStatus();
}

// Reads the attributes of a window of `kernel` and computes the output's extents.
absl::StatusOr<Window> ResolveWindow(const NodeScope& node, const std::array<int64_t, 2>& kernel, Rounding rounding) {
  Window window;
  window.kernel = kernel;
  ASSIGN_OR_RETURN(window.strides, Extents<2>(node, "strides", {1, 1}, 1));
  ASSIGN_OR_RETURN(window.dilations, Extents<2>(node, "dilations", {1, 1}, 1));
  RETURN_IF_ERROR(ResolvePads(node, window));
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t in = node.shape(0)[axis + 2];
    const int64_t span = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
    const int64_t room = in + window.pads[axis] + window.pads[axis + 2] - span;
    if (room < 0) {
      return node.Invalid("its window is larger than its padded input of shape " + node.shape(0).ToString());
    }
    const int64_t stride = window.strides[axis];
    const int64_t steps = rounding == Rounding::kCeil ? (room + stride - 1) / stride : room / stride;
    window.output[axis] = steps + 1;
  }
  return window;
}

// A pool has no value for a window that holds nothing but padding. Rounding up makes no window that would start behind
// the input and the padding before it: operator set 22 says so, and runtimes have always done it; libonnx does not.
absl::Status DropEmptyWindows(NodeScope& node, Rounding rounding, Window& window) {
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t in = node.shape(0)[axis + 2];
    const int64_t stride = window.strides[axis];
    if (rounding == Rounding::kCeil && (window.output[axis] - 1) * stride >= in + window.pads[axis]) {
      --window.output[axis];
      node.SkipShapeInference();
    }
    const int64_t span = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
    const int64_t last_start = (window.output[axis] - 1) * stride - window.pads[axis];
    if (window.pads[axis] >= span || last_start >= in) {
      return node.Unimplemented("a window that lies wholly in the padding is not supported");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Shape> OutputShape(const NodeScope& node, int64_t channels, const Window& window) {
  return node.MakeShape({node.shape(0)[0], channels, window.output[0], window.output[1]});
}

absl::Status NormalizePool(NodeScope& node, Op op) {
  RETURN_IF_ERROR(RequireImage(node));
  PoolAttributes attributes;
  ASSIGN_OR_RETURN(const int64_t ceil_mode, node.Int("ceil_mode", 0));
  ASSIGN_OR_RETURN(const int64_t count_include_pad, node.Int("count_include_pad", 0));
  node.Ignore("storage_order");  // of the indices, which nothing may read
  ASSIGN_OR_RETURN(const auto kernel, Extents<2>(node, "kernel_shape", {0, 0}, 1));
  ASSIGN_OR_RETURN(const std::string auto_pad, node.String("auto_pad", "NOTSET"));
  // With automatic padding the output's size does not depend on the rounding.
  const bool ceil = ceil_mode != 0 && auto_pad == "NOTSET";
  const Rounding rounding = ceil ? Rounding::kCeil : Rounding::kFloor;
  ASSIGN_OR_RETURN(Window window, ResolveWindow(node, kernel, rounding));
  RETURN_IF_ERROR(DropEmptyWindows(node, rounding, window));
  if (op == Op::kAveragePool && window.dilations != std::array<int64_t, 2>{1, 1}) {
    return node.Unimplemented("an average over a dilated window is not supported");
  }
  attributes.kernel = window.kernel;
  attributes.strides = window.strides;
  attributes.dilations = window.dilations;
  attributes.pads = window.pads;
  attributes.ceil_mode = ceil;
  attributes.count_include_pad = count_include_pad != 0;
  ASSIGN_OR_RETURN(Shape shape, OutputShape(node, node.shape(0)[1], window));
  return node.Emit(op, attributes, std::move(shape), 1);
}

struct ConvPlan {
  ConvAttributes attributes;
  Shape shape;
};

// Inputs: X, W and, if any, B.
absl::StatusOr<ConvPlan> PlanConv(const NodeScope& node) {
  RETURN_IF_ERROR(RequireImage(node));
  RETURN_IF_ERROR(node.RequireInputs(2));
  const Shape& x = node.shape(0);
  const Shape& w = node.shape(1);
  if (w.rank() != 4 || w.num_elements() == 0 || w[2] > kMaxExtent || w[3] > kMaxExtent) {
    return node.Invalid("its weights have shape " + w.ToString());
  }
  ASSIGN_OR_RETURN(const int64_t group, node.Int("group", 1));
  if (group < 1 || group > w[0] || w[0] % group != 0 || x[1] % group != 0 || x[1] / group != w[1]) {
    return node.Invalid("weights of shape " + w.ToString() + " in " + std::to_string(group) +
                        " groups do not fit an input of shape " + x.ToString());
  }
  const std::array<int64_t, 2> kernel = {w[2], w[3]};
  ASSIGN_OR_RETURN(const auto stated, Extents<2>(node, "kernel_shape", kernel, 1));
  if (stated != kernel) {
    return node.Invalid("attribute `kernel_shape` is not that of the weights, " + w.ToString());
  }
  if (node.has_input(2) && (node.shape(2).rank() != 1 || node.shape(2)[0] != w[0])) {
    return node.Invalid("a bias of shape " + node.shape(2).ToString() + " does not fit weights of shape " +
                        w.ToString());
  }
  ASSIGN_OR_RETURN(const Window window, ResolveWindow(node, kernel, Rounding::kFloor));
  ConvPlan plan;
  plan.attributes.kernel = window.kernel;
  plan.attributes.strides = window.strides;
  plan.attributes.dilations = window.dilations;
  plan.attributes.pads = window.pads;
  plan.attributes.group = group;
  ASSIGN_OR_RETURN(plan.shape, OutputShape(node, w[0], window));
  return plan;
}

}  // namespace

absl::Status NormalizeConv(NodeScope& node) {
  ASSIGN_OR_RETURN(ConvPlan plan, PlanConv(node));
  return node.Emit(Op::kConv, plan.attributes, std::move(plan.shape), node.has_input(2) ? 3 : 2);
}

absl::StatusOr<KnownValue*> StepConv(NodeScope& node, const std::string& suffix) {
  ASSIGN_OR_RETURN(ConvPlan plan, PlanConv(node));
  std::vector<KnownValue*> inputs = node.inputs();
  inputs.resize(node.has_input(2) ? 3 : 2);
  return node.EmitStep(suffix, Op::kConv, plan.attributes, std::move(plan.shape), inputs);
}

absl::Status NormalizeMaxPool(NodeScope& node) { return NormalizePool(node, Op::kMaxPool); }

absl::Status NormalizeAveragePool(NodeScope& node) { return NormalizePool(node, Op::kAveragePool); }

namespace {

// The axes that a global pool covers; INVALID_ARGUMENT when there is none.
absl::StatusOr<std::vector<int64_t>> SpatialAxes(const NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  if (x.rank() < 3 || x.num_elements() == 0) {
    return node.Invalid("its input has shape " + x.ToString());
  }
  std::vector<int64_t> axes(x.rank() - 2);
  std::iota(axes.begin(), axes.end(), int64_t{2});
  return axes;
}

absl::StatusOr<Shape> GlobalShape(const NodeScope& node) {
  std::vector<int64_t> dims(node.shape(0).rank(), 1);
  dims[0] = node.shape(0)[0];
  dims[1] = node.shape(0)[1];
  return node.MakeShape(std::move(dims));
}

}  // namespace

absl::Status NormalizeGlobalAveragePool(NodeScope& node) {
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, SpatialAxes(node));
  ASSIGN_OR_RETURN(Shape shape, GlobalShape(node));
  if (shape.rank() == 4) {
    return node.Emit(Op::kGlobalAveragePool, {}, std::move(shape), 1);
  }
  return node.Emit(Op::kReduceMean, ReduceAttributes{std::move(axes), true}, std::move(shape), 1);
}

// A window over the whole image, where it is one.
absl::Status NormalizeGlobalMaxPool(NodeScope& node) {
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, SpatialAxes(node));
  ASSIGN_OR_RETURN(Shape shape, GlobalShape(node));
  const Shape& x = node.shape(0);
  if (x.rank() == 4 && x[2] <= kMaxExtent && x[3] <= kMaxExtent) {
    PoolAttributes attributes;
    attributes.kernel = {x[2], x[3]};
    return node.Emit(Op::kMaxPool, attributes, std::move(shape), 1);
  }
  return node.Emit(Op::kReduceMax, ReduceAttributes{std::move(axes), true}, std::move(shape), 1);
}

// The root of the sum of powers.
absl::Status NormalizeGlobalLpPool(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> axes, SpatialAxes(node));
  ASSIGN_OR_RETURN(const Shape shape, GlobalShape(node));
  ASSIGN_OR_RETURN(const int64_t p, node.Int("p", 2));
  KnownValue* x = node.inputs()[0];
  if (p == 1) {
    ASSIGN_OR_RETURN(KnownValue * magnitude, node.StepUnary("abs", Op::kAbs, x));
    ASSIGN_OR_RETURN(KnownValue * sum, StepSum(node, "sum", magnitude, axes));
    return node.EmitLast(Op::kReshape, {}, shape, {sum});
  }
  if (p != 2) {
    return node.Unimplemented("attribute `p`: norms 1 and 2 are supported");
  }
  ASSIGN_OR_RETURN(KnownValue * square, node.StepBinary("square", Op::kMul, x, x));
  ASSIGN_OR_RETURN(KnownValue * sum, StepSum(node, "sum", square, axes));
  return node.EmitLast(Op::kSqrt, {}, shape, {sum});
}

}  // namespace shoji::graph::onnx_io
