// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From nodes to steps. Private to this folder.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/execution/builder.h"
#include "lib/execution/fusion.h"
#include "lib/graph/graph.h"
#include "lib/kernels/onednn/layout.h"
#include "lib/kernels/onednn/post_ops.h"

namespace shoji::execution {

// Adds the steps of one node, on row-major values, with the reference kernels.
absl::Status LowerPlain(Builder& builder, size_t node);

// The same with oneDNN, or a faster kernel of our own, and with those of the following nodes that can be done in the
// same step (marked done). UNIMPLEMENTED where LowerPlain is to be used.
absl::Status LowerFast(Builder& builder, size_t node);

// Parts of LowerFast, for nodes of one kind. `node` has ordinary extents (1 to 2^31 - 1 along every axis).
absl::Status LowerConv(Builder& builder, size_t node);
absl::Status LowerGemm(Builder& builder, size_t node);
absl::Status LowerMatMul(Builder& builder, size_t node);
// The mean over an image that a squeeze-and-excitation begins with, and all the rest of it.
absl::Status LowerSqueezeExcite(Builder& builder, size_t node);

// What the above share.
absl::Status LeftToPlain();
inline const graph::Value& ValueOf(const Builder& builder, graph::ValueId id) { return builder.graph().values[id]; }
inline bool HasInput(const graph::Node& node, size_t i) {
  return i < node.inputs.size() && node.inputs[i] != graph::kNoValue;
}
inline bool IsConstant(const Builder& builder, graph::ValueId id) { return ValueOf(builder, id).constant != nullptr; }
// Says that the chain's value lies at `output`, and marks its nodes done.
void FinishChain(Builder& builder, const Chain& chain, const Place& output);
// A chain of the node alone.
Chain EmptyChain(const graph::Node& node);
kernels::onednn::PostOps PostOpsOf(const Chain& chain);
// The place of a result that `executing` compute element by element from what lies at `x`: x's own memory if nobody
// needs it any more.
absl::StatusOr<Place> ResultPlace(Builder& builder, std::span<const size_t> executing, graph::ValueId result,
                                  const Place& x);

}  // namespace shoji::execution
