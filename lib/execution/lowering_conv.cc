// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Convolutions.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/lowering.h"
#include "lib/execution/plain_kernels.h"
#include "lib/kernels/blocked/convolution.h"
#include "lib/kernels/onednn/linear.h"

namespace shoji::execution {
namespace {

using graph::Node;
using graph::ValueId;
using kernels::Activation;
using kernels::blocked::Ops;
using kernels::blocked::WinogradConvolution;
using kernels::onednn::Bias;
using kernels::onednn::ConvLayout;
using kernels::onednn::Layout;
using kernels::onednn::PostOps;
using kernels::onednn::Primitive;

bool KnowsAll(const Ops& ops, const std::vector<Activation>& activations) {
  return std::all_of(activations.begin(), activations.end(),
                     [&](const Activation& activation) { return ops.knows(activation.kind); });
}

bool KeepsZero(const Activation& activation) {
  switch (activation.kind) {
    case Activation::Kind::kRelu:
    case Activation::Kind::kLeakyRelu:
    case Activation::Kind::kHardSwish:
    case Activation::Kind::kSwish:
      return true;
    case Activation::Kind::kClip:
      return activation.alpha <= 0 && activation.beta >= 0;
    default:
      return false;
  }
}

// Whether the chain's activations, which oneDNN could do as well, take less time in a pass of our own: those with an
// exponential do. Where blocks of channels are padded, what pads them must stay zero.
bool ActivatesBetter(const Builder& builder, const Chain& chain) {
  const std::vector<Activation>& activations = chain.activations;
  const Ops* ops = builder.ops();
  if (ops == nullptr || !KnowsAll(*ops, activations) ||
      std::none_of(activations.begin(), activations.end(), [](const Activation& activation) {
        return activation.kind == Activation::Kind::kSwish || activation.kind == Activation::Kind::kSigmoid;
      })) {
    return false;
  }
  return ValueOf(builder, chain.output).shape[1] % static_cast<int64_t>(ops->lanes) == 0 ||
         std::all_of(activations.begin(), activations.end(), KeepsZero);
}

void AddActivations(Builder& builder, const std::string& name, const Chain& chain, const Place& place) {
  NativeKernel kernel;
  kernel.run = [ops = builder.ops(), activations = chain.activations,
                count = place.layout.size_bytes() / sizeof(float)](std::span<const float* const>, float* y,
                                                                   std::span<uint8_t>) {
    ops->activate(activations.data(), activations.size(), y, count);
  };
  builder.AddNativeStep(name, std::move(kernel), {&place, 1}, place);
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

absl::Status LowerDirect(Builder& builder, size_t node_index, const kernels::ConvGeometry& geometry, const Chain& chain,
                         ConvLayout wanted) {
  const Node& node = builder.graph().nodes[node_index];
  const Bias bias = HasInput(node, 2) ? Bias::kPresent : Bias::kAbsent;
  const bool activates = wanted == ConvLayout::kBlocked && ActivatesBetter(builder, chain);
  PostOps post_ops = PostOpsOf(chain);
  if (activates) {
    post_ops.activations.clear();
  }
  ASSIGN_OR_RETURN(const Primitive primitive,
                   kernels::onednn::MakeConvolution(builder.engine(), geometry, bias, post_ops, wanted));
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
    ASSIGN_OR_RETURN(output, builder.NewPlace(chain.output, layout));
  }
  builder.AddStep(node.name, primitive, inputs, *output);
  if (activates) {
    AddActivations(builder, node.name, chain, *output);
  }
  FinishChain(builder, chain, *output);
  return absl::OkStatus();
}

// Our own kernel: inputs are X, the packed weights, the bias, and the residual if there is one.
absl::Status AddWinograd(Builder& builder, const Node& node, const Chain& chain, const WinogradConvolution& convolution,
                         std::span<const Place> inputs, const Place& output) {
  NativeKernel kernel;
  kernel.scratch_bytes = convolution.scratch_bytes();
  kernel.run = [convolution, activations = chain.activations](std::span<const float* const> in, float* y,
                                                              std::span<uint8_t> scratch) {
    const kernels::blocked::Finish finish = {in[2], in.size() > 3 ? in[3] : nullptr, activations.data(),
                                             activations.size()};
    convolution.Run(in[0], in[1], finish, y, scratch);
  };
  builder.AddNativeStep(node.name, std::move(kernel), inputs, output);
  FinishChain(builder, chain, output);
  return absl::OkStatus();
}

absl::Status LowerWinograd(Builder& builder, size_t node_index, const kernels::ConvGeometry& geometry,
                           const Chain& chain) {
  const Node& node = builder.graph().nodes[node_index];
  const size_t tile = builder.conv_form(node_index) == ConvForm::kWinograd2 ? 2 : 4;
  const std::optional<WinogradConvolution> convolution = WinogradConvolution::Create(*builder.ops(), geometry, tile);
  if (!convolution.has_value() || !KnowsAll(*builder.ops(), chain.activations)) {
    return LeftToPlain();
  }
  const size_t lanes = builder.ops()->lanes;
  ASSIGN_OR_RETURN(const Layout x_layout, Layout::Blocked(ValueOf(builder, node.inputs[0]).shape.dims(), lanes));
  ASSIGN_OR_RETURN(const Layout y_layout, Layout::Blocked(ValueOf(builder, chain.output).shape.dims(), lanes));
  std::vector<Place> inputs(3);
  ASSIGN_OR_RETURN(inputs[0], builder.In(node.inputs[0], x_layout));
  ASSIGN_OR_RETURN(
      inputs[1],
      builder.NewWeight(convolution->packed_elements(),
                        [convolution = *convolution, weights = ValueOf(builder, node.inputs[1]).constant](
                            std::span<float> packed) { convolution.Pack(weights->values<float>(), packed); }));
  if (HasInput(node, 2)) {
    ASSIGN_OR_RETURN(inputs[2], builder.Plain(node.inputs[2]));
  } else {
    ASSIGN_OR_RETURN(inputs[2], builder.NewWeight(static_cast<size_t>(geometry.out_channels), [](std::span<float>) {}));
  }
  if (chain.residual == graph::kNoValue) {
    ASSIGN_OR_RETURN(const Place output, builder.NewPlace(chain.output, y_layout));
    return AddWinograd(builder, node, chain, *convolution, inputs, output);
  }
  ASSIGN_OR_RETURN(Place residual, builder.In(chain.residual, y_layout));
  inputs.push_back(residual);
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, chain.absorbed, chain.output, residual));
  return AddWinograd(builder, node, chain, *convolution, inputs, output);
}

}  // namespace

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
  if (builder.conv_form(node_index) != ConvForm::kDirect) {
    for (const Chain& chain : chains) {
      const absl::Status status = LowerWinograd(builder, node_index, geometry, chain);
      if (!absl::IsUnimplemented(status)) {
        return status;
      }
    }
  }
  for (const ConvLayout layout : {ConvLayout::kBlocked, ConvLayout::kAny}) {
    for (const Chain& chain : chains) {
      const absl::Status status = LowerDirect(builder, node_index, geometry, chain, layout);
      if (!absl::IsUnimplemented(status)) {
        return status;
      }
    }
  }
  return LeftToPlain();
}

}  // namespace shoji::execution
