// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators on bytes.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <variant>

#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"
#include "lib/quantization/float_functions.h"
#include "lib/quantization/lowering.h"
#include "lib/quantization/move.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;
using kernels::ring::PaddedChannels;
using Table = std::array<uint8_t, 256>;

// Factors are repeated to at least this many elements.
constexpr size_t kLeastPeriod = 256;

double RealOf(int byte, const QuantizationParameters& parameters) {
  return static_cast<double>(parameters.scale) * (byte - int{parameters.zero_point});
}

template <typename Function>
Table MakeTable(const QuantizationParameters& from, const QuantizationParameters& to, const Function& function) {
  Table table = {};
  for (int i = 0; i < 256; ++i) {
    table[static_cast<size_t>(i)] = QuantizeReal(function(RealOf(i, from)), to);
  }
  return table;
}

// What an affine operation needs at run time, one element a channel.
struct AffineTable {
  std::vector<float> multiplier;
  std::vector<float> shift;
};

AffineTable MakeAffineTable(const AffineNode& affine, const QuantizationParameters& from,
                            const QuantizationParameters& to) {
  const size_t channels = affine.factor.size();
  const size_t padded = PaddedChannels(static_cast<int64_t>(channels));
  const size_t repeats = (kLeastPeriod + padded - 1) / padded;
  const auto in_scale = static_cast<double>(from.scale);
  const auto out_scale = static_cast<double>(to.scale);
  AffineTable table;
  table.multiplier.assign(padded * repeats, 0);
  table.shift.assign(padded * repeats, 0);
  for (size_t i = 0; i < table.shift.size(); ++i) {
    if (const size_t c = i % padded; c < channels) {
      table.multiplier[i] = static_cast<float>(affine.factor[c] * in_scale / out_scale);
      table.shift[i] = static_cast<float>(affine.shift[c] / out_scale);
    }
  }
  return table;
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

// One window of an average: the sums of the cells that it covers, and how many count.
int64_t SumWindow(const ByteKernels& kernels, const kernels::PoolGeometry& g, const Cover& rows, const Cover& columns,
                  int64_t row, int64_t column, const uint8_t* x, std::span<int32_t> sums) {
  const auto padded = static_cast<int64_t>(PaddedChannels(g.channels));
  std::fill(sums.begin(), sums.end(), 0);
  for (int64_t i = rows.first; i < rows.last; ++i) {
    const int64_t in_row = row * g.window.strides[0] - g.window.pads[0] + i * g.window.dilations[0];
    for (int64_t j = columns.first; j < columns.last; ++j) {
      const int64_t in_column = column * g.window.strides[1] - g.window.pads[1] + j * g.window.dilations[1];
      kernels.add_pixels(x + (in_row * g.input[1] + in_column) * padded, 1, static_cast<size_t>(padded), sums.data());
    }
  }
  return std::max<int64_t>(rows.last - rows.first, 0) * std::max<int64_t>(columns.last - columns.first, 0);
}

struct AverageScales {
  QuantizationParameters from;
  QuantizationParameters to;
};

void AverageImage(const ByteKernels& kernels, const kernels::PoolGeometry& g, const AverageScales& scales,
                  const uint8_t* x, std::span<int32_t> sums, uint8_t* y) {
  const size_t padded = PaddedChannels(g.channels);
  const double ratio = static_cast<double>(scales.from.scale) / static_cast<double>(scales.to.scale);
  for (int64_t row = 0; row < g.output[0]; ++row) {
    const Cover rows = CoverOf(g, 0, row);
    for (int64_t column = 0; column < g.output[1]; ++column, y += padded) {
      const Cover columns = CoverOf(g, 1, column);
      const int64_t cells = SumWindow(kernels, g, rows, columns, row, column, x, sums);
      const int64_t divisor = g.kind == kernels::PoolKind::kAverageOfPadded ? rows.padded * columns.padded : cells;
      const auto multiplier = static_cast<float>(ratio / static_cast<double>(std::max<int64_t>(divisor, 1)));
      kernels.average(sums.data(), padded, static_cast<int32_t>(cells * scales.from.zero_point), multiplier,
                      {scales.to.zero_point, 0, 255}, y);
    }
  }
}

}  // namespace

absl::Status Lowering::LowerBytes(size_t node) {
  switch (plan_.kernel(node)) {
    case ByteKernel::kTable:
      return LowerTable(node);
    case ByteKernel::kPair:
      return LowerPair(node);
    case ByteKernel::kAffine:
      return LowerAffine(node);
    case ByteKernel::kMaxPool:
      return LowerMaxPool(node);
    case ByteKernel::kAverage:
      return LowerAverage(node);
    case ByteKernel::kMove:
      return LowerMove(node);
    case ByteKernel::kLinear:
    case ByteKernel::kNone:
      break;
  }
  return absl::InternalError("no kernel on bytes");
}

absl::Status Lowering::LowerTable(size_t index) {
  const Node& node = graph_.nodes[index];
  ValueId value = node.outputs[0];
  std::vector<kernels::Activation> chain = {*execution::ActivationOf(node)};
  // x * gate(x) is a function of x as well.
  bool is_gate = false;
  if (const std::optional<size_t> reader = plan_.OnlyReader(value);
      reader.has_value() && graph_.nodes[*reader].op == Op::kMul) {
    const std::vector<ValueId>& operands = graph_.nodes[*reader].inputs;
    is_gate = operands[0] == node.inputs[0] || operands[1] == node.inputs[0];
    if (is_gate) {
      Absorb(*reader);
      value = graph_.nodes[*reader].outputs[0];
    }
  }
  // Further functions of it alone.
  for (std::optional<size_t> reader = plan_.OnlyReader(value);
       reader.has_value() && plan_.kernel(*reader) == ByteKernel::kTable &&
       plan_.IsBytes(graph_.nodes[*reader].outputs[0]);
       reader = plan_.OnlyReader(value)) {
    Absorb(*reader);
    chain.push_back(*execution::ActivationOf(graph_.nodes[*reader]));
    value = graph_.nodes[*reader].outputs[0];
  }
  ASSIGN_OR_RETURN(const QuantizationParameters from, Parameters(node.inputs[0]));
  ASSIGN_OR_RETURN(const QuantizationParameters to, Parameters(value));
  const Table table = MakeTable(from, to, [&](double x) {
    double y = Evaluate(chain[0], x);
    y = is_gate ? x * y : y;
    for (size_t i = 1; i < chain.size(); ++i) {
      y = Evaluate(chain[i], y);
    }
    return y;
  });
  const Slot input = UseBytes(node.inputs[0]);
  ASSIGN_OR_RETURN(const Slot output, NewBytes(value));
  const ByteKernels& kernels = kernels_;
  Do([&kernels, table, input, output](ArenaFrame& frame) {
    const std::span<const uint8_t> x = frame.bytes(input);
    kernels.look_up(x.data(), x.size(), table.data(), frame.bytes(output).data());
  });
  return absl::OkStatus();
}

absl::Status Lowering::LowerPair(size_t index) {
  const Node& node = graph_.nodes[index];
  ValueId value = node.outputs[0];
  const PairLoop loop = *PairLoopOf(graph_, node);
  const Clamp clamp = AbsorbClamps(value);
  ASSIGN_OR_RETURN(const auto result, OutputOf(value, clamp));
  ASSIGN_OR_RETURN(const QuantizationParameters a, Parameters(node.inputs[0]));
  ASSIGN_OR_RETURN(const QuantizationParameters b, Parameters(node.inputs[1]));
  const auto a_scale = static_cast<double>(a.scale);
  const auto b_scale = static_cast<double>(b.scale);
  const auto out_scale = static_cast<double>(result.first.scale);
  PairFactors factors;
  factors.a_zero_point = a.zero_point;
  factors.b_zero_point = b.zero_point;
  factors.a_multiplier = static_cast<float>((node.op == Op::kMul ? a_scale * b_scale : a_scale) / out_scale);
  factors.b_multiplier = static_cast<float>((node.op == Op::kSub ? -b_scale : b_scale) / out_scale);
  const Slot left = UseBytes(node.inputs[0]);
  const Slot right = UseBytes(node.inputs[1]);
  ASSIGN_OR_RETURN(const Slot output, NewBytes(value));
  const auto kernel = node.op == Op::kMul ? kernels_.multiply : kernels_.add;
  Do([kernel, loop, factors, bytes = result.second, left, right, output](ArenaFrame& frame) {
    kernel(loop, factors, frame.bytes(left).data(), frame.bytes(right).data(), bytes, frame.bytes(output).data());
  });
  return absl::OkStatus();
}

absl::Status Lowering::LowerAffine(size_t index) {
  const Node& node = graph_.nodes[index];
  ValueId value = node.outputs[0];
  const AffineNode affine = *AsAffine(graph_, node);
  const ValueId x = node.inputs[affine.input];
  const Clamp clamp = AbsorbClamps(value);
  ASSIGN_OR_RETURN(const auto result, OutputOf(value, clamp));
  ASSIGN_OR_RETURN(const QuantizationParameters from, Parameters(x));
  const Slot input = UseBytes(x);
  ASSIGN_OR_RETURN(const Slot output, NewBytes(value));
  const ByteKernels& kernels = kernels_;
  Do([&kernels, table = MakeAffineTable(affine, from, result.first), zero_point = from.zero_point,
      bytes = result.second, input, output](ArenaFrame& frame) {
    const std::span<const uint8_t> bytes_in = frame.bytes(input);
    ChannelFactors factors;
    factors.period = table.multiplier.size();
    factors.multiplier = table.multiplier.data();
    factors.shift = table.shift.data();
    kernels.affine(bytes_in.data(), bytes_in.size(), zero_point, factors, bytes, frame.bytes(output).data());
  });
  return absl::OkStatus();
}

absl::Status Lowering::LowerMaxPool(size_t index) {
  const Node& node = graph_.nodes[index];
  ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, execution::PoolGeometryOf(graph_, node));
  const Slot input = UseBytes(node.inputs[0]);
  ASSIGN_OR_RETURN(const Slot output, NewBytes(node.outputs[0]));
  const ByteKernels& kernels = kernels_;
  Do([&kernels, loop = PoolLoopOf(geometry), input, output](ArenaFrame& frame) {
    kernels.max_pool(loop, 0, loop.output[0], frame.bytes(input).data(), frame.bytes(output).data());
  });
  return absl::OkStatus();
}

absl::Status Lowering::LowerAverage(size_t index) {
  const Node& node = graph_.nodes[index];
  ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, execution::PoolGeometryOf(graph_, node));
  AverageScales scales;
  ASSIGN_OR_RETURN(scales.from, Parameters(node.inputs[0]));
  ASSIGN_OR_RETURN(scales.to, Parameters(node.outputs[0]));
  const Slot input = UseBytes(node.inputs[0]);
  const Slot sums = NewScratch(PaddedChannels(geometry.channels) * sizeof(int32_t));
  ASSIGN_OR_RETURN(const Slot output, NewBytes(node.outputs[0]));
  const ByteKernels& kernels = kernels_;
  Do([&kernels, geometry, scales, input, sums, output](ArenaFrame& frame) {
    AverageImage(kernels, geometry, scales, frame.bytes(input).data(), frame.ints(sums), frame.bytes(output).data());
  });
  return absl::OkStatus();
}

absl::Status Lowering::LowerMove(size_t index) {
  const Node& node = graph_.nodes[index];
  std::vector<MovePart> parts = MovePartsOf(graph_, node);
  ASSIGN_OR_RETURN(const QuantizationParameters to, Parameters(node.outputs[0]));
  ASSIGN_OR_RETURN(const Slot output, NewBytes(node.outputs[0]));
  const ByteKernels& kernels = kernels_;
  if (node.op == Op::kPad) {
    Do([output, zero = to.zero_point](ArenaFrame& frame) {
      const std::span<uint8_t> y = frame.bytes(output);
      std::fill(y.begin(), y.end(), zero);
    });
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    ASSIGN_OR_RETURN(const QuantizationParameters from, Parameters(node.inputs[i]));
    const Slot input = UseBytes(node.inputs[i]);
    Do([&kernels, runs = std::move(parts[i]), is_exact = from == to,
        table = MakeTable(from, to, [](double x) { return x; }), input, output](ArenaFrame& frame) {
      const uint8_t* x = frame.bytes(input).data();
      uint8_t* y = frame.bytes(output).data();
      for (const ByteRun& run : runs) {
        if (is_exact) {
          std::memcpy(y + run.to, x + run.from, run.size);
        } else {
          kernels.look_up(x + run.from, run.size, table.data(), y + run.to);
        }
      }
    });
  }
  return absl::OkStatus();
}

}  // namespace shoji::quantization
