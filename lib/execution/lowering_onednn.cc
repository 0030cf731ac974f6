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
#include "lib/execution/concat_part.h"
#include "lib/execution/fusion.h"
#include "lib/execution/lowering.h"
#include "lib/execution/plain_kernels.h"
#include "lib/kernels/onednn/elementwise.h"
#include "lib/kernels/onednn/movement.h"
#include "lib/kernels/onednn/pooling.h"

namespace shoji::execution {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;
using kernels::onednn::Layout;
using kernels::onednn::Primitive;

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
  ASSIGN_OR_RETURN(Place output, builder.NewPlace(node.outputs[0], primitive.output().layout));
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
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, {&node_index, 1}, node.outputs[0], input));
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
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, {&node_index, 1}, node.outputs[0], inputs[0]));
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
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, {&node_index, 1}, node.outputs[0], x));
  builder.AddStep(node.name, primitive, inputs, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

// Of one input, by what `make` makes of its layout.
template <typename Make>
absl::Status LowerUnary(Builder& builder, size_t node_index, const Make& make) {
  const Node& node = builder.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const Primitive primitive, MakeForSomeLayout(builder, node.inputs[0], make));
  ASSIGN_OR_RETURN(const Place input, builder.In(node.inputs[0], primitive.inputs()[0].layout));
  ASSIGN_OR_RETURN(const Place output, builder.NewPlace(node.outputs[0], primitive.output().layout));
  builder.AddStep(node.name, primitive, {&input, 1}, output);
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

absl::Status LowerSoftmax(Builder& builder, size_t node_index) {
  const int64_t axis = std::get<graph::AxisAttributes>(builder.graph().nodes[node_index].attributes).axis;
  return LowerUnary(builder, node_index,
                    [&](const Layout& layout) { return kernels::onednn::MakeSoftmax(builder.engine(), axis, layout); });
}

absl::Status LowerLrn(Builder& builder, size_t node_index) {
  const auto& attributes = std::get<graph::LrnAttributes>(builder.graph().nodes[node_index].attributes);
  const kernels::reference::LrnParameters parameters = {attributes.size, attributes.alpha, attributes.beta,
                                                        attributes.bias};
  return LowerUnary(builder, node_index, [&](const Layout& layout) {
    return kernels::onednn::MakeLrn(builder.engine(), parameters, layout);
  });
}

// Where some parts lie in the output already: brings the others there.
absl::Status CompleteConcat(Builder& builder, size_t node_index, const Place& whole) {
  const Node& node = builder.graph().nodes[node_index];
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int64_t channels = ValueOf(builder, node.inputs[i]).shape[1];
    const Place part = {whole.buffer, *whole.layout.Stacked(channels),
                        InputPart(builder.graph(), node_index, i, whole.layout).offset};
    const Place& from = builder.Anywhere(node.inputs[i]);
    if (from.buffer != part.buffer || from.offset != part.offset) {
      ASSIGN_OR_RETURN(const Primitive copy, kernels::onednn::MakeReorder(builder.engine(), from.layout, part.layout));
      builder.AddStep(node.name, copy, {&from, 1}, part);
    }
  }
  builder.SetPlace(node.outputs[0], whole);
  return absl::OkStatus();
}

absl::Status LowerConcat(Builder& builder, size_t node_index) {
  if (const std::optional<Place> whole = builder.ConcatPlace(node_index)) {
    return CompleteConcat(builder, node_index, *whole);
  }
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
  ASSIGN_OR_RETURN(const Place output, builder.NewPlace(node.outputs[0], primitive.output().layout));
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

absl::Status LowerFast(Builder& builder, size_t node_index) {
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
    case Op::kGlobalAveragePool:
    case Op::kReduceMean:
      if (const absl::Status status = LowerSqueezeExcite(builder, node_index); !absl::IsUnimplemented(status)) {
        return status;
      }
      return LowerPool(builder, node_index);
    case Op::kMaxPool:
    case Op::kAveragePool:
      return LowerPool(builder, node_index);
    case Op::kBatchNorm:
      return LowerBatchNorm(builder, node_index);
    case Op::kSoftmax:
      return LowerSoftmax(builder, node_index);
    case Op::kLrn:
      return LowerLrn(builder, node_index);
    case Op::kConcat:
      return LowerConcat(builder, node_index);
    default:
      return LeftToPlain();
  }
}

}  // namespace shoji::execution
