// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Pad in all its modes.

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

struct PadSpec {
  std::vector<int64_t> begin;  // one an axis of the input
  std::vector<int64_t> end;
  float value = 0;
};

absl::Status ReadPads(const NodeScope& node, std::vector<int64_t>& pads, std::vector<int64_t>& axes, float& value) {
  if (node.opset() < 11) {
    ASSIGN_OR_RETURN(pads, node.Ints("pads", {}));
    ASSIGN_OR_RETURN(value, node.Float("value", 0));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(pads, node.ConstantInts(1));
  if (node.has_input(2)) {
    ASSIGN_OR_RETURN(value, node.ConstantFloat(2));
  }
  if (node.has_input(3)) {
    ASSIGN_OR_RETURN(axes, node.ConstantInts(3));
    RETURN_IF_ERROR(node.Axes(axes, node.shape(0).rank()).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<PadSpec> PadSpecOf(const NodeScope& node) {
  const Shape& x = node.shape(0);
  std::vector<int64_t> pads;
  std::vector<int64_t> axes(x.rank());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  PadSpec spec;
  RETURN_IF_ERROR(ReadPads(node, pads, axes, spec.value));
  if (pads.size() != 2 * axes.size()) {
    return node.Invalid(std::to_string(pads.size()) + " pads do not fit an input of shape " + x.ToString());
  }
  spec.begin.assign(x.rank(), 0);
  spec.end.assign(x.rank(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    ASSIGN_OR_RETURN(const int64_t axis, node.Axis(axes[i], x.rank()));
    spec.begin[static_cast<size_t>(axis)] = pads[i];
    spec.end[static_cast<size_t>(axis)] = pads[i + axes.size()];
  }
  return spec;
}

absl::StatusOr<Shape> PaddedShape(const NodeScope& node, const PadSpec& spec) {
  const Shape& x = node.shape(0);
  std::vector<int64_t> dims;
  for (size_t i = 0; i < x.rank(); ++i) {
    const int64_t begin = spec.begin[i];
    const int64_t end = spec.end[i];
    const int64_t limit = Shape::kMaxElements;
    // Cropping may not take more than there is, from either side.
    if (begin > limit || end > limit || begin < -x[i] || end < -x[i] ||
        x[i] + std::min<int64_t>(0, begin) + std::min<int64_t>(0, end) < 0) {
      return node.Invalid("pads " + std::to_string(begin) + " and " + std::to_string(end) + " of axis " +
                          std::to_string(i) + " are out of range for an input of shape " + x.ToString());
    }
    dims.push_back(x[i] + begin + end);
  }
  return node.MakeShape(std::move(dims));
}

// The element that a position before, in or behind an axis of `extent` shows.
int64_t Source(std::string_view mode, int64_t at, int64_t extent) {
  if (mode == "edge") {
    return std::clamp<int64_t>(at, 0, extent - 1);
  }
  const int64_t period = mode == "wrap" ? extent : std::max<int64_t>(1, 2 * (extent - 1));
  const int64_t within = (at % period + period) % period;
  return within < extent ? within : period - within;
}

// Padding with elements of the input: a Gather along each axis that grows or shrinks.
absl::Status EmitMirrored(NodeScope& node, const std::string& mode, const PadSpec& spec, const Shape& shape) {
  KnownValue* value = node.inputs()[0];
  const Shape x = value->shape;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (spec.begin[i] == 0 && spec.end[i] == 0) {
      continue;
    }
    // The indices themselves are held to the limits of a constant.
    RETURN_IF_ERROR(node.ChargeIndices(static_cast<size_t>(shape[i])));
    GatherAttributes gather;
    gather.axis = static_cast<int64_t>(i);
    for (int64_t at = -spec.begin[i]; at < x[i] + spec.end[i]; ++at) {
      gather.indices.push_back(Source(mode, at, x[i]));
    }
    std::vector<int64_t> dims = value->shape.dims();
    dims[i] = shape[i];
    ASSIGN_OR_RETURN(Shape grown, node.MakeShape(std::move(dims)));
    ASSIGN_OR_RETURN(
        value, node.EmitStep("axis" + std::to_string(i), Op::kGather, std::move(gather), std::move(grown), {value}));
  }
  return node.EmitLast(Op::kReshape, {}, shape, {value});
}

}  // namespace

absl::Status NormalizePad(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const std::string mode, node.String("mode", "constant"));
  ASSIGN_OR_RETURN(const PadSpec spec, PadSpecOf(node));
  ASSIGN_OR_RETURN(const Shape shape, PaddedShape(node, spec));
  if (mode == "constant") {
    return node.Emit(Op::kPad, PadAttributes{spec.begin, spec.end, spec.value}, shape, 1);
  }
  if (mode != "reflect" && mode != "edge" && mode != "wrap") {
    return node.Invalid("attribute `mode` is " + Quoted(mode));
  }
  if (node.shape(0).num_elements() == 0) {
    return node.Invalid("its input has no elements");
  }
  return EmitMirrored(node, mode, spec, shape);
}

}  // namespace shoji::graph::onnx_io
