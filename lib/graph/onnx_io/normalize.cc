// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/normalize.h"

#include <string_view>

namespace shoji::graph::onnx_io {
namespace {

struct Entry {
  std::string_view op_type;
  Normalizer normalizer;
};

constexpr Entry kNormalizers[] = {
    {"Add", NormalizeBinary},
    {"AveragePool", NormalizeAveragePool},
    {"BatchNormalization", NormalizeBatchNorm},
    {"Cast", NormalizeCast},
    {"Clip", NormalizeClip},
    {"Concat", NormalizeConcat},
    {"Constant", NormalizeConstant},
    {"ConstantOfShape", NormalizeConstantOfShape},
    {"Conv", NormalizeConv},
    {"Div", NormalizeBinary},
    {"Dropout", NormalizePassThrough},
    {"Flatten", NormalizeFlatten},
    {"Gather", NormalizeGather},
    {"Gemm", NormalizeGemm},
    {"GlobalAveragePool", NormalizeGlobalAveragePool},
    {"HardSigmoid", NormalizeHardSigmoid},
    {"HardSwish", NormalizeUnary},
    {"Identity", NormalizePassThrough},
    {"LeakyRelu", NormalizeLeakyRelu},
    {"MatMul", NormalizeMatMul},
    {"MaxPool", NormalizeMaxPool},
    {"Mul", NormalizeBinary},
    {"Pad", NormalizePad},
    {"ReduceMean", NormalizeReduceMean},
    {"Relu", NormalizeUnary},
    {"Reshape", NormalizeReshape},
    {"Shape", NormalizeShape},
    {"Sigmoid", NormalizeUnary},
    {"Slice", NormalizeSlice},
    {"Softmax", NormalizeSoftmax},
    {"Squeeze", NormalizeSqueeze},
    {"Sub", NormalizeBinary},
    {"Tanh", NormalizeUnary},
    {"Transpose", NormalizeTranspose},
    {"Unsqueeze", NormalizeUnsqueeze},
};

}  // namespace

Normalizer FindNormalizer(const std::string& op_type) {
  for (const Entry& entry : kNormalizers) {
    if (entry.op_type == op_type) {
      return entry.normalizer;
    }
  }
  return nullptr;
}

}  // namespace shoji::graph::onnx_io
