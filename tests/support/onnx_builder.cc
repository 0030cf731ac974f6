// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/onnx_builder.h"

#include <onnx/onnx_pb.h>

#include <cstddef>

namespace shoji::testing {
namespace {

::onnx::AttributeProto* AddAttribute(::onnx::ModelProto& model, const std::string& name,
                                     ::onnx::AttributeProto::AttributeType type) {
  auto* nodes = model.mutable_graph()->mutable_node();
  ::onnx::AttributeProto* attribute = nodes->Mutable(nodes->size() - 1)->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}

void AddConvBn(OnnxBuilder& builder, const std::string& prefix, const std::string& suffix, const std::string& input,
               int64_t in_channels) {
  const std::string conv = prefix + "_conv" + suffix;
  const std::string bn = prefix + "_bn" + suffix;
  builder.Weight(conv + ".w", {4, in_channels, 3, 3});
  builder.Node("Conv", {input, conv + ".w"}, {conv + "_out"}).Named(conv).Attribute("pads", {1, 1, 1, 1});
  builder.Weight(bn + ".scale", {4}).Weight(bn + ".bias", {4}).Weight(bn + ".mean", {4});
  builder.Weight(bn + ".variance", {4}, {0.5F, 1.0F, 1.5F, 2.0F});
  builder
      .Node("BatchNormalization", {conv + "_out", bn + ".scale", bn + ".bias", bn + ".mean", bn + ".variance"},
            {bn + "_out"})
      .Named(bn);
}

}  // namespace

OnnxBuilder::OnnxBuilder(int64_t opset, int64_t ir_version) : model_(std::make_unique<::onnx::ModelProto>()) {
  model_->set_ir_version(ir_version);
  model_->mutable_graph()->set_name("test");
  auto* import = model_->add_opset_import();
  import->set_domain("");
  import->set_version(opset);
}

OnnxBuilder::~OnnxBuilder() = default;

OnnxBuilder& OnnxBuilder::Input(const std::string& name, const std::vector<int64_t>& dims) {
  auto* input = model_->mutable_graph()->add_input();
  input->set_name(name);
  auto* type = input->mutable_type()->mutable_tensor_type();
  type->set_elem_type(::onnx::TensorProto::FLOAT);
  type->mutable_shape();
  for (const int64_t dim : dims) {
    auto* extent = type->mutable_shape()->add_dim();
    if (dim == -1) {
      extent->set_dim_param("N");
    } else {
      extent->set_dim_value(dim);
    }
  }
  return *this;
}

OnnxBuilder& OnnxBuilder::Output(const std::string& name) {
  auto* output = model_->mutable_graph()->add_output();
  output->set_name(name);
  output->mutable_type()->mutable_tensor_type()->set_elem_type(::onnx::TensorProto::FLOAT);
  output->mutable_type()->mutable_tensor_type()->mutable_shape();
  return *this;
}

OnnxBuilder& OnnxBuilder::Weight(const std::string& name, const std::vector<int64_t>& dims,
                                 const std::vector<float>& values) {
  auto* tensor = model_->mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(::onnx::TensorProto::FLOAT);
  int64_t count = 1;
  for (const int64_t dim : dims) {
    tensor->add_dims(dim);
    count *= dim;
  }
  for (const float value : values) {
    tensor->add_float_data(value);
  }
  // A fixed sequence of small numbers of both signs that differs from name to name.
  auto state = static_cast<uint32_t>(name.size() * 7919 + static_cast<unsigned char>(name.back()));
  for (int64_t i = 0; values.empty() && i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    tensor->add_float_data(static_cast<float>(state >> 16U) / 65536.0F - 0.5F);
  }
  return *this;
}

OnnxBuilder& OnnxBuilder::Ints(const std::string& name, const std::vector<int64_t>& values) {
  auto* tensor = model_->mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(::onnx::TensorProto::INT64);
  tensor->add_dims(static_cast<int64_t>(values.size()));
  for (const int64_t value : values) {
    tensor->add_int64_data(value);
  }
  return *this;
}

OnnxBuilder& OnnxBuilder::Integers(const std::string& name, int32_t type, const std::vector<int64_t>& dims,
                                   const std::vector<int64_t>& values) {
  auto* tensor = model_->mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  for (const int64_t dim : dims) {
    tensor->add_dims(dim);
  }
  for (const int64_t value : values) {
    if (type == ::onnx::TensorProto::INT64) {
      tensor->add_int64_data(value);
    } else {
      tensor->add_int32_data(static_cast<int32_t>(value));
    }
  }
  return *this;
}

OnnxBuilder& OnnxBuilder::Node(const std::string& op_type, const std::vector<std::string>& inputs,
                               const std::vector<std::string>& outputs) {
  auto* node = model_->mutable_graph()->add_node();
  node->set_op_type(op_type);
  for (const std::string& input : inputs) {
    node->add_input(input);
  }
  for (const std::string& output : outputs) {
    node->add_output(output);
  }
  return *this;
}

OnnxBuilder& OnnxBuilder::Named(const std::string& name) {
  auto* nodes = model_->mutable_graph()->mutable_node();
  nodes->Mutable(nodes->size() - 1)->set_name(name);
  return *this;
}

OnnxBuilder& OnnxBuilder::Attribute(const std::string& name, int64_t value) {
  AddAttribute(*model_, name, ::onnx::AttributeProto::INT)->set_i(value);
  return *this;
}

OnnxBuilder& OnnxBuilder::Attribute(const std::string& name, float value) {
  AddAttribute(*model_, name, ::onnx::AttributeProto::FLOAT)->set_f(value);
  return *this;
}

OnnxBuilder& OnnxBuilder::TextAttribute(const std::string& name, std::string_view value) {
  AddAttribute(*model_, name, ::onnx::AttributeProto::STRING)->set_s(std::string(value));
  return *this;
}

OnnxBuilder& OnnxBuilder::Attribute(const std::string& name, const std::vector<int64_t>& values) {
  auto* attribute = AddAttribute(*model_, name, ::onnx::AttributeProto::INTS);
  for (const int64_t value : values) {
    attribute->add_ints(value);
  }
  return *this;
}

Bytes OnnxBuilder::Build() const { return ToBytes(model_->SerializeAsString()); }

Bytes SmallResNet() {
  OnnxBuilder builder;
  builder.Input("input", {-1, 3, 8, 8});
  AddConvBn(builder, "stem", "", "input", 3);
  builder.Node("Relu", {"stem_bn_out"}, {"stem_relu_out"}).Named("stem_relu");
  AddConvBn(builder, "block1", "1", "stem_relu_out", 4);
  builder.Node("Relu", {"block1_bn1_out"}, {"block1_relu1_out"}).Named("block1_relu1");
  AddConvBn(builder, "block1", "2", "block1_relu1_out", 4);
  builder.Node("Add", {"block1_bn2_out", "stem_relu_out"}, {"block1_add_out"}).Named("block1_add");
  builder.Node("Relu", {"block1_add_out"}, {"block1_relu2_out"}).Named("block1_relu2");
  builder.Node("GlobalAveragePool", {"block1_relu2_out"}, {"pool_out"}).Named("pool");
  builder.Node("Flatten", {"pool_out"}, {"flatten_out"}).Named("flatten");
  builder.Weight("fc.w", {4, 4}).Weight("fc.b", {4});
  builder.Node("Gemm", {"flatten_out", "fc.w", "fc.b"}, {"logits"}).Named("fc").Attribute("transB", int64_t{1});
  return builder.Output("logits").Build();
}

}  // namespace shoji::testing
