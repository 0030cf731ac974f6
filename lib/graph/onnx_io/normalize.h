// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One normalizer an operator family: it checks a node's inputs and attributes, computes its output's shape, and brings
// it into the form of graph.h. libonnx's checker has accepted the node; its inputs' shapes are known.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/onnx_io/node_scope.h"

namespace shoji::graph::onnx_io {

using Normalizer = absl::Status (*)(NodeScope& node);

// Null when the operator is not supported.
Normalizer FindNormalizer(const std::string& op_type);

// normalize_window.cc
absl::Status NormalizeConv(NodeScope& node);
absl::Status NormalizeMaxPool(NodeScope& node);
absl::Status NormalizeAveragePool(NodeScope& node);
absl::Status NormalizeGlobalAveragePool(NodeScope& node);

// normalize_dense.cc
absl::Status NormalizeGemm(NodeScope& node);
absl::Status NormalizeMatMul(NodeScope& node);
absl::Status NormalizeBatchNorm(NodeScope& node);
absl::Status NormalizeReduceMean(NodeScope& node);

// normalize_elementwise.cc
absl::Status NormalizeUnary(NodeScope& node);
absl::Status NormalizeLeakyRelu(NodeScope& node);
absl::Status NormalizeHardSigmoid(NodeScope& node);
absl::Status NormalizeClip(NodeScope& node);
absl::Status NormalizeSoftmax(NodeScope& node);
absl::Status NormalizeBinary(NodeScope& node);

// normalize_layout.cc
absl::Status NormalizeReshape(NodeScope& node);
absl::Status NormalizeFlatten(NodeScope& node);
absl::Status NormalizeSqueeze(NodeScope& node);
absl::Status NormalizeUnsqueeze(NodeScope& node);
absl::Status NormalizeTranspose(NodeScope& node);
absl::Status NormalizeConcat(NodeScope& node);
absl::Status NormalizePad(NodeScope& node);
absl::Status NormalizeSlice(NodeScope& node);

// normalize_constant.cc
absl::Status NormalizeConstant(NodeScope& node);
absl::Status NormalizeConstantOfShape(NodeScope& node);
absl::Status NormalizeShape(NodeScope& node);
absl::Status NormalizeGather(NodeScope& node);
absl::Status NormalizeCast(NodeScope& node);
absl::Status NormalizePassThrough(NodeScope& node);

}  // namespace shoji::graph::onnx_io
