// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Sequences of tensors, as PyTorch's exporters write the results of split and chunk and the arguments of cat. Which
// tensors a sequence holds is known, so that it leaves no trace in the graph.

#include <algorithm>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

// No real network comes near.
constexpr size_t kMaxElements = 256;

absl::Status Define(NodeScope& node, std::vector<KnownValue*> elements) {
  if (elements.size() > kMaxElements) {
    return node.Unimplemented("a sequence of more than " + std::to_string(kMaxElements) + " tensors is not supported");
  }
  node.DefineSequence(std::move(elements));
  return absl::OkStatus();
}

// The elements of input `i`.
absl::StatusOr<std::vector<KnownValue*>> ElementsOf(const NodeScope& node, size_t i) {
  RETURN_IF_ERROR(node.RequireInputs(i + 1));
  if (node.input(i).sequence == nullptr) {
    return node.Invalid("its input " + std::to_string(i) + " must be a sequence");
  }
  return *node.input(i).sequence;
}

absl::Status RequireTensor(const NodeScope& node, size_t i) {
  RETURN_IF_ERROR(node.RequireInputs(i + 1));
  return node.input(i).sequence == nullptr
             ? absl::OkStatus()
             : node.Invalid("its input " + std::to_string(i) + " must be a tensor, not a sequence");
}

// The position that input `i` names, counted from the front; `size` itself is one only where `end` allows it.
enum class End { kExcluded, kIncluded };
absl::StatusOr<size_t> PositionOf(const NodeScope& node, size_t i, size_t size, End end) {
  RETURN_IF_ERROR(RequireTensor(node, i));
  ASSIGN_OR_RETURN(const std::vector<int64_t> position, node.ConstantInts(i));
  const auto count = static_cast<int64_t>(size);
  const int64_t last = end == End::kIncluded ? count : count - 1;
  if (position.size() != 1 || position[0] < -count || position[0] > last) {
    return node.Invalid("its position is not one in a sequence of " + std::to_string(size) + " tensors");
  }
  return static_cast<size_t>(position[0] < 0 ? position[0] + count : position[0]);
}

// The extents of the parts of `extent`: equal ones, of which the last may be smaller, or as they are listed.
absl::StatusOr<std::vector<int64_t>> PartsOf(const NodeScope& node, int64_t extent) {
  std::vector<int64_t> parts;
  int64_t part = 1;
  if (node.has_input(1)) {
    RETURN_IF_ERROR(RequireTensor(node, 1));
    ASSIGN_OR_RETURN(parts, node.ConstantInts(1));
    if (node.shape(1).rank() != 0) {
      return parts;
    }
    part = parts[0];
  }
  if (part < 1) {
    return node.Invalid("its parts would have " + std::to_string(part) + " elements each; they must have at least 1");
  }
  if (extent / part > static_cast<int64_t>(kMaxElements)) {
    return node.Unimplemented("a sequence of more than " + std::to_string(kMaxElements) + " tensors is not supported");
  }
  parts.clear();
  for (int64_t start = 0; start < extent; start += part) {
    parts.push_back(std::min(part, extent - start));
  }
  return parts;
}

}  // namespace

absl::Status NormalizeSequenceConstruct(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(std::max<size_t>(1, node.num_inputs())));
  return Define(node, node.inputs());
}

absl::Status NormalizeSequenceEmpty(NodeScope& node) {
  node.Ignore("dtype");
  return Define(node, {});
}

absl::Status NormalizeSequenceInsert(NodeScope& node) {
  ASSIGN_OR_RETURN(std::vector<KnownValue*> elements, ElementsOf(node, 0));
  RETURN_IF_ERROR(RequireTensor(node, 1));
  size_t position = elements.size();
  if (node.has_input(2)) {
    ASSIGN_OR_RETURN(position, PositionOf(node, 2, elements.size(), End::kIncluded));
  }
  elements.insert(elements.begin() + static_cast<ptrdiff_t>(position), node.inputs()[1]);
  return Define(node, std::move(elements));
}

absl::Status NormalizeSequenceAt(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<KnownValue*> elements, ElementsOf(node, 0));
  ASSIGN_OR_RETURN(const size_t position, PositionOf(node, 1, elements.size(), End::kExcluded));
  return node.Alias(elements[position]);
}

absl::Status NormalizeSequenceLength(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<KnownValue*> elements, ElementsOf(node, 0));
  const auto length = static_cast<int64_t>(elements.size());
  return node.Define(Tensor::Of<int64_t>(Shape(), std::span(&length, 1)));
}

absl::Status NormalizeSplitToSequence(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 0));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, x.rank()));
  ASSIGN_OR_RETURN(const int64_t keepdims, node.Int("keepdims", 1));
  const bool drops_axis = keepdims == 0 && !node.has_input(1);
  const auto at = static_cast<size_t>(axis);
  ASSIGN_OR_RETURN(const std::vector<int64_t> parts, PartsOf(node, x[at]));
  SliceAttributes slice;
  slice.starts.assign(x.rank(), 0);
  slice.steps.assign(x.rank(), 1);
  KnownValue* input = node.inputs()[0];
  std::vector<KnownValue*> elements;
  for (const int64_t part : parts) {
    if (part == 0) {
      return node.Unimplemented("its part " + std::to_string(elements.size()) +
                                " is empty; only parts with elements are supported: leave it out of the split");
    }
    if (part < 1 || part > x[at] - slice.starts[at] || elements.size() == kMaxElements) {
      return node.Invalid("its parts do not add up to an extent of " + std::to_string(x[at]));
    }
    std::vector<int64_t> dims = input->shape.dims();
    dims[at] = part;
    ASSIGN_OR_RETURN(Shape shape, node.MakeShape(dims));
    const std::string name = "part" + std::to_string(elements.size());
    ASSIGN_OR_RETURN(KnownValue * element, node.EmitStep(name, Op::kSlice, slice, std::move(shape), {input}));
    if (drops_axis) {
      dims.erase(dims.begin() + axis);
      ASSIGN_OR_RETURN(Shape squeezed, node.MakeShape(std::move(dims)));
      ASSIGN_OR_RETURN(element, node.EmitStep(name + "_squeezed", Op::kReshape, {}, std::move(squeezed), {element}));
    }
    elements.push_back(element);
    slice.starts[at] += part;
  }
  if (slice.starts[at] != x[at]) {
    return node.Invalid("its parts do not add up to an extent of " + std::to_string(x[at]));
  }
  return Define(node, std::move(elements));
}

absl::Status NormalizeConcatFromSequence(NodeScope& node) {
  ASSIGN_OR_RETURN(std::vector<KnownValue*> elements, ElementsOf(node, 0));
  if (elements.empty()) {
    return node.Invalid("its sequence is empty");
  }
  ASSIGN_OR_RETURN(const int64_t new_axis, node.Int("new_axis", 0));
  if (new_axis != 0) {
    ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 0));
    for (size_t i = 0; i < elements.size(); ++i) {
      std::vector<int64_t> dims = elements[i]->shape.dims();
      ASSIGN_OR_RETURN(const int64_t at, node.Axis(axis, dims.size() + 1));
      dims.insert(dims.begin() + at, 1);
      ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
      ASSIGN_OR_RETURN(elements[i],
                       node.EmitStep("stacked" + std::to_string(i), Op::kReshape, {}, std::move(shape), {elements[i]}));
    }
  }
  NodeScope joined = node.WithInputs(std::move(elements));
  return NormalizeConcat(joined);
}

}  // namespace shoji::graph::onnx_io
