// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that select elements of their input.

#include <algorithm>
#include <numeric>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

struct SliceRange {
  std::vector<int64_t> starts, ends, axes, steps;
};

// Slice-1 has attributes, Slice-10 inputs.
absl::Status ReadSliceAttributes(const NodeScope& node, SliceRange& range) {
  ASSIGN_OR_RETURN(range.starts, node.Ints("starts", {}));
  ASSIGN_OR_RETURN(range.ends, node.Ints("ends", {}));
  ASSIGN_OR_RETURN(range.axes, node.Ints("axes", {}));
  return absl::OkStatus();
}

absl::Status ReadSliceInputs(const NodeScope& node, SliceRange& range) {
  RETURN_IF_ERROR(node.RequireInputs(3));
  ASSIGN_OR_RETURN(range.starts, node.ConstantInts(1));
  ASSIGN_OR_RETURN(range.ends, node.ConstantInts(2));
  if (node.has_input(3)) {
    ASSIGN_OR_RETURN(range.axes, node.ConstantInts(3));
  }
  if (node.has_input(4)) {
    ASSIGN_OR_RETURN(range.steps, node.ConstantInts(4));
  }
  return absl::OkStatus();
}

absl::StatusOr<SliceRange> RangeOf(const NodeScope& node) {
  SliceRange range;
  RETURN_IF_ERROR(node.opset() < 10 ? ReadSliceAttributes(node, range) : ReadSliceInputs(node, range));
  if (range.axes.empty()) {
    range.axes.resize(range.starts.size());
    std::iota(range.axes.begin(), range.axes.end(), int64_t{0});
  }
  if (range.steps.empty()) {
    range.steps.assign(range.starts.size(), 1);
  }
  if (range.ends.size() != range.starts.size() || range.axes.size() != range.starts.size() ||
      range.steps.size() != range.starts.size()) {
    return node.Invalid("starts, ends, axes and steps differ in length");
  }
  return range;
}

// One axis of a slice of `extent` elements, brought in range by the rules of Slice-13; `count` is the elements taken.
struct AxisSlice {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

AxisSlice ClampSlice(int64_t start, int64_t end, int64_t step, int64_t extent) {
  const auto from_front = [extent](int64_t at) { return at < 0 ? std::max(at, -extent - 1) + extent : at; };
  AxisSlice slice;
  if (extent == 0) {
    return slice;
  }
  // A step beyond the extent takes one element, whatever its size.
  slice.step = std::clamp(step, -extent - 1, extent + 1);
  if (slice.step > 0) {
    slice.start = std::clamp<int64_t>(from_front(start), 0, extent);
    const int64_t stop = std::clamp<int64_t>(from_front(end), 0, extent);
    slice.count = std::max<int64_t>(0, (stop - slice.start + slice.step - 1) / slice.step);
  } else {
    slice.start = std::clamp<int64_t>(from_front(start), 0, extent - 1);
    const int64_t stop = std::clamp<int64_t>(from_front(end), -1, extent - 1);
    slice.count = std::max<int64_t>(0, (slice.start - stop - slice.step - 1) / -slice.step);
  }
  slice.start = slice.count == 0 ? 0 : slice.start;
  slice.step = slice.count <= 1 ? 1 : slice.step;
  return slice;
}

// The whole of `x`, for a slice along some of its axes.
SliceAttributes WholeOf(const Shape& x) {
  SliceAttributes attributes;
  attributes.starts.assign(x.rank(), 0);
  attributes.steps.assign(x.rank(), 1);
  return attributes;
}

// The extents of the parts that Split makes of `extent`.
absl::StatusOr<std::vector<int64_t>> PartsOf(const NodeScope& node, int64_t extent) {
  std::vector<int64_t> parts;
  if (node.opset() < 13) {
    ASSIGN_OR_RETURN(parts, node.Ints("split", {}));
  } else if (node.has_input(1)) {
    ASSIGN_OR_RETURN(parts, node.ConstantInts(1));
  }
  const auto count = static_cast<int64_t>(node.num_outputs());
  ASSIGN_OR_RETURN(const int64_t stated, node.Int("num_outputs", count));
  if (stated != count) {
    return node.Invalid("attribute `num_outputs` is not the number of its outputs");
  }
  if (!parts.empty()) {
    return parts;
  }
  if (node.opset() < 18 && extent % count != 0) {
    return node.Invalid("an extent of " + std::to_string(extent) + " cannot be split in " + std::to_string(count));
  }
  const int64_t part = (extent + count - 1) / count;
  for (int64_t i = 0; i < count; ++i) {
    parts.push_back(std::clamp<int64_t>(extent - i * part, 0, part));
  }
  return parts;
}

// Whether `indices` advance evenly, as a slice does; then `step` says by how much.
bool IsSlice(const std::vector<int64_t>& indices, int64_t& step) {
  step = indices.size() < 2 ? 1 : indices[1] - indices[0];
  for (size_t i = 1; i < indices.size(); ++i) {
    if (indices[i] - indices[i - 1] != step) {
      return false;
    }
  }
  return step != 0;
}

// `indices` along `axis` of input 0, as a slice where they are one.
absl::StatusOr<KnownValue*> StepGather(NodeScope& node, int64_t axis, std::vector<int64_t> indices) {
  const Shape& x = node.shape(0);
  std::vector<int64_t> dims = x.dims();
  dims[static_cast<size_t>(axis)] = static_cast<int64_t>(indices.size());
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  int64_t step = 1;
  if (!indices.empty() && IsSlice(indices, step)) {
    SliceAttributes slice = WholeOf(x);
    slice.starts[static_cast<size_t>(axis)] = indices[0];
    slice.steps[static_cast<size_t>(axis)] = step;
    return node.EmitStep("slice", Op::kSlice, std::move(slice), std::move(shape), {node.inputs()[0]});
  }
  RETURN_IF_ERROR(node.ChargeIndices(indices.size()));
  return node.EmitStep("gather", Op::kGather, GatherAttributes{axis, std::move(indices)}, std::move(shape),
                       {node.inputs()[0]});
}

}  // namespace

absl::Status NormalizeSlice(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(const SliceRange range, RangeOf(node));
  RETURN_IF_ERROR(node.Axes(range.axes, x.rank()).status());
  SliceAttributes attributes;
  attributes.starts.assign(x.rank(), 0);
  attributes.steps.assign(x.rank(), 1);
  std::vector<int64_t> dims = x.dims();
  for (size_t i = 0; i < range.axes.size(); ++i) {
    if (range.steps[i] == 0) {
      return node.Invalid("a step is 0");
    }
    ASSIGN_OR_RETURN(const int64_t axis, node.Axis(range.axes[i], x.rank()));
    const auto at = static_cast<size_t>(axis);
    const AxisSlice slice = ClampSlice(range.starts[i], range.ends[i], range.steps[i], x[at]);
    attributes.starts[at] = slice.start;
    attributes.steps[at] = slice.step;
    dims[at] = slice.count;
  }
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.Emit(Op::kSlice, std::move(attributes), std::move(shape), 1);
}

absl::Status NormalizeSplit(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 0));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, x.rank()));
  const auto at = static_cast<size_t>(axis);
  ASSIGN_OR_RETURN(const std::vector<int64_t> parts, PartsOf(node, x[at]));
  if (parts.size() != node.num_outputs()) {
    return node.Invalid(std::to_string(parts.size()) + " parts for " + std::to_string(node.num_outputs()) + " outputs");
  }
  SliceAttributes slice = WholeOf(x);
  KnownValue* input = node.inputs()[0];
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] < 0 || parts[i] > x[at] - slice.starts[at]) {
      return node.Invalid("its parts do not add up to an extent of " + std::to_string(x[at]));
    }
    std::vector<int64_t> dims = input->shape.dims();
    dims[at] = parts[i];
    ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
    SliceAttributes part = slice;
    part.starts[at] = parts[i] == 0 ? 0 : part.starts[at];
    RETURN_IF_ERROR(node.EmitOutput(i, Op::kSlice, std::move(part), std::move(shape), {input}));
    slice.starts[at] += parts[i];
  }
  return slice.starts[at] == x[at] ? absl::OkStatus()
                                   : node.Invalid("its parts do not add up to an extent of " + std::to_string(x[at]));
}

absl::Status NormalizeGather(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 0));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, node.shape(0).rank()));
  ASSIGN_OR_RETURN(std::vector<int64_t> indices, node.ConstantInts(1));
  const int64_t extent = node.shape(0)[static_cast<size_t>(axis)];
  for (int64_t& index : indices) {
    if (index < -extent || index >= extent) {
      return node.Invalid("index " + std::to_string(index) + " is out of range");
    }
    index += index < 0 ? extent : 0;
  }
  std::vector<int64_t> dims = node.shape(0).dims();
  dims.erase(dims.begin() + axis);
  dims.insert(dims.begin() + axis, node.shape(1).dims().begin(), node.shape(1).dims().end());
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  if (node.input(0).constant == nullptr && node.shape(1).rank() != 1) {
    ASSIGN_OR_RETURN(KnownValue * gathered, StepGather(node, axis, std::move(indices)));
    return node.EmitLast(Op::kReshape, {}, std::move(shape), {gathered});
  }
  int64_t step = 1;
  if (node.shape(1).rank() == 1 && !indices.empty() && IsSlice(indices, step)) {
    SliceAttributes slice = WholeOf(node.shape(0));
    slice.starts[static_cast<size_t>(axis)] = indices[0];
    slice.steps[static_cast<size_t>(axis)] = step;
    return node.Emit(Op::kSlice, std::move(slice), std::move(shape), 1);
  }
  RETURN_IF_ERROR(node.ChargeIndices(indices.size()));
  return node.Emit(Op::kGather, GatherAttributes{axis, std::move(indices)}, std::move(shape), 1);
}

}  // namespace shoji::graph::onnx_io
