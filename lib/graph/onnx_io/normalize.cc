// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/normalize.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

constexpr int64_t kLastCheckedOpset = 17;

// What an operator does with activations that are integers in the file.
enum class Integers {
  kRefused,
  kMoved,  // the same as with numbers: it moves or selects elements
  kRead,   // its normalizer knows them
};

// Whether an operator takes sequences of tensors.
enum class Sequences { kRefused, kRead };

struct Entry {
  std::string_view op_type;
  Normalizer normalizer;
  Integers integers = Integers::kRefused;
  Sequences sequences = Sequences::kRefused;
};

constexpr Entry kNormalizers[] = {
    {"Abs", NormalizeUnary},
    {"Add", NormalizeBinary},
    {"And", NormalizeLogic},
    {"AveragePool", NormalizeAveragePool},
    {"BatchNormalization", NormalizeBatchNorm},
    {"Cast", NormalizeCast, Integers::kRead},
    {"CastLike", NormalizeCastLike, Integers::kRead},
    {"Ceil", NormalizeUnary},
    {"Celu", NormalizeCelu},
    {"Clip", NormalizeClip},
    {"Concat", NormalizeConcat, Integers::kMoved},
    {"ConcatFromSequence", NormalizeConcatFromSequence, Integers::kRefused, Sequences::kRead},
    {"Constant", NormalizeConstant},
    {"ConstantOfShape", NormalizeConstantOfShape},
    {"Conv", NormalizeConv},
    {"ConvInteger", NormalizeConvInteger, Integers::kRead},
    {"Cos", NormalizeSineCosine},
    {"DepthToSpace", NormalizeDepthToSpace, Integers::kMoved},
    {"DequantizeLinear", NormalizeDequantizeLinear, Integers::kRead},
    {"Div", NormalizeBinary},
    {"Dropout", NormalizePassThrough, Integers::kMoved},
    {"DynamicQuantizeLinear", NormalizeDynamicQuantizeLinear},
    {"Einsum", NormalizeEinsum},
    {"Elu", NormalizeElu},
    {"Equal", NormalizeCompare},
    {"Erf", NormalizeUnary},
    {"Exp", NormalizeUnary},
    {"Expand", NormalizeExpand, Integers::kMoved},
    {"Flatten", NormalizeFlatten, Integers::kMoved},
    {"Floor", NormalizeUnary},
    {"Gather", NormalizeGather, Integers::kMoved},
    {"Gelu", NormalizeGelu},
    {"Gemm", NormalizeGemm},
    {"GlobalAveragePool", NormalizeGlobalAveragePool},
    {"GlobalLpPool", NormalizeGlobalLpPool},
    {"GlobalMaxPool", NormalizeGlobalMaxPool, Integers::kMoved},
    {"Greater", NormalizeCompare},
    {"GreaterOrEqual", NormalizeCompare},
    {"GroupNormalization", NormalizeGroupNorm},
    {"HardSigmoid", NormalizeHardSigmoid},
    {"HardSwish", NormalizeUnary},
    {"Identity", NormalizePassThrough, Integers::kMoved},
    {"InstanceNormalization", NormalizeInstanceNorm},
    {"LRN", NormalizeLrn},
    {"LayerNormalization", NormalizeLayerNorm},
    {"LeakyRelu", NormalizeLeakyRelu},
    {"Less", NormalizeCompare},
    {"LessOrEqual", NormalizeCompare},
    {"Log", NormalizeUnary},
    {"LogSoftmax", NormalizeLogSoftmax},
    {"LpNormalization", NormalizeLpNorm},
    {"MatMul", NormalizeMatMul},
    {"MatMulInteger", NormalizeMatMulInteger, Integers::kRead},
    {"Max", NormalizeMaxMin},
    {"MaxPool", NormalizeMaxPool, Integers::kMoved},
    {"Mean", NormalizeMean},
    {"MeanVarianceNormalization", NormalizeMeanVarianceNorm},
    {"Min", NormalizeMaxMin},
    {"Mish", NormalizeMish},
    {"Mod", NormalizeMod},
    {"Mul", NormalizeBinary},
    {"Neg", NormalizeUnary},
    {"Not", NormalizeNot},
    {"Or", NormalizeLogic},
    {"PRelu", NormalizePRelu},
    {"Pad", NormalizePad},
    {"Pow", NormalizePow},
    {"QLinearConv", NormalizeQLinearConv, Integers::kRead},
    {"QLinearMatMul", NormalizeQLinearMatMul, Integers::kRead},
    {"QuantizeLinear", NormalizeQuantizeLinear},
    {"Range", NormalizeRange},
    {"Reciprocal", NormalizeUnary},
    {"ReduceL1", NormalizeReduce},
    {"ReduceL2", NormalizeReduce},
    {"ReduceLogSum", NormalizeReduce},
    {"ReduceLogSumExp", NormalizeReduce},
    {"ReduceMax", NormalizeReduce},
    {"ReduceMean", NormalizeReduce},
    {"ReduceMin", NormalizeReduce},
    {"ReduceProd", NormalizeReduce},
    {"ReduceSum", NormalizeReduce},
    {"ReduceSumSquare", NormalizeReduce},
    {"Relu", NormalizeUnary},
    {"Reshape", NormalizeReshape, Integers::kMoved},
    {"Round", NormalizeUnary},
    {"Selu", NormalizeSelu},
    {"SequenceAt", NormalizeSequenceAt, Integers::kRefused, Sequences::kRead},
    {"SequenceConstruct", NormalizeSequenceConstruct},
    {"SequenceEmpty", NormalizeSequenceEmpty},
    {"SequenceInsert", NormalizeSequenceInsert, Integers::kRefused, Sequences::kRead},
    {"SequenceLength", NormalizeSequenceLength, Integers::kRefused, Sequences::kRead},
    {"Shape", NormalizeShape, Integers::kRead},
    {"Sigmoid", NormalizeUnary},
    {"Sign", NormalizeUnary},
    {"Sin", NormalizeSineCosine},
    {"Size", NormalizeSize, Integers::kRead},
    {"Slice", NormalizeSlice, Integers::kMoved},
    {"Softmax", NormalizeSoftmax},
    {"Softplus", NormalizeUnary},
    {"Softsign", NormalizeUnary},
    {"SpaceToDepth", NormalizeSpaceToDepth, Integers::kMoved},
    {"Split", NormalizeSplit, Integers::kMoved},
    {"SplitToSequence", NormalizeSplitToSequence},
    {"Sqrt", NormalizeUnary},
    {"Squeeze", NormalizeSqueeze, Integers::kMoved},
    {"Sub", NormalizeBinary},
    {"Sum", NormalizeSum},
    {"Tanh", NormalizeUnary},
    {"ThresholdedRelu", NormalizeThresholdedRelu},
    {"Tile", NormalizeTile, Integers::kMoved},
    {"Transpose", NormalizeTranspose, Integers::kMoved},
    {"Unsqueeze", NormalizeUnsqueeze, Integers::kMoved},
    {"Where", NormalizeWhere},
    {"Xor", NormalizeLogic},
};

// Of onnxruntime's own domain: what its quantizer writes, all of it on integers, and what its optimizer fuses.
constexpr std::string_view kRuntimeDomain = "com.microsoft";
constexpr Entry kRuntimeNormalizers[] = {
    {"BiasGelu", NormalizeBiasGelu},
    {"DequantizeLinear", NormalizeDequantizeLinear, Integers::kRead},
    {"DynamicQuantizeMatMul", NormalizeDynamicQuantizeMatMul},
    {"FastGelu", NormalizeFastGelu},
    {"FusedConv", NormalizeFusedConv},
    {"FusedGemm", NormalizeFusedGemm},
    {"FusedMatMul", NormalizeFusedMatMul},
    {"Gelu", NormalizeGelu},
    {"LayerNormalization", NormalizeLayerNorm},
    {"MatMulIntegerToFloat", NormalizeMatMulIntegerToFloat, Integers::kRead},
    {"QGemm", NormalizeQGemm, Integers::kRead},
    {"QLinearAdd", NormalizeQLinearBinary, Integers::kRead},
    {"QLinearAveragePool", NormalizeQLinearUnary, Integers::kRead},
    {"QLinearConcat", NormalizeQLinearConcat, Integers::kRead},
    {"QLinearGlobalAveragePool", NormalizeQLinearUnary, Integers::kRead},
    {"QLinearLeakyRelu", NormalizeQLinearUnary, Integers::kRead},
    {"QLinearMul", NormalizeQLinearBinary, Integers::kRead},
    {"QLinearSigmoid", NormalizeQLinearUnary, Integers::kRead},
    {"QLinearSoftmax", NormalizeQLinearUnary, Integers::kRead},
    {"QuantizeLinear", NormalizeQuantizeLinear},
    {"QuickGelu", NormalizeQuickGelu},
    {"SimplifiedLayerNormalization", NormalizeLayerNorm},
    {"SkipLayerNormalization", NormalizeSkipLayerNorm},
};

const Entry* FindEntry(std::span<const Entry> entries, const std::string& op_type) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&op_type](const Entry& entry) { return entry.op_type == op_type; });
  return found == entries.end() ? nullptr : &*found;
}

const Entry* FindEntry(const std::string& domain, const std::string& op_type) {
  if (domain == kRuntimeDomain) {
    return FindEntry(kRuntimeNormalizers, op_type);
  }
  return domain.empty() || domain == "ai.onnx" ? FindEntry(kNormalizers, op_type) : nullptr;
}

// Where libonnx's checker has not done so.
absl::Status CheckAttributes(const NodeScope& node) {
  return node.opset() > kLastCheckedOpset || node.domain() == kRuntimeDomain ? node.RequireAllAttributesRead()
                                                                             : absl::OkStatus();
}

// Runs `normalizer` on the numbers that the integers among the inputs mean.
absl::Status MoveIntegers(NodeScope& node, Normalizer normalizer) {
  std::vector<KnownValue*> inputs = node.inputs();
  const QuantizedForm* form = nullptr;
  for (KnownValue*& input : inputs) {
    if (input == nullptr || input->quantized == nullptr) {
      continue;
    }
    if (form != nullptr && !form->SameMeaning(*input->quantized)) {
      return node.Unimplemented("it joins integers of different scales");
    }
    form = input->quantized.get();
    ASSIGN_OR_RETURN(input, node.RealsOf(*input));
  }
  const QuantizedForm shared = *form;
  NodeScope moved = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(normalizer(moved));
  RETURN_IF_ERROR(CheckAttributes(moved));
  return moved.MarkQuantized(shared);
}

absl::Status RefuseIntegers(const NodeScope& node, const KnownValue& value) {
  return node.Unimplemented("reads " + Quoted(value.name) +
                            ", which is quantized; only its operators for quantized values may be between "
                            "QuantizeLinear and DequantizeLinear");
}

}  // namespace

Normalizer FindNormalizer(const std::string& domain, const std::string& op_type) {
  const Entry* entry = FindEntry(domain, op_type);
  return entry == nullptr ? nullptr : entry->normalizer;
}

absl::Status Normalize(NodeScope& node) {
  const Entry& entry = *FindEntry(node.domain(), node.op_type());
  for (const KnownValue* input : node.inputs()) {
    if (input != nullptr && input->sequence != nullptr && entry.sequences == Sequences::kRefused) {
      return node.Unimplemented("reads " + Quoted(input->name) +
                                ", a sequence of tensors, which only operators for sequences may do");
    }
  }
  const auto quantized = std::find_if(node.inputs().begin(), node.inputs().end(), [](const KnownValue* input) {
    return input != nullptr && input->quantized != nullptr;
  });
  if (quantized != node.inputs().end() && entry.integers == Integers::kRefused) {
    return RefuseIntegers(node, **quantized);
  }
  if (quantized != node.inputs().end() && entry.integers == Integers::kMoved) {
    return MoveIntegers(node, entry.normalizer);
  }
  RETURN_IF_ERROR(entry.normalizer(node));
  return CheckAttributes(node);
}

}  // namespace shoji::graph::onnx_io
