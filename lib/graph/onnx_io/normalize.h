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
Normalizer FindNormalizer(const std::string& domain, const std::string& op_type);

// Runs the node's normalizer. A node that only moves elements may be given integers that import knows by the numbers
// they mean; its output is integers again. For operator sets that libonnx does not check, unknown attributes are
// refused here.
absl::Status Normalize(NodeScope& node);

// normalize_window.cc
absl::Status NormalizeConv(NodeScope& node);
// The same as one of several steps; further inputs are left to the caller.
absl::StatusOr<KnownValue*> StepConv(NodeScope& node, const std::string& suffix);
absl::Status NormalizeMaxPool(NodeScope& node);
absl::Status NormalizeAveragePool(NodeScope& node);
absl::Status NormalizeGlobalAveragePool(NodeScope& node);
absl::Status NormalizeGlobalMaxPool(NodeScope& node);
absl::Status NormalizeGlobalLpPool(NodeScope& node);

// normalize_dense.cc
absl::Status NormalizeGemm(NodeScope& node);
absl::StatusOr<KnownValue*> StepGemm(NodeScope& node, const std::string& suffix);
absl::Status NormalizeMatMul(NodeScope& node);
absl::StatusOr<KnownValue*> StepMatMul(NodeScope& node, const std::string& suffix);

// normalize_einsum.cc
absl::Status NormalizeEinsum(NodeScope& node);

// normalize_statistics.cc
absl::Status NormalizeBatchNorm(NodeScope& node);
absl::Status NormalizeLrn(NodeScope& node);
absl::Status NormalizeInstanceNorm(NodeScope& node);
absl::Status NormalizeLayerNorm(NodeScope& node);
absl::Status NormalizeSkipLayerNorm(NodeScope& node);
absl::Status NormalizeGroupNorm(NodeScope& node);
absl::Status NormalizeLpNorm(NodeScope& node);
absl::Status NormalizeMeanVarianceNorm(NodeScope& node);

// normalize_reduce.cc
absl::Status NormalizeReduce(NodeScope& node);
// The steps that sum `x` over `axes` (kept as 1), for other normalizers.
absl::StatusOr<KnownValue*> StepMean(NodeScope& node, const std::string& suffix, KnownValue* x,
                                     const std::vector<int64_t>& axes);
absl::StatusOr<KnownValue*> StepSum(NodeScope& node, const std::string& suffix, KnownValue* x,
                                    const std::vector<int64_t>& axes);
absl::StatusOr<KnownValue*> StepMax(NodeScope& node, const std::string& suffix, KnownValue* x,
                                    const std::vector<int64_t>& axes);

// normalize_softmax.cc
absl::Status NormalizeSoftmax(NodeScope& node);
// As it is since, or was before, operator set `opset`.
absl::Status EmitSoftmax(NodeScope& node, int64_t opset);
absl::Status NormalizeLogSoftmax(NodeScope& node);

// normalize_elementwise.cc
absl::Status NormalizeUnary(NodeScope& node);
absl::Status NormalizeLeakyRelu(NodeScope& node);
absl::Status NormalizeHardSigmoid(NodeScope& node);
absl::Status NormalizeElu(NodeScope& node);
absl::Status NormalizeSelu(NodeScope& node);
absl::Status NormalizeCelu(NodeScope& node);
absl::Status NormalizeThresholdedRelu(NodeScope& node);
absl::Status NormalizeMish(NodeScope& node);
absl::Status NormalizeGelu(NodeScope& node);
// Its approximation by tanh, of `x`.
absl::Status EmitTanhGelu(NodeScope& node, KnownValue* x);
absl::Status NormalizeClip(NodeScope& node);

// normalize_arithmetic.cc
absl::Status NormalizeBinary(NodeScope& node);
absl::Status NormalizeSum(NodeScope& node);
absl::Status NormalizeMean(NodeScope& node);
absl::Status NormalizeMaxMin(NodeScope& node);
absl::Status NormalizePow(NodeScope& node);
absl::Status NormalizePRelu(NodeScope& node);

// normalize_layout.cc
absl::Status NormalizeReshape(NodeScope& node);
absl::Status NormalizeFlatten(NodeScope& node);
absl::Status NormalizeSqueeze(NodeScope& node);
absl::Status NormalizeUnsqueeze(NodeScope& node);
absl::Status NormalizeTranspose(NodeScope& node);
absl::Status NormalizeConcat(NodeScope& node);
absl::Status NormalizeDepthToSpace(NodeScope& node);
absl::Status NormalizeSpaceToDepth(NodeScope& node);
absl::Status NormalizeExpand(NodeScope& node);
absl::Status NormalizeTile(NodeScope& node);

// normalize_pad.cc
absl::Status NormalizePad(NodeScope& node);

// normalize_select.cc
absl::Status NormalizeSlice(NodeScope& node);
absl::Status NormalizeSplit(NodeScope& node);
absl::Status NormalizeGather(NodeScope& node);

// normalize_sequence.cc
absl::Status NormalizeSequenceConstruct(NodeScope& node);
absl::Status NormalizeSequenceEmpty(NodeScope& node);
absl::Status NormalizeSequenceInsert(NodeScope& node);
absl::Status NormalizeSequenceAt(NodeScope& node);
absl::Status NormalizeSequenceLength(NodeScope& node);
absl::Status NormalizeSplitToSequence(NodeScope& node);
absl::Status NormalizeConcatFromSequence(NodeScope& node);

// normalize_constant.cc
absl::Status NormalizeConstant(NodeScope& node);
absl::Status NormalizeConstantOfShape(NodeScope& node);
absl::Status NormalizeShape(NodeScope& node);
absl::Status NormalizeSize(NodeScope& node);
absl::Status NormalizeRange(NodeScope& node);
absl::Status NormalizeSineCosine(NodeScope& node);
absl::Status NormalizeCast(NodeScope& node);
absl::Status NormalizeCastLike(NodeScope& node);
absl::Status NormalizePassThrough(NodeScope& node);

// normalize_condition.cc
absl::Status NormalizeCompare(NodeScope& node);
absl::Status NormalizeLogic(NodeScope& node);
absl::Status NormalizeNot(NodeScope& node);
absl::Status NormalizeMod(NodeScope& node);
absl::Status NormalizeWhere(NodeScope& node);

// normalize_quantized.cc
absl::Status NormalizeQuantizeLinear(NodeScope& node);
absl::Status NormalizeDequantizeLinear(NodeScope& node);
absl::Status NormalizeQLinearConv(NodeScope& node);
absl::Status NormalizeQLinearMatMul(NodeScope& node);
absl::Status NormalizeQGemm(NodeScope& node);
absl::Status NormalizeQLinearBinary(NodeScope& node);
absl::Status NormalizeQLinearUnary(NodeScope& node);
absl::Status NormalizeQLinearConcat(NodeScope& node);

// normalize_dynamic.cc
absl::Status NormalizeDynamicQuantizeLinear(NodeScope& node);
absl::Status NormalizeMatMulInteger(NodeScope& node);
absl::Status NormalizeConvInteger(NodeScope& node);
absl::Status NormalizeMatMulIntegerToFloat(NodeScope& node);
absl::Status NormalizeDynamicQuantizeMatMul(NodeScope& node);
// DequantizeLinear of what DynamicQuantizeLinear made.
absl::Status DequantizeDynamic(NodeScope& node);

// normalize_fused.cc
absl::Status NormalizeFusedConv(NodeScope& node);
absl::Status NormalizeFusedGemm(NodeScope& node);
absl::Status NormalizeFusedMatMul(NodeScope& node);
absl::Status NormalizeBiasGelu(NodeScope& node);
absl::Status NormalizeFastGelu(NodeScope& node);
absl::Status NormalizeQuickGelu(NodeScope& node);

}  // namespace shoji::graph::onnx_io
