// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "absl/status/statusor.h"
#include "lib/base/status_macros.h"
#include "lib/execution/lowering.h"

namespace shoji::execution {

using kernels::onednn::PostOps;

absl::Status LeftToPlain() { return absl::UnimplementedError("no faster kernel fits"); }

PostOps PostOpsOf(const Chain& chain) {
  PostOps out;
  out.residual = chain.residual == graph::kNoValue ? PostOps::Residual::kNone : PostOps::Residual::kAddToOutput;
  out.activations = chain.activations;
  return out;
}

Chain EmptyChain(const graph::Node& node) {
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

absl::StatusOr<Place> ResultPlace(Builder& builder, std::span<const size_t> executing, graph::ValueId result,
                                  const Place& x) {
  if (builder.MayOverwrite(x, executing) && !builder.IsPart(result, x.layout)) {
    return x;
  }
  return builder.NewPlace(result, x.layout);
}

}  // namespace shoji::execution
