// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators on float32 in the order of bytes.

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"
#include "lib/quantization/lowering.h"

namespace shoji::quantization {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;
using kernels::ring::PaddedChannels;

kernels::BinaryKind KindOf(Op op) {
  return op == Op::kAdd   ? kernels::BinaryKind::kAdd
         : op == Op::kSub ? kernels::BinaryKind::kSub
                          : kernels::BinaryKind::kMul;
}

// The taps of a window along one axis that lie in the input, and how many lie in the padded input.
struct Cover {
  int64_t first = 0;
  int64_t last = 0;  // exclusive
  int64_t padded = 0;
};

Cover CoverOf(const kernels::PoolGeometry& g, size_t axis, int64_t output) {
  const int64_t start = output * g.window.strides[axis] - g.window.pads[axis];
  Cover cover;
  for (int64_t tap = 0; tap < g.window.kernel[axis]; ++tap) {
    const int64_t cell = start + tap * g.window.dilations[axis];
    cover.first += cell < 0 ? 1 : 0;
    cover.last += cell < g.input[axis] ? 1 : 0;
    cover.padded += cell < g.input[axis] + g.window.pads[axis + 2] ? 1 : 0;
  }
  return cover;
}

// An average over windows of a wide value or of bytes.
struct Average {
  kernels::PoolGeometry geometry;
  Slot input = 0;
  std::optional<uint8_t> zero_point;  // of bytes
  std::vector<float> steps;           // of bytes, one a channel; 1 for what is wide
  Slot scratch = 0;                   // three pixels
  WideChain result;
};

// The sum over one window, in `sums`; `pixel` is room for one more. Returns the number of cells.
int64_t SumWindow(const ByteKernels& kernels, const Average& average, const Cover& rows, const Cover& columns,
                  int64_t row, int64_t column, ArenaFrame& frame, std::span<float> sums, std::span<float> pixel) {
  const kernels::PoolGeometry& g = average.geometry;
  std::fill(sums.begin(), sums.end(), 0.0F);
  for (int64_t i = rows.first; i < rows.last; ++i) {
    const int64_t in_row = row * g.window.strides[0] - g.window.pads[0] + i * g.window.dilations[0];
    for (int64_t j = columns.first; j < columns.last; ++j) {
      const int64_t in_column = column * g.window.strides[1] - g.window.pads[1] + j * g.window.dilations[1];
      const size_t at = static_cast<size_t>(in_row * g.input[1] + in_column) * sums.size();
      if (!average.zero_point.has_value()) {
        kernels.accumulate(&frame.floats(average.input)[at], sums.size(), sums.data());
        continue;
      }
      kernels.widen(&frame.bytes(average.input)[at], sums.size(), average.steps.data(), *average.zero_point,
                    pixel.data());
      kernels.accumulate(pixel.data(), sums.size(), sums.data());
    }
  }
  return std::max<int64_t>(rows.last - rows.first, 0) * std::max<int64_t>(columns.last - columns.first, 0);
}

void RunAverage(const ByteKernels& kernels, const Average& average, ArenaFrame& frame) {
  const kernels::PoolGeometry& g = average.geometry;
  const size_t padded = PaddedChannels(g.channels);
  const std::span<float> sums = frame.floats(average.scratch).subspan(0, padded);
  const std::span<float> pixel = frame.floats(average.scratch).subspan(padded, padded);
  const std::span<float> factor = frame.floats(average.scratch).subspan(2 * padded, padded);
  size_t at = 0;
  for (int64_t row = 0; row < g.output[0]; ++row) {
    const Cover rows = CoverOf(g, 0, row);
    for (int64_t column = 0; column < g.output[1]; ++column, ++at) {
      const Cover columns = CoverOf(g, 1, column);
      const int64_t cells = SumWindow(kernels, average, rows, columns, row, column, frame, sums, pixel);
      const int64_t divisor = g.kind == kernels::PoolKind::kAverageOfPadded ? rows.padded * columns.padded : cells;
      std::fill(factor.begin(), factor.end(), 1 / static_cast<float>(std::max<int64_t>(divisor, 1)));
      kernels.multiply(sums.data(), factor.data(), padded, pixel.data());
      average.result.Store(frame, at, pixel.data(), padded);
    }
  }
}

}  // namespace

bool Lowering::HasForm(ValueId value) const { return wide_[value].has_value() || bytes_[value].has_value(); }

WideChain::Operand Lowering::OperandOf(ValueId value, const Shape& result) {
  WideChain::Operand operand;
  operand.walk = *WalkOf(graph_.values[value].shape, result);
  if (wide_[value].has_value()) {
    operand.slot = *wide_[value];
    Touch(operand.slot);
    return operand;
  }
  operand.slot = UseBytes(value);
  operand.form = compiled_->layout->slots[operand.slot].form;
  return operand;
}

absl::StatusOr<WideChain::Result> Lowering::NewResult(ValueId value) {
  WideChain::Result result;
  if (IsMadeWide(value) && !wide_[value].has_value()) {
    result.wide = NewWide(value);
  }
  if (plan_.IsBytes(value)) {
    ASSIGN_OR_RETURN(result.bytes, NewBytes(value));
    result.form = *compiled_->layout->slots[*result.bytes].form;
    result.clamp.zero_point = result.form.parameters.zero_point;
  }
  return result;
}

// Whether `value` is what the step before gives in float32, a linear one.
bool Lowering::IsResultOfLinearBefore(ValueId value) const {
  const auto* before = compiled_->steps.empty() ? nullptr : std::get_if<LinearStep>(&compiled_->steps.back().kind);
  return before != nullptr && !before->layer.quantized_output && wide_[value] == before->output;
}

// Begins with what `index` works on and takes along what follows.
Lowering::ChainEnds Lowering::BuildChain(size_t index, WideChain& chain) {
  const Node& node = graph_.nodes[index];
  const Shape& shape = graph_.values[node.outputs[0]].shape;
  ChainEnds ends = {node.inputs[0], node.outputs[0]};
  if (plan_.kernel(index) == ByteKernel::kAffine) {
    const graph::Affine affine = *AsAffine(graph_, node);
    ends.first = node.inputs[affine.input];
    chain.SetFirst(OperandOf(ends.first, shape));
    chain.Append(WideChain::Affine{affine.scale, affine.shift});
  } else if (plan_.kernel(index) == ByteKernel::kPair) {
    const bool is_reversed = IsResultOfLinearBefore(node.inputs[1]);
    ends.first = node.inputs[is_reversed ? 1 : 0];
    chain.SetFirst(OperandOf(ends.first, shape));
    chain.Append(WideChain::Pair{KindOf(node.op), OperandOf(node.inputs[is_reversed ? 0 : 1], shape), is_reversed});
  } else {
    chain.SetFirst(OperandOf(ends.first, shape));
    // x * gate(x) is a function of x as well.
    const std::optional<size_t> reader = plan_.OnlyReader(ends.last);
    const bool is_gate =
        reader.has_value() && plan_.kernel(*reader) == ByteKernel::kPair && graph_.nodes[*reader].op == Op::kMul &&
        (graph_.nodes[*reader].inputs[0] == ends.first || graph_.nodes[*reader].inputs[1] == ends.first);
    chain.Append(WideChain::Function{*execution::ActivationOf(node), is_gate});
    if (is_gate) {
      Absorb(*reader);
      ends.last = graph_.nodes[*reader].outputs[0];
    }
  }
  for (std::optional<ValueId> next = ExtendChain(ends.last, chain); next.has_value();
       next = ExtendChain(ends.last, chain)) {
    ends.last = *next;
  }
  return ends;
}

// One more link: the operator that alone reads `value`.
std::optional<ValueId> Lowering::ExtendChain(ValueId value, WideChain& chain) {
  const std::optional<size_t> reader = plan_.OnlyReader(value);
  if (!reader.has_value()) {
    return std::nullopt;
  }
  const Node& node = graph_.nodes[*reader];
  const ValueId result = node.outputs[0];
  const Shape& shape = graph_.values[result].shape;
  if (!(graph_.values[value].shape == shape)) {
    return std::nullopt;
  }
  switch (plan_.kernel(*reader)) {
    case ByteKernel::kFunction:
      chain.Append(WideChain::Function{*execution::ActivationOf(node), false});
      break;
    case ByteKernel::kAffine: {
      const graph::Affine affine = *AsAffine(graph_, node);
      chain.Append(WideChain::Affine{affine.scale, affine.shift});
      break;
    }
    case ByteKernel::kPair: {
      const bool is_reversed = node.inputs[1] == value;
      const ValueId other = node.inputs[is_reversed ? 0 : 1];
      if (other == value || !HasForm(other)) {
        return std::nullopt;
      }
      chain.Append(WideChain::Pair{KindOf(node.op), OperandOf(other, shape), is_reversed});
      break;
    }
    default:
      return std::nullopt;
  }
  Absorb(*reader);
  return result;
}

absl::Status Lowering::LowerChain(size_t index) {
  const Shape& shape = graph_.values[graph_.nodes[index].outputs[0]].shape;
  auto chain = std::make_shared<WideChain>(kernels_, static_cast<size_t>(FormOf(shape, {}).channels));
  const ChainEnds ends = BuildChain(index, *chain);
  ASSIGN_OR_RETURN(const WideChain::Result result, NewResult(ends.last));
  chain->SetResult(result);
  AddChain(std::move(chain), ends);
  FinishLocal(index);
  return absl::OkStatus();
}

// The bytes of what a linear step gives in float32.
absl::Status Lowering::NarrowOutputOf(size_t node, ValueId value) {
  const Shape& shape = graph_.values[value].shape;
  auto chain = std::make_shared<WideChain>(kernels_, static_cast<size_t>(FormOf(shape, {}).channels));
  chain->SetFirst(OperandOf(value, shape));
  ASSIGN_OR_RETURN(const WideChain::Result result, NewResult(value));
  chain->SetResult(result);
  AddChain(std::move(chain), {value, value});
  FinishLocal(node);
  return absl::OkStatus();
}

// Makes the step that is being made run `chain`. Where it begins with what the linear step before gives, that one may
// run it already: what it writes must be free then.
void Lowering::AddChain(std::shared_ptr<const WideChain> chain, const ChainEnds& ends) {
  const Shape& shape = graph_.values[ends.last].shape;
  const Slot scratch = NewScratch(chain->scratch_floats() * sizeof(float));
  const bool may_run_ahead =
      operations_.empty() && IsResultOfLinearBefore(ends.first) && graph_.values[ends.first].shape == shape;
  Do([chain, scratch, pixels = NumPixels(FormOf(shape, {}))](ArenaFrame& frame) {
    chain->Run(frame, 0, pixels, frame.floats(scratch));
  });
  if (!may_run_ahead) {
    return;
  }
  chain_ = std::move(chain);
  chain_scratch_ = scratch;
  for (SlotInfo& slot : compiled_->layout->slots) {
    slot.first = slot.first == time() ? time() - 1 : slot.first;
  }
}

absl::Status Lowering::LowerAverage(size_t index) {
  const Node& node = graph_.nodes[index];
  const ValueId input = node.inputs[0];
  const ValueId value = node.outputs[0];
  ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, execution::PoolGeometryOf(graph_, node));
  const auto channels = static_cast<size_t>(geometry.channels);
  auto average = std::make_shared<Average>(Average{geometry, 0, std::nullopt, {}, 0, WideChain(kernels_, channels)});
  const WideChain::Operand operand = OperandOf(input, graph_.values[input].shape);
  average->input = operand.slot;
  if (operand.form.has_value()) {
    average->zero_point = operand.form->parameters.zero_point;
    for (const double step : StepsOf(*operand.form)) {
      average->steps.push_back(static_cast<float>(step));
    }
    average->steps.resize(PaddedChannels(geometry.channels));
  }
  average->scratch = NewScratch(3 * PaddedChannels(geometry.channels) * sizeof(float));
  ASSIGN_OR_RETURN(const WideChain::Result result, NewResult(value));
  average->result.SetResult(result);
  const ByteKernels& kernels = kernels_;
  Do([&kernels, average](ArenaFrame& frame) { RunAverage(kernels, *average, frame); });
  return absl::OkStatus();
}

}  // namespace shoji::quantization
