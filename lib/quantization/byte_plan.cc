// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/byte_plan.h"

#include <algorithm>
#include <string>
#include <variant>

#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"
#include "lib/quantization/linear_node.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;

bool IsConstant(const Graph& graph, ValueId value) { return graph.values[value].constant != nullptr; }
const Shape& ShapeOf(const Graph& graph, ValueId value) { return graph.values[value].shape; }

// `shape` with ones before it up to rank `rank`.
std::vector<int64_t> Extended(const Shape& shape, size_t rank) {
  std::vector<int64_t> dims(rank - shape.rank(), 1);
  dims.insert(dims.end(), shape.dims().begin(), shape.dims().end());
  return dims;
}

// The axis that is stored last.
size_t ChannelAxis(const Shape& shape) { return IsImage(shape) ? 1 : shape.rank() - 1; }

bool IsZeroPad(const Node& node) {
  const auto* attributes = std::get_if<graph::PadAttributes>(&node.attributes);
  return attributes != nullptr && attributes->value == 0;
}

// Whether `node` is an average over one image whose sums fit 32 bits.
bool TakesAverages(const Graph& graph, const Node& node) {
  constexpr int64_t kMaxCells = int64_t{1} << 23;  // times 255 is below 2^31
  const absl::StatusOr<kernels::PoolGeometry> geometry = execution::PoolGeometryOf(graph, node);
  return geometry.ok() && geometry->batch == 1 && geometry->input[0] * geometry->input[1] <= kMaxCells;
}

// Whether every window holds a cell of the input: the maximum of none has no byte.
bool CoversInput(const kernels::PoolGeometry& geometry) {
  for (size_t axis = 0; axis < 2; ++axis) {
    for (int64_t output = 0; output < geometry.output[axis]; ++output) {
      const int64_t start = output * geometry.window.strides[axis] - geometry.window.pads[axis];
      // The first tap that is not before the input.
      const int64_t tap =
          start >= 0 ? 0 : (-start + geometry.window.dilations[axis] - 1) / geometry.window.dilations[axis];
      if (tap >= geometry.window.kernel[axis] ||
          start + tap * geometry.window.dilations[axis] >= geometry.input[axis]) {
        return false;
      }
    }
  }
  return true;
}

bool TakesMaxima(const Graph& graph, const Node& node) {
  const absl::StatusOr<kernels::PoolGeometry> geometry = execution::PoolGeometryOf(graph, node);
  return geometry.ok() && geometry->batch == 1 && CoversInput(*geometry);
}

ByteKernel PairOrAffine(const Graph& graph, const Node& node) {
  if (AsAffine(graph, node).has_value()) {
    return ByteKernel::kAffine;
  }
  const Shape& y = ShapeOf(graph, node.outputs[0]);
  const bool fits = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
    return !IsConstant(graph, input) && WalkOf(ShapeOf(graph, input), y).has_value();
  });
  return node.op != Op::kDiv && fits ? ByteKernel::kPair : ByteKernel::kNone;
}

// Whether `node`, which moves bytes, leaves the channels of the byte form as they are.
bool KeepsChannels(const Graph& graph, const Node& node) {
  const ByteTensor from = FormOf(ShapeOf(graph, node.inputs[0]), {});
  const ByteTensor to = FormOf(ShapeOf(graph, node.outputs[0]), {});
  if (from.channels != to.channels ||
      IsImage(ShapeOf(graph, node.inputs[0])) != IsImage(ShapeOf(graph, node.outputs[0]))) {
    return from.channels == to.channels && NumPixels(from) == 1 && NumPixels(to) == 1;
  }
  const size_t axis = ChannelAxis(ShapeOf(graph, node.inputs[0]));
  if (const auto* pad = std::get_if<graph::PadAttributes>(&node.attributes)) {
    return pad->begin[axis] == 0;
  }
  if (const auto* slice = std::get_if<graph::SliceAttributes>(&node.attributes)) {
    return slice->starts[axis] == 0 && slice->steps[axis] == 1;
  }
  if (node.op == Op::kMaxPool) {
    return true;
  }
  return NumPixels(from) == 1 && NumPixels(to) == 1;
}

}  // namespace

std::optional<graph::Affine> AsAffine(const Graph& graph, const Node& node) {
  const Shape& y = ShapeOf(graph, node.outputs[0]);
  return y.rank() == 0 ? std::nullopt : graph::AffineOf(graph, node, ChannelAxis(y));
}

std::optional<Walk> WalkOf(const Shape& x, const Shape& y) {
  if (x == y) {
    return Walk::kWhole;
  }
  if (x.num_elements() == 1) {
    return Walk::kSingle;
  }
  if (x.rank() > y.rank() || y.rank() == 0 || (IsImage(y) && !IsImage(x))) {
    return std::nullopt;
  }
  const std::vector<int64_t> dims = Extended(x, y.rank());
  const size_t axis = ChannelAxis(y);
  bool whole = true;  // in all axes but the channels'
  bool point = true;
  for (size_t i = 0; i < dims.size(); ++i) {
    whole = whole && (i == axis || dims[i] == y[i]);
    point = point && (i == axis || dims[i] == 1);
  }
  if (dims[axis] == y[axis]) {
    return whole ? std::optional(Walk::kWhole) : point ? std::optional(Walk::kChannel) : std::nullopt;
  }
  return dims[axis] == 1 && whole ? std::optional(Walk::kPixel) : std::nullopt;
}

ByteKernel ByteKernelOf(const Graph& graph, const Node& node) {
  const auto is_empty = [&](ValueId id) { return id != graph::kNoValue && ShapeOf(graph, id).num_elements() == 0; };
  if (is_empty(node.outputs[0]) || std::any_of(node.inputs.begin(), node.inputs.end(), is_empty)) {
    return ByteKernel::kNone;
  }
  const bool constant = IsConstant(graph, node.inputs[0]);
  switch (node.op) {
    case Op::kConv:
    case Op::kGemm:
    case Op::kMatMul:
      return AsLinear(graph, node).has_value() ? ByteKernel::kLinear : ByteKernel::kNone;
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
      return PairOrAffine(graph, node);
    case Op::kBatchNorm:
      return !constant && AsAffine(graph, node).has_value() ? ByteKernel::kAffine : ByteKernel::kNone;
    case Op::kMaxPool:
      return !constant && TakesMaxima(graph, node) ? ByteKernel::kMaxPool : ByteKernel::kNone;
    case Op::kAveragePool:
    case Op::kGlobalAveragePool:
    case Op::kReduceMean:
      return !constant && TakesAverages(graph, node) ? ByteKernel::kAverage : ByteKernel::kNone;
    case Op::kPad:
      return !constant && IsZeroPad(node) ? ByteKernel::kMove : ByteKernel::kNone;
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
      return constant ? ByteKernel::kNone : ByteKernel::kMove;
    case Op::kConcat:
      return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return IsConstant(graph, id); })
                 ? ByteKernel::kNone
                 : ByteKernel::kMove;
    case Op::kExp:
    case Op::kLog:
    case Op::kSqrt:
    case Op::kReciprocal:
      return ByteKernel::kNone;  // steps of a normalization, whose squares and sums 8 bits do not tell apart
    default:
      return !constant && execution::ActivationOf(node).has_value() ? ByteKernel::kFunction : ByteKernel::kNone;
  }
}

BytePlan::BytePlan(const Graph& graph, const ActivationRanges& ranges)
    : graph_(graph),
      ranges_(ranges),
      uses_(graph),
      is_bytes_(graph.values.size()),
      is_wide_(graph.values.size()),
      takes_scales_(graph.values.size(), true) {
  for (const Node& node : graph.nodes) {
    kernels_.push_back(ByteKernelOf(graph, node));
  }
  MarkNear();
  MarkForms();
  ShareRanges();
  MarkScales();
}

void BytePlan::MarkNear() {
  std::vector<bool> is_near(graph_.values.size());
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const Node& node = graph_.nodes[i];
    if (kernels_[i] == ByteKernel::kLinear) {
      is_near[node.inputs[0]] = true;
      continue;
    }
    if (kernels_[i] == ByteKernel::kNone || !is_near[node.outputs[0]]) {
      kernels_[i] = ByteKernel::kNone;
      continue;
    }
    for (const ValueId input : node.inputs) {
      if (input != graph::kNoValue) {
        is_near[input] = true;
      }
    }
  }
}

void BytePlan::MarkForms() {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    const size_t num_read = kernels_[i] == ByteKernel::kLinear ? 1 : node.inputs.size();
    for (size_t k = 0; k < num_read; ++k) {
      if (node.inputs[k] != graph::kNoValue && !IsConstant(graph_, node.inputs[k])) {
        is_bytes_[node.inputs[k]] =
            is_bytes_[node.inputs[k]] || kernels_[i] == ByteKernel::kLinear || MovesBytes(kernels_[i]);
        is_wide_[node.inputs[k]] = is_wide_[node.inputs[k]] || IsWideKernel(kernels_[i]);
      }
    }
  }
  // What an operator on bytes makes is nothing else.
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const ValueId made = graph_.nodes[i].outputs[0];
    is_bytes_[made] = is_bytes_[made] || MovesBytes(kernels_[i]);
  }
  for (ValueId id = 0; id < graph_.values.size(); ++id) {
    is_wide_[id] = is_wide_[id] && !is_bytes_[id];
  }
}

void BytePlan::ShareRanges() {
  for (ValueId id = 0; id < graph_.values.size(); ++id) {
    source_.push_back({id, 0});
  }
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (MovesBytes(kernels_[i]) && node.op != Op::kConcat) {
      source_[node.outputs[0]] = {node.inputs[0],
                                  KeepsChannels(graph_, node) ? std::optional<size_t>(0) : std::nullopt};
    }
  }
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const Node& node = graph_.nodes[i];
    if (node.op != Op::kConcat || kernels_[i] != ByteKernel::kMove) {
      continue;
    }
    const auto axis = static_cast<size_t>(std::get<graph::AxisAttributes>(node.attributes).axis);
    const bool joins_channels = axis == ChannelAxis(ShapeOf(graph_, node.outputs[0]));
    size_t channel = 0;
    for (const ValueId input : node.inputs) {
      if (source_[input].value == input && OnlyReader(input).has_value()) {
        source_[input] = {node.outputs[0], channel};
      }
      channel += joins_channels ? static_cast<size_t>(ShapeOf(graph_, input)[axis]) : 0;
    }
  }
}

void BytePlan::MarkScales() {
  for (ValueId id = 0; id < graph_.values.size(); ++id) {
    const ValueId root = RootOf(id);
    // A feature of a row is seen once a picture: too seldom for a range of its own.
    const bool fits = IsImage(ShapeOf(graph_, root)) && ChannelInRoot(id).has_value();
    takes_scales_[root] = takes_scales_[root] && fits;
  }
}

std::optional<size_t> BytePlan::OnlyReader(ValueId value) const {
  const std::vector<size_t>& readers = uses_.readers(value);
  if (uses_.is_output(value) || readers.size() != 1) {
    return std::nullopt;
  }
  return readers[0];
}

ValueId BytePlan::RootOf(ValueId value) const {
  while (source_[value].value != value) {
    value = source_[value].value;
  }
  return value;
}

std::optional<size_t> BytePlan::ChannelInRoot(ValueId value) const {
  size_t channel = 0;
  while (source_[value].value != value) {
    if (!source_[value].channel.has_value()) {
      return std::nullopt;
    }
    channel += *source_[value].channel;
    value = source_[value].value;
  }
  return channel;
}

const Range* BytePlan::RangeOf(ValueId value) const {
  const auto range = ranges_.find(graph_.values[value].name);
  return range == ranges_.end() ? nullptr : &range->second;
}

absl::StatusOr<ByteTensor> BytePlan::FormOfValue(ValueId value) const {
  const ValueId root = RootOf(value);
  const std::string& name = graph_.values[root].name;
  const auto range = ranges_.find(name);
  if (range == ranges_.end()) {
    return absl::InvalidArgumentError("value " + name + " has no calibrated range; calibrate this model");
  }
  ByteTensor form = FormOf(ShapeOf(graph_, value), ParametersOf(range->second));
  const std::vector<float>& scales = range->second.scales;
  if (scales.empty()) {
    return form;
  }
  const auto channels = static_cast<size_t>(FormOf(ShapeOf(graph_, root), {}).channels);
  if (!TakesScales(root) || scales.size() != channels) {
    return absl::InvalidArgumentError("the range of " + name + " has " + std::to_string(scales.size()) +
                                      " scales, which do not fit its channels; calibrate this model");
  }
  const auto first = scales.begin() + static_cast<std::ptrdiff_t>(*ChannelInRoot(value));
  form.scales.assign(first, first + static_cast<std::ptrdiff_t>(form.channels));
  return form;
}

}  // namespace shoji::quantization
