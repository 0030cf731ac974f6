// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Every way in which a file may write down the values of a tensor, small ones in their protos and large ones beside
// them.

#include <onnx/onnx_pb.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "lib/graph/onnx_io/half.h"
#include "tests/support/onnx_builder.h"

namespace shoji::graph {
namespace {

using ::onnx::TensorProto;
using shoji::testing::OnnxBuilder;
using ::testing::HasSubstr;

enum class Field { kRaw, kTyped };

struct Form {
  std::string name;
  TensorProto::DataType type;
  Field field;
  int64_t count;
};

// Whole numbers of both signs that every type but the unsigned has, and bfloat16 exactly.
int ValueAt(int64_t i, TensorProto::DataType type) {
  const auto value = static_cast<int>(i % 127);
  return type == TensorProto::UINT8 || i % 2 == 0 ? value : -value;
}

uint16_t Float16Bits(int value) {
  if (value == 0) {
    return 0;
  }
  const unsigned exponent = static_cast<unsigned>(std::ilogb(std::abs(value)));
  const unsigned fraction = (static_cast<unsigned>(std::abs(value)) << (10 - exponent)) & 0x3FFU;
  return static_cast<uint16_t>((value < 0 ? 0x8000U : 0U) | (exponent + 15) << 10 | fraction);
}

uint16_t Bfloat16Bits(int value) {
  const auto single = static_cast<float>(value);
  uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

template <typename T>
void AppendRaw(TensorProto& tensor, T value) {
  tensor.mutable_raw_data()->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AddValue(TensorProto& tensor, int value, Field field) {
  const bool raw = field == Field::kRaw;
  const auto typed32 = [&tensor](int32_t bits) { tensor.add_int32_data(bits); };
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      return raw ? AppendRaw(tensor, static_cast<float>(value)) : tensor.add_float_data(static_cast<float>(value));
    case TensorProto::DOUBLE:
      return raw ? AppendRaw(tensor, double{1} * value) : tensor.add_double_data(value);
    case TensorProto::FLOAT16:
      return raw ? AppendRaw(tensor, Float16Bits(value)) : typed32(Float16Bits(value));
    case TensorProto::BFLOAT16:
      return raw ? AppendRaw(tensor, Bfloat16Bits(value)) : typed32(Bfloat16Bits(value));
    case TensorProto::INT64:
      return raw ? AppendRaw(tensor, int64_t{value}) : tensor.add_int64_data(value);
    case TensorProto::INT32:
      return raw ? AppendRaw(tensor, int32_t{value}) : typed32(value);
    default:
      return raw ? AppendRaw(tensor, static_cast<uint8_t>(value)) : typed32(value);
  }
}

void Fill(TensorProto& tensor, const Form& form) {
  tensor.set_data_type(form.type);
  tensor.add_dims(form.count);
  for (int64_t i = 0; i < form.count; ++i) {
    AddValue(tensor, ValueAt(i, form.type), form.field);
  }
}

class TensorFormsTest : public ::testing::TestWithParam<Form> {
 protected:
  static void ExpectValues(const absl::StatusOr<Graph>& graph) {
    ASSERT_TRUE(graph.ok()) << graph.status();
    const Value& w = graph->values.at(graph->nodes.at(0).inputs.at(1));
    ASSERT_NE(w.constant, nullptr);
    ASSERT_EQ(w.type, DataType::kFloat32);
    for (size_t i = 0; i < w.constant->num_elements(); ++i) {
      ASSERT_EQ(w.constant->values<float>()[i], static_cast<float>(ValueAt(static_cast<int64_t>(i), GetParam().type)))
          << i;
    }
  }
  // Adds the constant that `tensor` holds, cast to float32, to an input.
  static void AddSum(OnnxBuilder& builder, const std::string& tensor) {
    builder.Input("x", {1, GetParam().count}).Node("Cast", {tensor}, {"w"}).Attribute("to", int64_t{1});
    builder.Node("Cast", {"w"}, {"v"}).Attribute("to", int64_t{1}).Node("Add", {"x", "v"}, {"y"}).Output("y");
  }
};

TEST_P(TensorFormsTest, AnInitializerHoldsTheseValues) {
  OnnxBuilder builder;
  Fill(*builder.proto().mutable_graph()->add_initializer(), GetParam());
  builder.proto().mutable_graph()->mutable_initializer(0)->set_name("t");
  AddSum(builder, "t");
  ExpectValues(ImportOnnx(builder.Build()));
}

TEST_P(TensorFormsTest, AConstantNodeHoldsTheseValues) {
  OnnxBuilder builder;
  builder.Node("Constant", {}, {"t"});
  auto* attribute = builder.proto().mutable_graph()->mutable_node(0)->add_attribute();
  attribute->set_name("value");
  attribute->set_type(::onnx::AttributeProto::TENSOR);
  Fill(*attribute->mutable_t(), GetParam());
  AddSum(builder, "t");
  ExpectValues(ImportOnnx(builder.Build()));
}

TEST_P(TensorFormsTest, OneValueTooFewIsRefused) {
  OnnxBuilder builder;
  TensorProto& tensor = *builder.proto().mutable_graph()->add_initializer();
  tensor.set_name("t");
  Fill(tensor, GetParam());
  tensor.set_dims(0, GetParam().count + 1);
  AddSum(builder, "t");
  const absl::Status refused = ImportOnnx(builder.Build()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("initializer `t`: "));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("where its shape needs"));
}

std::vector<Form> AllForms() {
  std::vector<Form> out;
  const std::pair<const char*, TensorProto::DataType> types[] = {
      {"Float", TensorProto::FLOAT},       {"Double", TensorProto::DOUBLE}, {"Float16", TensorProto::FLOAT16},
      {"Bfloat16", TensorProto::BFLOAT16}, {"Int64", TensorProto::INT64},   {"Int32", TensorProto::INT32},
      {"Int8", TensorProto::INT8},         {"Uint8", TensorProto::UINT8}};
  for (const auto& [name, type] : types) {
    for (const Field field : {Field::kRaw, Field::kTyped}) {
      for (const int64_t count : {5, 3001}) {
        out.push_back(
            {std::string(name) + (field == Field::kRaw ? "Raw" : "Typed") + std::to_string(count), type, field, count});
      }
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Forms, TensorFormsTest, ::testing::ValuesIn(AllForms()),
                         [](const auto& test) { return test.param.name; });

TEST(HalfTest, EveryFloat16IsTheFloat32OfItsFormula) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = onnx_io::FromFloat16(static_cast<uint16_t>(bits));
    const auto exponent = static_cast<int>(bits >> 10 & 0x1F);
    const auto fraction = static_cast<double>(bits & 0x3FF);
    double expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) {
      expected = fraction == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
    }
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      EXPECT_EQ(value, static_cast<float>(bits >= 0x8000 ? -expected : expected)) << bits;
      EXPECT_EQ(std::signbit(value), bits >= 0x8000) << bits;
    }
  }
}

TEST(TensorFormsTest, AFloat16NetworkIsComputedInFloat32) {
  OnnxBuilder builder;
  builder.Input("x", {1, 4}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  ::onnx::GraphProto& graph = *builder.proto().mutable_graph();
  Fill(*graph.add_initializer(), {"", TensorProto::FLOAT16, Field::kRaw, 4});
  graph.mutable_initializer(0)->set_name("w");
  for (auto* info : {graph.mutable_input(0), graph.mutable_output(0)}) {
    info->mutable_type()->mutable_tensor_type()->set_elem_type(TensorProto::FLOAT16);
  }
  const absl::StatusOr<Graph> imported = ImportOnnx(builder.Build());
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->values.at(imported->inputs.at(0)).type, DataType::kFloat32);
  EXPECT_EQ(imported->values.at(imported->outputs.at(0)).type, DataType::kFloat32);
}

TEST(TensorFormsTest, CastsBetweenFloatsVanish) {
  OnnxBuilder builder;
  builder.Input("x", {1, 4}).Node("Cast", {"x"}, {"a"}).Attribute("to", int64_t{TensorProto::FLOAT16});
  builder.Node("Relu", {"a"}, {"b"}).Node("Cast", {"b"}, {"y"}).Attribute("to", int64_t{TensorProto::FLOAT});
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Output("y").Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.at(0).op, Op::kRelu);
}

TEST(TensorFormsTest, DataInAFieldOfAnotherTypeIsRefused) {
  for (const int count : {3, 3000}) {
    OnnxBuilder builder;
    builder.Input("x", {1, count}).Weight("w", {count}).Node("Add", {"x", "w"}, {"y"}).Output("y");
    builder.proto().mutable_graph()->mutable_initializer(0)->set_data_type(TensorProto::DOUBLE);
    EXPECT_EQ(std::string(ImportOnnx(builder.Build()).status().message()),
              "initializer `w`: its data is in a field for values of another type");
  }
}

TEST(TensorFormsTest, TypesThatNobodyReadsAreRefusedByName) {
  for (const auto type : {TensorProto::STRING, TensorProto::COMPLEX64, TensorProto::UINT64, TensorProto::UINT16}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
    builder.proto().mutable_graph()->mutable_initializer(0)->set_data_type(type);
    const absl::Status refused = ImportOnnx(builder.Build()).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(std::string(refused.message()),
              "initializer `w`: tensors of type " + TensorProto::DataType_Name(type) + " are not supported");
  }
}

}  // namespace
}  // namespace shoji::graph
