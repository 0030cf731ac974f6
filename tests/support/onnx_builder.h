// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Small ONNX models for tests, written line by line:
//
//   OnnxBuilder().Input("x", {-1, 3, 8, 8}).Weight("w", {4, 3, 3, 3}).Node("Conv", {"x", "w"},
//   {"y"}).Output("y").Build()
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/bytes.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::testing {

// Each call adds to the model; `Attribute` and `Named` to its last node. Thread-compatible.
class OnnxBuilder {
 public:
  explicit OnnxBuilder(int64_t opset = 13, int64_t ir_version = 8);
  OnnxBuilder(const OnnxBuilder&) = delete;
  OnnxBuilder& operator=(const OnnxBuilder&) = delete;
  ~OnnxBuilder();

  // A float32 input; -1 is a dynamic extent.
  OnnxBuilder& Input(const std::string& name, const std::vector<int64_t>& dims);
  OnnxBuilder& Output(const std::string& name);
  // A float32 initializer with `values`, or with small numbers of its own making.
  OnnxBuilder& Weight(const std::string& name, const std::vector<int64_t>& dims, const std::vector<float>& values = {});
  // An int64 initializer of one dimension.
  OnnxBuilder& Ints(const std::string& name, const std::vector<int64_t>& values);
  // An initializer of integers, of a type of TensorProto.
  OnnxBuilder& Integers(const std::string& name, int32_t type, const std::vector<int64_t>& dims,
                        const std::vector<int64_t>& values);
  OnnxBuilder& Node(const std::string& op_type, const std::vector<std::string>& inputs,
                    const std::vector<std::string>& outputs);
  // Names the last node; otherwise it goes by its first output.
  OnnxBuilder& Named(const std::string& name);
  OnnxBuilder& Attribute(const std::string& name, int64_t value);
  OnnxBuilder& Attribute(const std::string& name, float value);
  OnnxBuilder& TextAttribute(const std::string& name, std::string_view value);
  OnnxBuilder& Attribute(const std::string& name, const std::vector<int64_t>& values);

  // For what the calls above do not offer.
  ::onnx::ModelProto& proto() { return *model_; }
  Bytes Build() const;

 private:
  std::unique_ptr<::onnx::ModelProto> model_;
};

// A residual network on 3x8x8 pictures with four classes: stem_conv stem_bn stem_relu, block1_conv1 block1_bn1
// block1_relu1 block1_conv2 block1_bn2 block1_add block1_relu2, pool flatten fc; input "input", output "logits".
Bytes SmallResNet();

}  // namespace shoji::testing
