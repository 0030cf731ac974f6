// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/byte_plan.h"

#include <algorithm>
#include <cmath>
#include <span>
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

// The values of a constant that broadcasts to `y` along no axis but the channels', one a channel.
std::optional<std::vector<double>> PerChannel(const Tensor& constant, const Shape& y) {
  if (y.rank() == 0 || constant.shape().rank() > y.rank()) {
    return std::nullopt;
  }
  const std::vector<int64_t> dims = Extended(constant.shape(), y.rank());
  const size_t axis = ChannelAxis(y);
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != 1 && (i != axis || dims[i] != y[axis])) {
      return std::nullopt;
    }
  }
  const std::span<const float> values = constant.values<float>();
  std::vector<double> out(static_cast<size_t>(y[axis]));
  for (size_t c = 0; c < out.size(); ++c) {
    out[c] = static_cast<double>(values[values.size() == 1 ? 0 : c]);
  }
  return out;
}

std::optional<AffineNode> BatchNormAsAffine(const Graph& graph, const Node& node) {
  const Shape& x = ShapeOf(graph, node.inputs[0]);
  if (x.rank() < 2 || ChannelAxis(x) != 1) {
    return std::nullopt;
  }
  std::span<const float> parameters[4];
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* constant = graph.values[node.inputs[i + 1]].constant.get();
    if (constant == nullptr) {
      return std::nullopt;
    }
    parameters[i] = constant->values<float>();
  }
  const auto epsilon = static_cast<double>(std::get<graph::BatchNormAttributes>(node.attributes).epsilon);
  AffineNode affine;
  for (size_t c = 0; c < parameters[0].size(); ++c) {
    const double factor =
        static_cast<double>(parameters[0][c]) / std::sqrt(static_cast<double>(parameters[3][c]) + epsilon);
    affine.factor.push_back(factor);
    affine.shift.push_back(static_cast<double>(parameters[1][c]) - static_cast<double>(parameters[2][c]) * factor);
  }
  return affine;
}

std::optional<AffineNode> PairAsAffine(const Graph& graph, const Node& node) {
  const bool left = IsConstant(graph, node.inputs[0]);
  const bool right = IsConstant(graph, node.inputs[1]);
  if (left == right || (left && node.op == Op::kDiv)) {
    return std::nullopt;
  }
  AffineNode affine;
  affine.input = left ? 1 : 0;
  const Shape& y = ShapeOf(graph, node.outputs[0]);
  if (!(ShapeOf(graph, node.inputs[affine.input]) == y)) {
    return std::nullopt;
  }
  const std::optional<std::vector<double>> constant = PerChannel(*graph.values[node.inputs[left ? 0 : 1]].constant, y);
  if (!constant.has_value()) {
    return std::nullopt;
  }
  for (const double value : *constant) {
    const bool scales = node.op == Op::kMul || node.op == Op::kDiv;
    affine.factor.push_back(node.op == Op::kMul             ? value
                            : node.op == Op::kDiv           ? 1 / value
                            : (node.op == Op::kSub && left) ? -1.0
                                                            : 1.0);
    affine.shift.push_back(scales ? 0.0 : (node.op == Op::kSub && !left) ? -value : value);
  }
  return affine;
}

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
  return node.op != Op::kDiv && PairLoopOf(graph, node).has_value() ? ByteKernel::kPair : ByteKernel::kNone;
}

struct OperandStrides {
  size_t outer = 0;
  size_t inner = 1;
};

// How an operand of shape `x` is walked for an output of shape `y`.
std::optional<OperandStrides> StridesOf(const Shape& x, const Shape& y) {
  constexpr size_t kPaddedOne = 4;  // bytes of a pixel of one channel
  if (x.num_elements() == 1) {
    return OperandStrides{0, 0};
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
  const bool all_channels = dims[axis] == y[axis];
  if (!all_channels && dims[axis] != 1) {
    return std::nullopt;
  }
  if (whole) {
    return all_channels ? OperandStrides{kernels::ring::PaddedChannels(y[axis]), 1} : OperandStrides{kPaddedOne, 0};
  }
  return point && all_channels ? std::optional(OperandStrides{0, 1}) : std::nullopt;
}

}  // namespace

std::optional<AffineNode> AsAffine(const Graph& graph, const Node& node) {
  std::optional<AffineNode> affine;
  switch (node.op) {
    case Op::kBatchNorm:
      affine = BatchNormAsAffine(graph, node);
      break;
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
      affine = PairAsAffine(graph, node);
      break;
    default:
      break;
  }
  const auto is_finite = [](double value) { return std::isfinite(value); };
  if (affine.has_value() && std::all_of(affine->factor.begin(), affine->factor.end(), is_finite) &&
      std::all_of(affine->shift.begin(), affine->shift.end(), is_finite)) {
    return affine;
  }
  return std::nullopt;
}

std::optional<PairLoop> PairLoopOf(const Graph& graph, const Node& node) {
  const Shape& y = ShapeOf(graph, node.outputs[0]);
  const Shape& a = ShapeOf(graph, node.inputs[0]);
  const Shape& b = ShapeOf(graph, node.inputs[1]);
  if (IsConstant(graph, node.inputs[0]) || IsConstant(graph, node.inputs[1])) {
    return std::nullopt;
  }
  const ByteTensor form = FormOf(y, {});
  PairLoop loop;
  if (a == y && b == y) {
    loop.inner = PaddedBytes(form);
    return loop;
  }
  const std::optional<OperandStrides> left = StridesOf(a, y);
  const std::optional<OperandStrides> right = StridesOf(b, y);
  if (!left.has_value() || !right.has_value()) {
    return std::nullopt;
  }
  loop.outer = NumPixels(form);
  loop.inner = kernels::ring::PaddedChannels(form.channels);
  loop.a_outer = left->outer;
  loop.a_inner = left->inner;
  loop.b_outer = right->outer;
  loop.b_inner = right->inner;
  return loop;
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
    default:
      return !constant && execution::ActivationOf(node).has_value() ? ByteKernel::kTable : ByteKernel::kNone;
  }
}

BytePlan::BytePlan(const Graph& graph, const ActivationRanges& ranges)
    : graph_(graph), ranges_(ranges), uses_(graph), is_bytes_(graph.values.size()), source_(graph.values.size()) {
  for (const Node& node : graph.nodes) {
    kernels_.push_back(ByteKernelOf(graph, node));
  }
  MarkBytes();
  ShareParameters();
}

void BytePlan::MarkBytes() {
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const Node& node = graph_.nodes[i];
    if (kernels_[i] == ByteKernel::kLinear) {
      is_bytes_[node.inputs[0]] = true;
      continue;
    }
    if (kernels_[i] == ByteKernel::kNone || !is_bytes_[node.outputs[0]]) {
      continue;
    }
    for (const ValueId input : node.inputs) {
      if (input != graph::kNoValue && !IsConstant(graph_, input)) {
        is_bytes_[input] = true;
      }
    }
  }
}

void BytePlan::ShareParameters() {
  for (ValueId id = 0; id < source_.size(); ++id) {
    source_[id] = id;
  }
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    const bool keeps =
        kernels_[i] == ByteKernel::kMaxPool || (kernels_[i] == ByteKernel::kMove && node.op != Op::kConcat);
    if (keeps && is_bytes_[node.outputs[0]]) {
      source_[node.outputs[0]] = node.inputs[0];
    }
  }
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const Node& node = graph_.nodes[i];
    if (node.op != Op::kConcat || kernels_[i] != ByteKernel::kMove || !is_bytes_[node.outputs[0]]) {
      continue;
    }
    for (const ValueId input : node.inputs) {
      if (source_[input] == input && OnlyReader(input).has_value()) {
        source_[input] = node.outputs[0];
      }
    }
  }
}

std::optional<size_t> BytePlan::OnlyReader(ValueId value) const {
  const std::vector<size_t>& readers = uses_.readers(value);
  if (uses_.is_output(value) || readers.size() != 1) {
    return std::nullopt;
  }
  return readers[0];
}

absl::StatusOr<QuantizationParameters> BytePlan::Parameters(ValueId value) const {
  while (source_[value] != value) {
    value = source_[value];
  }
  const auto range = ranges_.find(graph_.values[value].name);
  if (range == ranges_.end()) {
    return absl::InvalidArgumentError("value " + graph_.values[value].name +
                                      " has no calibrated range; calibrate this model");
  }
  return ParametersOf(range->second);
}

}  // namespace shoji::quantization
