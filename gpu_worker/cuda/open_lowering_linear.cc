// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Convolutions and matrix products.

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "gpu_worker/cuda/open_lowering.h"
#include "gpu_worker/cuda/open_tiling.h"
#include "lib/base/status_macros.h"
#include "lib/execution/node_access.h"
#include "lib/execution/plain_kernels.h"

namespace shoji::accelerator::open_segment {
namespace {

using execution::Residuals;
using graph::Node;
using graph::ValueId;
using kernels::ConvGeometry;

constexpr int64_t kMostCount = 65535;  // of matrices in one launch
constexpr int64_t kMostTap = INT16_MAX;
// Groups of so few outputs are computed one output a thread.
constexpr int64_t kFewOutputs = 8;

bool HasInput(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != graph::kNoValue; }

// Of floats, to be a constant.
absl::StatusOr<std::shared_ptr<Tensor>> NewTensor(const Lowering& lowering, int64_t num_elements) {
  RETURN_IF_ERROR(lowering.CheckRoom(static_cast<size_t>(num_elements) * sizeof(float)));
  ASSIGN_OR_RETURN(Shape shape, Shape::Create({num_elements}));
  return std::make_shared<Tensor>(Tensor::Uninitialized(DataType::kFloat32, std::move(shape)));
}

// Each of the matrices [rows, columns] that `tensor` holds, transposed.
absl::StatusOr<std::shared_ptr<const Tensor>> Transposed(const Lowering& lowering, const Tensor& tensor, int64_t rows,
                                                         int64_t columns) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Tensor> out, NewTensor(lowering, static_cast<int64_t>(tensor.num_elements())));
  const float* from = tensor.values<float>().data();
  float* to = out->mutable_values<float>().data();
  const int64_t matrix = rows * columns;
  for (int64_t first = 0; first < static_cast<int64_t>(tensor.num_elements()); first += matrix) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        to[first + column * rows + row] = from[first + row * columns + column];
      }
    }
  }
  return out;
}

// A matrix operand as MultiplyArgs wants it, and what makes it so in each run.
struct Operand {
  Place place;
  std::optional<CopyArgs> transpose;  // from `source`
  Place source;
};

// The matrices [rows, columns] of `value`, each transposed: at once where they are constant.
absl::StatusOr<Operand> TransposedOperand(Lowering& lowering, ValueId id, int64_t rows, int64_t columns) {
  Operand out;
  if (rows == 1 || columns == 1) {
    ASSIGN_OR_RETURN(out.place, lowering.In(id));
    return out;
  }
  if (lowering.value(id).constant != nullptr) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Tensor> tensor,
                     Transposed(lowering, *lowering.value(id).constant, rows, columns));
    ASSIGN_OR_RETURN(out.place, lowering.Constant(tensor));
    return out;
  }
  ASSIGN_OR_RETURN(out.source, lowering.In(id));
  CopyArgs copy;
  copy.count = NumElements(lowering, id);
  const auto matrix = static_cast<int32_t>(rows * columns);
  copy.nest.rank = 3;
  copy.nest.extents[0] = copy.count / static_cast<uint32_t>(matrix);
  copy.nest.extents[1] = Narrow(columns);
  copy.nest.extents[2] = Narrow(rows);
  const int32_t from[] = {matrix, 1, static_cast<int32_t>(columns)};
  const int32_t to[] = {matrix, static_cast<int32_t>(rows), 1};
  std::copy_n(from, 3, copy.nest.strides[0]);
  std::copy_n(to, 3, copy.nest.strides[2]);
  out.place = lowering.Scratch(copy.count);
  out.transpose = copy;
  return out;
}

absl::StatusOr<Operand> PlainOperand(Lowering& lowering, ValueId id) {
  Operand out;
  ASSIGN_OR_RETURN(out.place, lowering.In(id));
  return out;
}

void AddTranspose(const Operand& operand, const Addresses& at, std::vector<Kernel>& out) {
  if (operand.transpose.has_value()) {
    CopyArgs copy = *operand.transpose;
    copy.x = at.In(operand.source);
    copy.y = at.Out(operand.place);
    out.emplace_back(copy);
  }
}

// What a product reads.
struct Factors {
  Operand a;
  Operand b;
  std::optional<Place> taps;
  std::optional<Place> bias;
};

// The step of the product that `args` describes but for its addresses and its cut.
absl::Status AddProduct(Lowering& lowering, MultiplyArgs args, const Factors& factors, const Tail& tail) {
  if (args.count > kMostCount) {
    return absl::UnimplementedError("more than " + std::to_string(kMostCount) + " matrix products at a time");
  }
  const Tiling tiling = ChooseTiling({args.m, args.n, args.k, args.count, factors.taps.has_value()},
                                     lowering.options().num_multiprocessors);
  args.tile = tiling.tile;
  args.splits = tiling.splits;
  args.k_per_split = tiling.k_per_split;
  const uint32_t num_outputs = NumElements(lowering, tail.chain.output);
  std::optional<Place> parts;
  if (args.splits > 1) {
    parts = lowering.Scratch(size_t{args.splits} * num_outputs);
  }
  const size_t num_kernels = size_t{1} + (args.splits > 1 ? 1U : 0U) + (factors.a.transpose.has_value() ? 1U : 0U) +
                             (factors.b.transpose.has_value() ? 1U : 0U);
  lowering.AddStep(num_kernels, [=](const Addresses& at, std::vector<Kernel>& out) {
    AddTranspose(factors.a, at, out);
    AddTranspose(factors.b, at, out);
    MultiplyArgs bound = args;
    bound.a = at.In(factors.a.place);
    bound.b = at.In(factors.b.place);
    bound.taps = factors.taps.has_value() ? reinterpret_cast<const Tap*>(at.In(*factors.taps)) : nullptr;
    const Epilogue epilogue = EpilogueOf(tail, factors.bias, at);
    if (!parts.has_value()) {
      bound.y = at.Out(tail.y);
      bound.epilogue = epilogue;
      out.emplace_back(bound);
      return;
    }
    bound.y = at.Out(*parts);
    out.emplace_back(bound);
    out.emplace_back(
        SumArgs{bound.y, at.Out(tail.y), args.splits, num_outputs, args.factor, args.inner, args.channels, epilogue});
  });
  return absl::OkStatus();
}

// What the kernels that make a layer's sums one output at a time read.
struct LayerPlaces {
  Place x;
  Place w;
  std::optional<Place> bias;
};

// The step of `args` but for its addresses, which may be DenseArgs and GroupedArgs.
template <typename Args>
void AddLayer(Lowering& lowering, const Args& args, const LayerPlaces& places, const Tail& tail) {
  lowering.AddStep(1, [=](const Addresses& at, std::vector<Kernel>& out) {
    Args bound = args;
    bound.x = at.In(places.x);
    bound.w = at.In(places.w);
    bound.y = at.Out(tail.y);
    bound.epilogue = EpilogueOf(tail, places.bias, at);
    out.emplace_back(bound);
  });
}

// Whether every weight of a channel meets one element of x, in order.
bool IsDense(const ConvGeometry& g) {
  const bool whole =
      g.window.kernel == g.input && (g.window.dilations == kernels::Extents{1, 1} || g.input[0] * g.input[1] == 1);
  return g.batch == 1 && g.group == 1 && whole && g.window.pads == std::array<int64_t, 4>{0, 0, 0, 0};
}

bool IsPointwise(const ConvGeometry& g) {
  constexpr kernels::Extents kOne = {1, 1};
  return g.window.kernel == kOne && g.window.strides == kOne && g.window.pads == std::array<int64_t, 4>{0, 0, 0, 0};
}

absl::StatusOr<Place> TapsOf(Lowering& lowering, const ConvGeometry& g, int64_t channels) {
  const kernels::Window& window = g.window;
  if (std::max(window.Span(0), window.Span(1)) > kMostTap) {
    return absl::UnimplementedError("a window that covers more than " + std::to_string(kMostTap) + " cells");
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<Tensor> out,
                   NewTensor(lowering, 2 * channels * window.kernel[0] * window.kernel[1]));
  static_assert(sizeof(Tap) == 2 * sizeof(float));
  uint8_t* to = out->mutable_bytes().data();
  for (int64_t channel = 0; channel < channels; ++channel) {
    for (int64_t a = 0; a < window.kernel[0]; ++a) {
      for (int64_t b = 0; b < window.kernel[1]; ++b) {
        const int64_t row = a * window.dilations[0];
        const int64_t column = b * window.dilations[1];
        const int64_t offset = (channel * g.input[0] + row) * g.input[1] + column;
        // A tap beyond the image is never read where it points; its offset counts modulo 2^32.
        const Tap tap = {static_cast<int32_t>(static_cast<uint32_t>(offset)), static_cast<int16_t>(row),
                         static_cast<int16_t>(column)};
        std::memcpy(to, &tap, sizeof(tap));
        to += sizeof(tap);
      }
    }
  }
  return lowering.Constant(out);
}

absl::StatusOr<std::optional<Place>> BiasOf(Lowering& lowering, const Node& node) {
  if (!HasInput(node, 2)) {
    return std::optional<Place>();
  }
  ASSIGN_OR_RETURN(const Place place, lowering.In(node.inputs[2]));
  return std::optional<Place>(place);
}

absl::StatusOr<GroupedArgs> GroupedArgsOf(const ConvGeometry& g) {
  GroupedArgs args;
  args.count = Narrow(g.batch * g.out_channels * g.output[0] * g.output[1]);
  args.group = Narrow(g.group);
  args.in_per_group = Narrow(g.in_channels / g.group);
  args.out_per_group = Narrow(g.out_channels / g.group);
  ASSIGN_OR_RETURN(args.window, SlidingOf(g.window, g.input, g.output));
  return args;
}

// Both loops of the images and of their groups.
Nest ImagesAndGroups(const ConvGeometry& g, int64_t weights_per_group) {
  const int64_t image = g.input[0] * g.input[1];
  Nest nest;
  nest.rank = 2;
  nest.extents[0] = Narrow(g.batch);
  nest.extents[1] = Narrow(g.group);
  nest.strides[0][1] = static_cast<int32_t>(weights_per_group);
  nest.strides[1][0] = static_cast<int32_t>(g.in_channels * image);
  nest.strides[1][1] = static_cast<int32_t>(g.in_channels / g.group * image);
  return nest;
}

absl::Status LowerConvProduct(Lowering& lowering, const Node& node, const ConvGeometry& g,
                              const std::optional<Place>& bias, const Tail& tail) {
  MultiplyArgs args;
  const int64_t channels = g.in_channels / g.group;
  args.m = Narrow(g.out_channels / g.group);
  args.k = Narrow(channels * g.window.kernel[0] * g.window.kernel[1]);
  args.n = Narrow(g.output[0] * g.output[1]);
  args.count = Narrow(g.batch * g.group);
  args.inner = args.n;
  args.channels = Narrow(g.out_channels);
  args.batch = ImagesAndGroups(g, int64_t{args.m} * args.k);
  ASSIGN_OR_RETURN(args.window, SlidingOf(g.window, g.input, g.output));
  std::optional<Place> taps;
  if (!IsPointwise(g)) {
    ASSIGN_OR_RETURN(taps, TapsOf(lowering, g, channels));
  }
  ASSIGN_OR_RETURN(const Operand a, TransposedOperand(lowering, node.inputs[1], args.m, args.k));
  ASSIGN_OR_RETURN(const Operand b, PlainOperand(lowering, node.inputs[0]));
  return AddProduct(lowering, args, {a, b, taps, bias}, tail);
}

absl::Status LowerConv(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const ConvGeometry g, execution::ConvGeometryOf(lowering.graph(), node));
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kAllowed));
  ASSIGN_OR_RETURN(const std::optional<Place> bias, BiasOf(lowering, node));
  const bool is_grouped = g.group > 1 && g.out_channels / g.group <= kFewOutputs;
  if (!is_grouped && !IsDense(g)) {
    return LowerConvProduct(lowering, node, g, bias, tail);
  }
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  ASSIGN_OR_RETURN(const Place w, lowering.In(node.inputs[1]));
  if (is_grouped) {
    ASSIGN_OR_RETURN(const GroupedArgs args, GroupedArgsOf(g));
    AddLayer(lowering, args, {x, w, bias}, tail);
    return absl::OkStatus();
  }
  DenseArgs args;
  args.inputs = NumElements(lowering, node.inputs[0]);
  args.outputs = Narrow(g.out_channels);
  AddLayer(lowering, args, {x, w, bias}, tail);
  return absl::OkStatus();
}

// C as Gemm adds it, with one element a channel of MultiplyArgs.
struct GemmBias {
  std::optional<Place> place;
  uint32_t inner = 1;
  uint32_t channels = 1;
};

absl::StatusOr<GemmBias> GemmBiasOf(Lowering& lowering, const Node& node, const kernels::GemmGeometry& g) {
  GemmBias out;
  if (!HasInput(node, 2)) {
    return out;
  }
  const std::shared_ptr<const Tensor>& c = lowering.value(node.inputs[2]).constant;
  if (c == nullptr) {
    return absl::UnimplementedError("a C that is no constant");
  }
  const bool has_rows = g.c_row_stride != 0;
  const bool has_columns = g.c_column_stride != 0;
  out.inner = has_rows && !has_columns ? Narrow(g.n) : 1;
  out.channels = has_rows ? (has_columns ? Narrow(g.m * g.n) : Narrow(g.m)) : Narrow(g.n);
  if (g.beta == 1 && c->num_elements() == out.channels) {
    ASSIGN_OR_RETURN(out.place, lowering.Constant(c));
    return out;
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<Tensor> scaled, NewTensor(lowering, out.channels));
  const std::span<const float> from = c->values<float>();
  std::span<float> to = scaled->mutable_values<float>();
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = g.beta * from[from.size() == 1 ? 0 : i];
  }
  ASSIGN_OR_RETURN(out.place, lowering.Constant(scaled));
  return out;
}

absl::Status LowerGemm(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  using Form = kernels::GemmGeometry::Operand;
  ASSIGN_OR_RETURN(const kernels::GemmGeometry g, execution::GemmGeometryOf(lowering.graph(), node));
  ASSIGN_OR_RETURN(const GemmBias bias, GemmBiasOf(lowering, node, g));
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kAllowed));
  const ValueId a_id = node.inputs[0];
  const ValueId b_id = node.inputs[1];
  if (g.m == 1 && (g.b == Form::kTransposed || lowering.value(b_id).constant != nullptr)) {
    const DenseArgs args = {nullptr, nullptr, nullptr, Narrow(g.k), Narrow(g.n), g.alpha, {}};
    ASSIGN_OR_RETURN(const Operand w, g.b == Form::kTransposed ? PlainOperand(lowering, b_id)
                                                               : TransposedOperand(lowering, b_id, g.k, g.n));
    ASSIGN_OR_RETURN(const Place x, lowering.In(a_id));
    AddLayer(lowering, args, {x, w.place, bias.place}, tail);
    return absl::OkStatus();
  }
  MultiplyArgs args;
  args.m = Narrow(g.m);
  args.k = Narrow(g.k);
  args.n = Narrow(g.n);
  args.factor = g.alpha;
  args.inner = bias.inner;
  args.channels = bias.channels;
  args.batch = NestOf(kernels::LoopNest());
  ASSIGN_OR_RETURN(const Operand a, g.a == Form::kTransposed ? PlainOperand(lowering, a_id)
                                                             : TransposedOperand(lowering, a_id, g.m, g.k));
  ASSIGN_OR_RETURN(const Operand b, g.b == Form::kTransposed ? TransposedOperand(lowering, b_id, g.n, g.k)
                                                             : PlainOperand(lowering, b_id));
  return AddProduct(lowering, args, {a, b, std::nullopt, bias.place}, tail);
}

absl::Status LowerMatMul(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const kernels::MatMulGeometry g, execution::MatMulGeometryOf(lowering.graph(), node));
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kAllowed));
  const int64_t count = std::accumulate(g.batch.begin(), g.batch.end(), int64_t{1}, std::multiplies<>());
  if (g.m == 1 && count == 1 && lowering.value(node.inputs[1]).constant != nullptr) {
    const DenseArgs args = {nullptr, nullptr, nullptr, Narrow(g.k), Narrow(g.n), 1, {}};
    ASSIGN_OR_RETURN(const Operand w, TransposedOperand(lowering, node.inputs[1], g.k, g.n));
    ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
    AddLayer(lowering, args, {x, w.place, std::nullopt}, tail);
    return absl::OkStatus();
  }
  MultiplyArgs args;
  args.m = Narrow(g.m);
  args.k = Narrow(g.k);
  args.n = Narrow(g.n);
  args.count = Narrow(count);
  args.batch.rank = static_cast<uint32_t>(std::max<size_t>(1, g.batch.size()));
  args.batch.extents[0] = 1;
  for (size_t i = 0; i < g.batch.size(); ++i) {
    args.batch.extents[i] = Narrow(g.batch[i]);
    args.batch.strides[0][i] = static_cast<int32_t>(g.a_strides[i]);
    args.batch.strides[1][i] = static_cast<int32_t>(g.b_strides[i]);
  }
  ASSIGN_OR_RETURN(const Operand a, TransposedOperand(lowering, node.inputs[0], g.m, g.k));
  ASSIGN_OR_RETURN(const Operand b, PlainOperand(lowering, node.inputs[1]));
  return AddProduct(lowering, args, {a, b, std::nullopt, std::nullopt}, tail);
}

}  // namespace

absl::Status LowerLinear(Lowering& lowering, size_t node_index) {
  switch (lowering.graph().nodes[node_index].op) {
    case graph::Op::kConv:
      return LowerConv(lowering, node_index);
    case graph::Op::kGemm:
      return LowerGemm(lowering, node_index);
    default:
      return LowerMatMul(lowering, node_index);
  }
}

}  // namespace shoji::accelerator::open_segment
