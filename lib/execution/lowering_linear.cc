// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Matrix products.

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/lowering.h"
#include "lib/execution/plain_kernels.h"
#include "lib/kernels/onednn/linear.h"

namespace shoji::execution {
namespace {

using graph::Node;
using graph::ValueId;
using kernels::onednn::Bias;
using kernels::onednn::Layout;
using kernels::onednn::Primitive;

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

// C as one row of `count` elements, beta applied.
absl::StatusOr<std::shared_ptr<const Tensor>> BiasRow(const Builder& builder, ValueId value, float beta, size_t count) {
  std::shared_ptr<const Tensor> c = ValueOf(builder, value).constant;
  if (beta != 1 || c->num_elements() != count) {
    return Scaled(*c, beta, count);
  }
  return c;
}

kernels::blocked::DenseArgs BoundDense(kernels::blocked::DenseArgs args, std::span<const float* const> in, float* y,
                                       const std::vector<kernels::Activation>& activations) {
  args.x = in[0];
  args.weights = in[1];
  args.finish = {in.size() > 2 ? in[2] : nullptr, nullptr, activations.data(), activations.size()};
  args.y = y;
  return args;
}

// A few outputs at a time for all runs, so that their weights come from memory once. Outputs are independent of each
// other, and those that the kernel takes together stay together: the bits are those of one run.
void RunDenseBatch(const kernels::blocked::Ops& ops, const kernels::blocked::DenseArgs& args,
                   const std::vector<kernels::Activation>& activations, std::span<const NativeKernel::Call> calls) {
  constexpr size_t kChunkFloats = size_t{1} << 16;
  constexpr size_t kMultiple = 64;  // of all that the kernel takes together
  const size_t chunk = std::max<size_t>(kChunkFloats / args.inputs / kMultiple, 1) * kMultiple;
  for (size_t begin = 0; begin < args.outputs; begin += chunk) {
    for (const NativeKernel::Call& call : calls) {
      kernels::blocked::DenseArgs part = BoundDense(args, call.inputs, call.output + begin, activations);
      part.outputs = std::min(chunk, args.outputs - begin);
      part.weights += begin * args.inputs;
      part.finish.bias = part.finish.bias == nullptr ? nullptr : part.finish.bias + begin;
      ops.dense(part);
    }
  }
}

// The same as LowerInnerProduct for one row, with B as it lies in the model: it is read once, and packing it would take
// longer than that.
absl::Status LowerMatrixVector(Builder& builder, size_t node_index, const kernels::GemmGeometry& g,
                               const Chain& chain) {
  const Node& node = builder.graph().nodes[node_index];
  const kernels::blocked::Ops* ops = builder.ops();
  constexpr int64_t kMostOutputs = 1 << 16;
  if (ops == nullptr || g.m != 1 || g.alpha != 1 || g.n > kMostOutputs ||
      !std::all_of(chain.activations.begin(), chain.activations.end(),
                   [&](const kernels::Activation& activation) { return ops->knows(activation.kind); })) {
    return LeftToPlain();
  }
  const std::shared_ptr<const Tensor>& b = ValueOf(builder, node.inputs[1]).constant;
  const auto outputs = static_cast<size_t>(g.n);
  std::vector<Place> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], builder.Plain(node.inputs[0]));
  ASSIGN_OR_RETURN(const Layout plain, Layout::Plain(b->shape().dims()));
  ASSIGN_OR_RETURN(inputs[1], builder.Weight(b, plain, plain));
  if (HasInput(node, 2)) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Tensor> c, BiasRow(builder, node.inputs[2], g.beta, outputs));
    ASSIGN_OR_RETURN(const Layout row, Layout::Plain({{g.n}}));
    ASSIGN_OR_RETURN(Place bias, builder.Weight(c, row, row));
    inputs.push_back(bias);
  }
  kernels::blocked::DenseArgs args;
  args.inputs = static_cast<size_t>(g.k);
  args.outputs = outputs;
  args.by_input = g.b == kernels::GemmGeometry::Operand::kPlain;
  NativeKernel kernel;
  kernel.run = [ops, args, activations = chain.activations](std::span<const float* const> in, float* y,
                                                            std::span<uint8_t>) {
    ops->dense(BoundDense(args, in, y, activations));
  };
  if (!args.by_input) {
    kernel.run_batch = [ops, args, activations = chain.activations](std::span<const NativeKernel::Call> calls) {
      RunDenseBatch(*ops, args, activations, calls);
    };
  }
  ASSIGN_OR_RETURN(const Place output, builder.NewPlainPlace(chain.output));
  builder.AddNativeStep(node.name, std::move(kernel), inputs, output);
  FinishChain(builder, chain, output);
  return absl::OkStatus();
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
    ASSIGN_OR_RETURN(const std::shared_ptr<const Tensor> c,
                     BiasRow(builder, node.inputs[2], g.beta, static_cast<size_t>(g.n)));
    const Layout& wanted = primitive.inputs()[2].layout;
    ASSIGN_OR_RETURN(Place place, builder.Weight(c, wanted, wanted));
    inputs.push_back(place);
  }
  ASSIGN_OR_RETURN(const Place output, builder.NewPlainPlace(chain.output));
  builder.AddStep(node.name, primitive, inputs, output);
  FinishChain(builder, chain, output);
  return absl::OkStatus();
}

}  // namespace

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
  absl::Status status = LowerMatrixVector(builder, node_index, geometry, chain);
  if (absl::IsUnimplemented(status)) {
    status = LowerInnerProduct(builder, node_index, geometry, chain);
  }
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
    const absl::Status status = LowerMatrixVector(builder, node_index, flat, EmptyChain(node));
    return absl::IsUnimplemented(status) ? LowerInnerProduct(builder, node_index, flat, EmptyChain(node)) : status;
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

}  // namespace shoji::execution
