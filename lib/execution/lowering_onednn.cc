// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/fusion.h"
#include "lib/execution/lowering.h"
#include "lib/execution/plain_kernels.h"
#include "lib/kernels/onednn/elementwise.h"
#include "lib/kernels/onednn/linear.h"
#include "lib/kernels/onednn/movement.h"
#include "lib/kernels/onednn/pooling.h"

namespace shoji::execution {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;
using kernels::onednn::Bias;
using kernels::onednn::Layout;
using kernels::onednn::PostOps;
using kernels::onednn::Primitive;

absl::Status LeftToPlain() { return absl::UnimplementedError("no oneDNN kernel fits"); }

const graph::Value& ValueOf(const Builder& builder, ValueId id) { return builder.graph().values[id]; }

bool HasInput(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != graph::kNoValue; }

bool IsConstant(const Builder& builder, ValueId id) { return ValueOf(builder, id).constant != nullptr; }

// The layout `value` lies in, then the row-major one if that is another.
absl::StatusOr<std::vector<Layout>> CandidateLayouts(const Builder& builder, ValueId value) {
  std::vector<Layout> out = {builder.Anywhere(value).layout};
  ASSIGN_OR_RETURN(const Layout plain, Layout::Plain(ValueOf(builder, value).shape.dims()));
  if (!(plain == out[0])) {
    out.push_back(plain);
  }
  return out;
}

// The first primitive that `make(layout)` gives for a layout that `value` can have.
template <typename Make>
auto MakeForSomeLayout(const Builder& builder, ValueId value, const Make& make) -> decltype(make(Layout())) {
  ASSIGN_OR_RETURN(const std::vector<Layout> candidates, CandidateLayouts(builder, value));
  for (const Layout& layout : candidates) {
    auto made = make(layout);
    if (!absl::IsUnimplemented(made.status())) {
      return made;
    }
  }
  return LeftToPlain();
}

// The place of a node's result that is computed element by element from `x`: x's own memory if nobody needs it any
// more.
absl::StatusOr<Place> ResultPlace(Builder& builder, size_t node, const Place& x, const Layout& layout) {
  if (x.layout == layout && builder.MayOverwrite(x, {&node, 1})) {
    return Place{x.buffer, layout};
  }
  return builder.NewPlace(layout);
}

PostOps PostOpsOf(const Chain& chain) {
  PostOps out;
  out.residual = chain.residual == graph::kNoValue ? PostOps::Residual::kNone : PostOps::Residual::kAddToOutput;
  out.activations = chain.activations;
  return out;
}

Chain EmptyChain(const Node& node) {
  Chain chain;
  chain.output = node.outputs[0];
  return chain;
}

void FinishChain(Builder& builder, const Chain& chain, const Place& output) {
  builder.SetPlace(chain.output, output);
  for (const size_t node : chain.absorbed) {
    builder.MarkDone(node);
  }
}

// The memory that a convolution may add to, holding the residual; none if somebody else still needs it, the convolution
// itself included, which must not overwrite what it reads.
absl::StatusOr<std::optional<Place>> ResidualPlace(Builder& builder, const Chain& chain, const Layout& layout) {
  const std::vector<size_t>& readers = builder.uses().readers(chain.residual);
  const bool is_last_use = std::all_of(readers.begin(), readers.end(), [&](size_t reader) {
    return builder.IsDone(reader) ||
           std::find(chain.absorbed.begin(), chain.absorbed.end(), reader) != chain.absorbed.end();
  });
  if (!is_last_use || builder.uses().is_output(chain.residual)) {
    return std::optional<Place>();
  }
  ASSIGN_OR_RETURN(const Place place, builder.In(chain.residual, layout));
  return builder.MayOverwrite(place, chain.absorbed) ? std::optional<Place>(place) : std::nullopt;
}

// A weight's row-major bytes under the extents that the primitive gives it.
absl::StatusOr<Place> PlaceWeight(Builder& builder, ValueId value, const Layout& wanted) {
  ASSIGN_OR_RETURN(const Layout source, Layout::Plain(wanted.dims()));
  return builder.Weight(ValueOf(builder, value).constant, source, wanted);
}

absl::Status LowerConvChain(Builder& builder, size_t node_index, const kernels::ConvGeometry& geometry,
                            const Chain& chain) {
  const Node& node = builder.graph().nodes[node_index];
  const Bias bias = HasInput(node, 2) ? Bias::kPresent : Bias::kAbsent;
  ASSIGN_OR_RETURN(const Primitive primitive,
                   kernels::onednn::MakeConvolution(builder.engine(), geometry, bias, PostOpsOf(chain)));
  const Layout& layout = primitive.output().layout;
  std::optional<Place> output;
  if (chain.residual != graph::kNoValue) {
    ASSIGN_OR_RETURN(output, ResidualPlace(builder, chain, layout));
    if (!output.has_value()) {
      return LeftToPlain();
    }
  }
  std::vector<Place> inputs;
  ASSIGN_OR_RETURN(Place x, builder.In(node.inputs[0], primitive.inputs()[0].layout));
  inputs.push_back(x);
  for (size_t i = 1; i < primitive.inputs().size(); ++i) {
    ASSIGN_OR_RETURN(Place weight, PlaceWeight(builder, node.inputs[i], primitive.inputs()[i].layout));
    inputs.push_back(weight);
  }
  if (!output.has_value()) {
    ASSIGN_OR_RETURN(output, builder.NewPlace(layout));
  }
  builder.AddStep(node.name, primitive, inputs, *output);
  FinishChain(builder, chain, *output);
  return absl::OkStatus();
}

absl::Status LowerConv(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const kernels::ConvGeometry geometry, ConvGeometryOf(builder.graph(), node));
  if (!IsConstant(builder, node.inputs[1]) || (HasInput(node, 2) && !IsConstant(builder, node.inputs[2]))) {
    return LeftToPlain();
  }
  const auto is_ready = [&](ValueId value) { return builder.IsReady(value); };
  // With everything that follows; without a residual; alone.
  const std::array<Chain, 3> chains = {
      FindChain(builder.graph(), builder.uses(), node_index, Residuals::kAllowed, is_ready),
      FindChain(builder.graph(), builder.uses(), node_index, Residuals::kNone, is_ready), EmptyChain(node)};
  for (const Chain& chain : chains) {
    const absl::Status status = LowerConvChain(builder, node_index, geometry, chain);
    if (!absl::IsUnimplemented(status)) {
      return status;
    }
  }
  return LeftToPlain();
}

// A constant as a new tensor, every element times `factor`, repeated up to `count` elements where it has only one.
absl::StatusOr<std::shared_ptr<const Tensor>> Scaled(const Tensor& tensor, float factor, size_t count) {
  ASSIGN_OR_RETURN(const Shape shape, Shape::Create({static_cast<int64_t>(count)}));
  auto out = std::make_shared<Tensor>(DataType::kFloat32, shape);
  const std::span<const float> from = tensor.values<float>();
  const std::span<float> to = out->mutable_values<float>();
  for (size_t i = 0; i < count; ++i) {
    to[i] = factor * from[from.size() == 1 ? 0 : i];
  }
  return out;
}

// Y = alpha * A * op(B) + beta * C with constant B and C, A row-major, C one row.
absl::Status LowerInnerProduct(Builder& builder, size_t node_index, const kernels::GemmGeometry& g,
                               const Chain& chain) {
  const Node& node = builder.graph().nodes[node_index];
  const Bias bias = HasInput(node, 2) ? Bias::kPresent : Bias::kAbsent;
  ASSIGN_OR_RETURN(const Primitive primitive,
                   kernels::onednn::MakeInnerProduct(builder.engine(), g, bias, PostOpsOf(chain)));
  const bool transposed = g.b == kernels::GemmGeometry::Operand::kTransposed;
  const std::array<int64_t, 2> dims = {g.n, g.k};
  const std::array<int64_t, 2> strides = {transposed ? g.k : 1, transposed ? 1 : g.n};
  ASSIGN_OR_RETURN(const Layout source, Layout::Strided(dims, strides));
  std::shared_ptr<const Tensor> b = ValueOf(builder, node.inputs[1]).constant;
  if (g.alpha != 1) {
    ASSIGN_OR_RETURN(b, Scaled(*b, g.alpha, b->num_elements()));
  }
  std::vector<Place> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], builder.Plain(node.inputs[0]));
  ASSIGN_OR_RETURN(inputs[1], builder.Weight(b, source, primitive.inputs()[1].layout));
  if (bias == Bias::kPresent) {
    std::shared_ptr<const Tensor> c = ValueOf(builder, node.inputs[2]).constant;
    const auto count = static_cast<size_t>(g.n);
    if (g.beta != 1 || c->num_elements() != count) {
      ASSIGN_OR_RETURN(c, Scaled(*c, g.beta, count));
    }
    const Layout& wanted = primitive.inputs()[2].layout;
    ASSIGN_OR_RETURN(Place place, builder.Weight(c, wanted, wanted));
    inputs.push_back(place);
  }
  ASSIGN_OR_RETURN(const Place output, builder.NewPlainPlace(chain.output));
  builder.AddStep(node.name, primitive, inputs, output);
  FinishChain(builder, chain, output);
  return absl::OkStatus();
}

absl::Status LowerGemm(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const kernels::GemmGeometry geometry, GemmGeometryOf(builder.graph(), node));
  const bool has_c = HasInput(node, 2);
  if (!IsConstant(builder, node.inputs[1]) || geometry.a == kernels::GemmGeometry::Operand::kTransposed ||
      (has_c && (!IsConstant(builder, node.inputs[2]) || geometry.c_row_stride != 0))) {
    return LeftToPlain();
  }
  const Chain chain = FindChain(builder.graph(), builder.uses(), node_index, Residuals::kNone,
                                [&](ValueId value) { return builder.IsReady(value); });
  const absl::Status status = LowerInnerProduct(builder, node_index, geometry, chain);
  return absl::IsUnimplemented(status) ? LowerInnerProduct(builder, node_index, geometry, EmptyChain(node)) : status;
}

absl::Status LowerMatMul(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const kernels::MatMulGeometry g, MatMulGeometryOf(builder.graph(), node));
  const graph::Value& b = ValueOf(builder, node.inputs[1]);
  if (b.constant != nullptr && b.shape.rank() == 2) {
    kernels::GemmGeometry flat;  // one matrix of all rows
    flat.k = g.k;
    flat.n = g.n;
    flat.m = g.n == 0 ? 0 : static_cast<int64_t>(ValueOf(builder, node.outputs[0]).shape.num_elements()) / g.n;
    return LowerInnerProduct(builder, node_index, flat, EmptyChain(node));
  }
  ASSIGN_OR_RETURN(const Primitive primitive, kernels::onednn::MakeMatMul(builder.engine(), g));
  std::array<Place, 2> inputs;
  ASSIGN_OR_RETURN(inputs[0], builder.Plain(node.inputs[0]));
  ASSIGN_OR_RETURN(inputs[1], builder.Plain(node.inputs[1]));
  ASSIGN_OR_RETURN(const Place output, builder.NewPlainPlace(node.outputs[0]));
  builder.AddStep(node.name, primitive, inputs, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

absl::Status LowerPool(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  const ValueId x = node.inputs[0];
  ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, PoolGeometryOf(builder.graph(), node));
  ASSIGN_OR_RETURN(const Primitive primitive, MakeForSomeLayout(builder, x, [&](const Layout& layout) {
                     return kernels::onednn::MakePooling(builder.engine(), geometry, layout);
                   }));
  const Shape& y = ValueOf(builder, node.outputs[0]).shape;
  const bool drops_axes = y.dims() != primitive.output().layout.dims() && y.rank() != 4;
  if (drops_axes && !primitive.output().layout.HasPlainBytes()) {
    return LeftToPlain();
  }
  ASSIGN_OR_RETURN(const Place input, builder.In(x, primitive.inputs()[0].layout));
  ASSIGN_OR_RETURN(Place output, builder.NewPlace(primitive.output().layout));
  builder.AddStep(node.name, primitive, {&input, 1}, output);
  if (drops_axes) {
    ASSIGN_OR_RETURN(output.layout, Layout::Plain(y.dims()));
  }
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

absl::Status LowerActivation(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  const kernels::Activation activation = *ActivationOf(node);
  ASSIGN_OR_RETURN(const std::vector<Primitive> primitives,
                   MakeForSomeLayout(builder, node.inputs[0], [&](const Layout& layout) {
                     return kernels::onednn::MakeActivation(builder.engine(), activation, layout);
                   }));
  ASSIGN_OR_RETURN(Place input, builder.In(node.inputs[0], primitives[0].inputs()[0].layout));
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, node_index, input, primitives[0].output().layout));
  for (const Primitive& primitive : primitives) {
    builder.AddStep(node.name, primitive, {&input, 1}, output);
    input = output;
  }
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

std::optional<kernels::BinaryKind> BinaryKindOf(Op op) {
  switch (op) {
    case Op::kAdd:
      return kernels::BinaryKind::kAdd;
    case Op::kSub:
      return kernels::BinaryKind::kSub;
    case Op::kMul:
      return kernels::BinaryKind::kMul;
    case Op::kDiv:
      return kernels::BinaryKind::kDiv;
    default:
      return std::nullopt;
  }
}

// The layouts in which `value` may be broadcast over a tensor that lies as `main` says.
absl::StatusOr<std::vector<Layout>> OtherLayouts(const Builder& builder, ValueId value, const Layout& main) {
  const Shape& shape = ValueOf(builder, value).shape;
  const std::vector<int64_t> main_dims = main.dims();
  if (shape.dims() == main_dims) {
    return std::vector<Layout>{main};
  }
  std::vector<int64_t> dims(main_dims.size() - std::min(main_dims.size(), shape.rank()), 1);
  dims.insert(dims.end(), shape.dims().begin(), shape.dims().end());
  ASSIGN_OR_RETURN(const Layout plain, Layout::Plain(dims));
  std::vector<Layout> out = {plain};
  if (shape.rank() == main_dims.size() && !builder.Anywhere(value).layout.HasPlainBytes()) {
    out.insert(out.begin(), builder.Anywhere(value).layout);
  }
  return out;
}

struct BinaryChoice {
  Primitive primitive;
  Layout main;
  Layout other;
};

absl::StatusOr<BinaryChoice> ChooseBinary(const Builder& builder, kernels::BinaryKind kind, ValueId main,
                                          ValueId other) {
  return MakeForSomeLayout(builder, main, [&](const Layout& layout) -> absl::StatusOr<BinaryChoice> {
    ASSIGN_OR_RETURN(const std::vector<Layout> candidates, OtherLayouts(builder, other, layout));
    for (const Layout& candidate : candidates) {
      absl::StatusOr<Primitive> primitive = kernels::onednn::MakeBinary(builder.engine(), kind, layout, candidate);
      if (!absl::IsUnimplemented(primitive.status())) {
        RETURN_IF_ERROR(primitive.status());
        return BinaryChoice{*std::move(primitive), layout, candidate};
      }
    }
    return LeftToPlain();
  });
}

absl::Status LowerBinary(Builder& builder, size_t node_index, kernels::BinaryKind kind) {
  const Node& node = builder.graph().nodes[node_index];
  const Shape& y = ValueOf(builder, node.outputs[0]).shape;
  ValueId main = node.inputs[0];
  ValueId other = node.inputs[1];
  const bool commutes = kind == kernels::BinaryKind::kAdd || kind == kernels::BinaryKind::kMul;
  const bool first_fits = ValueOf(builder, main).shape == y;
  const bool second_fits = ValueOf(builder, other).shape == y;
  if (commutes && second_fits && (!first_fits || IsConstant(builder, main))) {
    std::swap(main, other);
  } else if (!first_fits) {
    return LeftToPlain();
  }
  ASSIGN_OR_RETURN(const BinaryChoice choice, ChooseBinary(builder, kind, main, other));
  std::array<Place, 2> inputs;
  ASSIGN_OR_RETURN(inputs[0], builder.In(main, choice.main));
  if (choice.other.HasPlainBytes()) {
    ASSIGN_OR_RETURN(inputs[1], builder.Plain(other));
    inputs[1].layout = choice.other;
  } else {
    ASSIGN_OR_RETURN(inputs[1], builder.In(other, choice.other));
  }
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, node_index, inputs[0], choice.main));
  builder.AddStep(node.name, choice.primitive, inputs, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

absl::Status LowerBatchNorm(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  const auto& attributes = std::get<graph::BatchNormAttributes>(node.attributes);
  ASSIGN_OR_RETURN(const Primitive primitive, MakeForSomeLayout(builder, node.inputs[0], [&](const Layout& layout) {
                     return kernels::onednn::MakeBatchNorm(builder.engine(), attributes.epsilon, layout);
                   }));
  std::vector<Place> inputs;
  ASSIGN_OR_RETURN(Place x, builder.In(node.inputs[0], primitive.inputs()[0].layout));
  inputs.push_back(x);
  for (const size_t i : std::array<size_t, 4>{3, 4, 1, 2}) {  // mean, variance, scale, bias
    ASSIGN_OR_RETURN(Place parameter, builder.Plain(node.inputs[i]));
    inputs.push_back(parameter);
  }
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, node_index, x, primitive.output().layout));
  builder.AddStep(node.name, primitive, inputs, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

absl::Status LowerSoftmax(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  const int64_t axis = std::get<graph::AxisAttributes>(node.attributes).axis;
  ASSIGN_OR_RETURN(const Primitive primitive, MakeForSomeLayout(builder, node.inputs[0], [&](const Layout& layout) {
                     return kernels::onednn::MakeSoftmax(builder.engine(), axis, layout);
                   }));
  ASSIGN_OR_RETURN(const Place input, builder.In(node.inputs[0], primitive.inputs()[0].layout));
  ASSIGN_OR_RETURN(const Place output, builder.NewPlace(primitive.output().layout));
  builder.AddStep(node.name, primitive, {&input, 1}, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

absl::Status LowerConcat(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  constexpr size_t kMaxParts = 64;
  if (node.inputs.size() > kMaxParts) {
    return LeftToPlain();
  }
  std::vector<Layout> layouts;
  std::vector<Place> inputs;
  for (const ValueId part : node.inputs) {
    inputs.push_back(builder.Anywhere(part));
    layouts.push_back(inputs.back().layout);
  }
  ASSIGN_OR_RETURN(
      const Primitive primitive,
      kernels::onednn::MakeConcat(builder.engine(), std::get<graph::AxisAttributes>(node.attributes).axis, layouts));
  ASSIGN_OR_RETURN(const Place output, builder.NewPlace(primitive.output().layout));
  builder.AddStep(node.name, primitive, inputs, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

// oneDNN is given no tensor without elements and none with extents beyond 32 bits.
bool HasOrdinaryExtents(const Builder& builder, const Node& node) {
  const auto is_ordinary = [&](ValueId id) {
    if (id == graph::kNoValue) {
      return true;
    }
    const std::vector<int64_t>& dims = ValueOf(builder, id).shape.dims();
    return std::all_of(dims.begin(), dims.end(), [](int64_t dim) { return dim > 0 && dim <= INT32_MAX; });
  };
  return std::all_of(node.inputs.begin(), node.inputs.end(), is_ordinary) && is_ordinary(node.outputs[0]);
}

}  // namespace

absl::Status LowerOneDnn(Builder& builder, size_t node_index) {
  const Node& node = builder.graph().nodes[node_index];
  if (!HasOrdinaryExtents(builder, node)) {
    return LeftToPlain();
  }
  if (ActivationOf(node).has_value()) {
    return LowerActivation(builder, node_index);
  }
  if (const std::optional<kernels::BinaryKind> kind = BinaryKindOf(node.op)) {
    return LowerBinary(builder, node_index, *kind);
  }
  switch (node.op) {
    case Op::kConv:
      return LowerConv(builder, node_index);
    case Op::kGemm:
      return LowerGemm(builder, node_index);
    case Op::kMatMul:
      return LowerMatMul(builder, node_index);
    case Op::kMaxPool:
    case Op::kAveragePool:
    case Op::kGlobalAveragePool:
    case Op::kReduceMean:
      return LowerPool(builder, node_index);
    case Op::kBatchNorm:
      return LowerBatchNorm(builder, node_index);
    case Op::kSoftmax:
      return LowerSoftmax(builder, node_index);
    case Op::kConcat:
      return LowerConcat(builder, node_index);
    default:
      return LeftToPlain();
  }
}

}  // namespace shoji::execution
