// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that move elements and compute nothing.

#include <algorithm>
#include <numeric>
#include <utility>

#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

absl::Status EmitReshape(NodeScope& node, std::vector<int64_t> dims) {
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  if (shape.num_elements() != node.shape(0).num_elements()) {
    return node.Invalid("an input of shape " + node.shape(0).ToString() + " cannot take shape " + shape.ToString());
  }
  return node.Emit(Op::kReshape, {}, std::move(shape), 1);
}

// The axes of Squeeze and Unsqueeze: an attribute before operator set 13, an input since.
absl::StatusOr<std::vector<int64_t>> AxesOf(const NodeScope& node) {
  if (node.opset() < 13) {
    return node.Ints("axes", {});
  }
  return node.has_input(1) ? node.ConstantInts(1) : std::vector<int64_t>();
}

// Replaces the -1 in `dims` by what is left of `total` elements.
absl::Status InferDimension(const NodeScope& node, size_t total, std::vector<int64_t>& dims) {
  const auto inferred = std::find(dims.begin(), dims.end(), int64_t{-1});
  if (inferred == dims.end()) {
    return absl::OkStatus();
  }
  int64_t known = 1;
  for (const int64_t dim : dims) {
    const absl::StatusOr<int64_t> product = CheckedMul(known, dim == -1 ? 1 : dim);
    if (!product.ok() || dim < -1) {
      return node.Invalid("extent " + std::to_string(dim) + " in its shape is out of range");
    }
    known = *product;
  }
  if (std::count(dims.begin(), dims.end(), int64_t{-1}) != 1 || known == 0 ||
      static_cast<int64_t>(total) % known != 0) {
    return node.Invalid("the extent -1 in its shape cannot be inferred from an input of shape " +
                        node.shape(0).ToString());
  }
  *inferred = static_cast<int64_t>(total) / known;
  return absl::OkStatus();
}

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

struct PadSpec {
  std::vector<int64_t> pads;
  float value = 0;
};

absl::StatusOr<PadSpec> PadSpecOf(const NodeScope& node) {
  PadSpec spec;
  if (node.opset() < 11) {
    ASSIGN_OR_RETURN(spec.pads, node.Ints("pads", {}));
    ASSIGN_OR_RETURN(spec.value, node.Float("value", 0));
    return spec;
  }
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(spec.pads, node.ConstantInts(1));
  if (node.has_input(2)) {
    ASSIGN_OR_RETURN(spec.value, node.ConstantFloat(2));
  }
  return spec;
}

}  // namespace

absl::Status NormalizeReshape(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, node.ConstantInts(1));
  ASSIGN_OR_RETURN(const int64_t allow_zero, node.Int("allowzero", 0));
  const Shape& x = node.shape(0);
  for (size_t i = 0; i < dims.size() && allow_zero == 0; ++i) {
    if (dims[i] == 0) {
      if (i >= x.rank()) {
        return node.Invalid("the extent 0 in its shape has no counterpart in an input of shape " + x.ToString());
      }
      dims[i] = x[i];
    }
  }
  RETURN_IF_ERROR(InferDimension(node, x.num_elements(), dims));
  return EmitReshape(node, std::move(dims));
}

absl::Status NormalizeFlatten(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  const auto rank = static_cast<int64_t>(x.rank());
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 1));
  if (axis < -rank || axis > rank) {
    return node.Invalid("axis " + std::to_string(axis) + " is out of range for " + std::to_string(rank) +
                        " dimensions");
  }
  axis += axis < 0 ? rank : 0;
  int64_t rows = 1;
  int64_t columns = 1;
  for (int64_t i = 0; i < rank; ++i) {
    int64_t& side = i < axis ? rows : columns;
    const absl::StatusOr<int64_t> product = CheckedMul(side, x[static_cast<size_t>(i)]);
    if (!product.ok()) {
      return node.Invalid("its input of shape " + x.ToString() + " cannot be flattened");
    }
    side = *product;
  }
  return EmitReshape(node, {rows, columns});
}

absl::Status NormalizeSqueeze(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, AxesOf(node));
  ASSIGN_OR_RETURN(axes, node.Axes(std::move(axes), x.rank()));
  std::vector<int64_t> dims;
  for (size_t i = 0; i < x.rank(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    if (named && x[i] != 1) {
      return node.Invalid("axis " + std::to_string(i) + " of an input of shape " + x.ToString() +
                          " cannot be squeezed");
    }
    if (!named && (!axes.empty() || x[i] != 1)) {
      dims.push_back(x[i]);
    }
  }
  return EmitReshape(node, std::move(dims));
}

absl::Status NormalizeUnsqueeze(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, AxesOf(node));
  const size_t rank = x.rank() + axes.size();
  if (rank > Shape::kMaxRank) {
    return node.Invalid("a tensor of rank " + std::to_string(rank) + "; at most 8 is supported");
  }
  ASSIGN_OR_RETURN(axes, node.Axes(std::move(axes), rank));
  std::vector<int64_t> dims = x.dims();
  for (const int64_t axis : axes) {
    dims.insert(dims.begin() + axis, 1);
  }
  return EmitReshape(node, std::move(dims));
}

absl::Status NormalizeTranspose(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  std::vector<int64_t> reversed(x.rank());
  std::iota(reversed.rbegin(), reversed.rend(), int64_t{0});
  TransposeAttributes attributes;
  ASSIGN_OR_RETURN(attributes.permutation, node.Ints("perm", reversed));
  std::vector<int64_t> sorted = attributes.permutation;
  std::sort(sorted.begin(), sorted.end());
  std::reverse(reversed.begin(), reversed.end());
  if (sorted != reversed) {
    return node.Invalid("attribute `perm` is not a permutation of the axes of an input of shape " + x.ToString());
  }
  std::vector<int64_t> dims;
  for (const int64_t axis : attributes.permutation) {
    dims.push_back(x[static_cast<size_t>(axis)]);
  }
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.Emit(Op::kTranspose, std::move(attributes), std::move(shape), 1);
}

absl::Status NormalizeConcat(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(std::max<size_t>(1, node.num_inputs())));
  std::vector<int64_t> dims = node.shape(0).dims();
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 1));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, dims.size()));
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    std::vector<int64_t> other = node.shape(i).dims();
    const bool same_rank = other.size() == dims.size();
    const int64_t extent =
        same_rank ? std::exchange(other[static_cast<size_t>(axis)], dims[static_cast<size_t>(axis)]) : 0;
    if (!same_rank || other != dims) {
      return node.Invalid("inputs of shapes " + node.shape(0).ToString() + " and " + node.shape(i).ToString() +
                          " cannot be joined along axis " + std::to_string(axis));
    }
    dims[static_cast<size_t>(axis)] += extent;
  }
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.Emit(Op::kConcat, AxisAttributes{axis}, std::move(shape), node.num_inputs());
}

absl::Status NormalizePad(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const std::string mode, node.String("mode", "constant"));
  if (mode != "constant") {
    return node.Unimplemented("mode " + Quoted(mode) + " is not supported; `constant` is");
  }
  ASSIGN_OR_RETURN(const PadSpec spec, PadSpecOf(node));
  const Shape& x = node.shape(0);
  if (spec.pads.size() != 2 * x.rank()) {
    return node.Invalid(std::to_string(spec.pads.size()) + " pads do not fit an input of shape " + x.ToString());
  }
  PadAttributes attributes;
  attributes.value = spec.value;
  std::vector<int64_t> dims;
  for (size_t i = 0; i < x.rank(); ++i) {
    const int64_t begin = spec.pads[i];
    const int64_t end = spec.pads[i + x.rank()];
    const int64_t limit = Shape::kMaxElements;
    // Cropping may not take more than there is, from either side.
    if (begin > limit || end > limit || begin < -x[i] || end < -x[i] ||
        x[i] + std::min<int64_t>(0, begin) + std::min<int64_t>(0, end) < 0) {
      return node.Invalid("pads " + std::to_string(begin) + " and " + std::to_string(end) + " of axis " +
                          std::to_string(i) + " are out of range for an input of shape " + x.ToString());
    }
    attributes.begin.push_back(begin);
    attributes.end.push_back(end);
    dims.push_back(x[i] + begin + end);
  }
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.Emit(Op::kPad, std::move(attributes), std::move(shape), 1);
}

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

}  // namespace shoji::graph::onnx_io
