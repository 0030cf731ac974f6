// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_export.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/graph/onnx_io/serialize.h"

namespace shoji::graph {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

constexpr int64_t kIrVersion = 8;
constexpr int64_t kOpset = 14;

int32_t OnnxTypeOf(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return ::onnx::TensorProto::FLOAT;
    case DataType::kUint8:
      return ::onnx::TensorProto::UINT8;
    case DataType::kInt8:
      return ::onnx::TensorProto::INT8;
    case DataType::kInt32:
      return ::onnx::TensorProto::INT32;
    case DataType::kInt64:
      return ::onnx::TensorProto::INT64;
  }
  return ::onnx::TensorProto::UNDEFINED;
}

// Writes one graph. Attributes that ONNX takes as inputs (shapes, pads, bounds) become initializers under names that
// the graph does not use.
class Writer {
 public:
  Writer(const Graph& graph, ::onnx::GraphProto& out) : graph_(graph), out_(out) {
    for (const Value& value : graph.values) {
      names_.insert(value.name);
    }
  }

  void Write() {
    out_.set_name(graph_.name.empty() ? "graph" : graph_.name);
    for (const ValueId id : graph_.inputs) {
      WriteInfo(graph_.values[id], *out_.add_input());
    }
    for (const ValueId id : graph_.outputs) {
      WriteInfo(graph_.values[id], *out_.add_output());
    }
    for (const Node& node : graph_.nodes) {
      WriteNode(node);
    }
  }

 private:
  static void WriteInfo(const Value& value, ::onnx::ValueInfoProto& info) {
    info.set_name(value.name);
    auto* type = info.mutable_type()->mutable_tensor_type();
    type->set_elem_type(OnnxTypeOf(value.type));
    type->mutable_shape();
    for (const int64_t dim : value.shape.dims()) {
      type->mutable_shape()->add_dim()->set_dim_value(dim);
    }
  }

  ::onnx::TensorProto* AddInitializer(const std::string& name, DataType type) {
    ::onnx::TensorProto* tensor = out_.add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(OnnxTypeOf(type));
    return tensor;
  }

  std::string HelperName(const Node& node, const std::string& suffix) {
    std::string name = node.name + "/" + suffix;
    while (!names_.insert(name).second) {
      name += "_";
    }
    return name;
  }

  void AddInts(const Node& node, ::onnx::NodeProto& out, const std::string& suffix,
               const std::vector<int64_t>& values) {
    ::onnx::TensorProto* tensor = AddInitializer(HelperName(node, suffix), DataType::kInt64);
    tensor->add_dims(static_cast<int64_t>(values.size()));
    tensor->set_raw_data(values.data(), values.size() * sizeof(int64_t));
    out.add_input(tensor->name());
  }

  void AddScalar(const Node& node, ::onnx::NodeProto& out, const std::string& suffix, float value) {
    ::onnx::TensorProto* tensor = AddInitializer(HelperName(node, suffix), DataType::kFloat32);
    tensor->set_raw_data(&value, sizeof(value));
    out.add_input(tensor->name());
  }

  static void SetInts(::onnx::NodeProto& out, const char* name, std::span<const int64_t> values) {
    ::onnx::AttributeProto* attribute = out.add_attribute();
    attribute->set_name(name);
    attribute->set_type(::onnx::AttributeProto::INTS);
    for (const int64_t value : values) {
      attribute->add_ints(value);
    }
  }

  static void SetInt(::onnx::NodeProto& out, const char* name, int64_t value) {
    ::onnx::AttributeProto* attribute = out.add_attribute();
    attribute->set_name(name);
    attribute->set_type(::onnx::AttributeProto::INT);
    attribute->set_i(value);
  }

  static void SetFloat(::onnx::NodeProto& out, const char* name, float value) {
    ::onnx::AttributeProto* attribute = out.add_attribute();
    attribute->set_name(name);
    attribute->set_type(::onnx::AttributeProto::FLOAT);
    attribute->set_f(value);
  }

  // One overload a kind of attributes; `out` has the node's own inputs already.
  void WriteAttributes(const Node& node, const std::monostate&, ::onnx::NodeProto& out) {
    if (node.op == Op::kReshape || node.op == Op::kExpand) {
      const std::vector<int64_t>& dims = graph_.values[node.outputs[0]].shape.dims();
      AddInts(node, out, "shape", dims);
    }
  }

  void WriteAttributes(const Node&, const ConvAttributes& a, ::onnx::NodeProto& out) {
    SetInts(out, "kernel_shape", a.kernel);
    SetInts(out, "strides", a.strides);
    SetInts(out, "dilations", a.dilations);
    SetInts(out, "pads", a.pads);
    SetInt(out, "group", a.group);
  }

  void WriteAttributes(const Node& node, const PoolAttributes& a, ::onnx::NodeProto& out) {
    SetInts(out, "kernel_shape", a.kernel);
    SetInts(out, "strides", a.strides);
    SetInts(out, "pads", a.pads);
    SetInt(out, "ceil_mode", a.ceil_mode ? 1 : 0);
    // AveragePool has dilations from operator set 19 on only; import lets none through.
    if (node.op == Op::kMaxPool) {
      SetInts(out, "dilations", a.dilations);
    } else {
      SetInt(out, "count_include_pad", a.count_include_pad ? 1 : 0);
    }
  }

  void WriteAttributes(const Node&, const GemmAttributes& a, ::onnx::NodeProto& out) {
    SetFloat(out, "alpha", a.alpha);
    SetFloat(out, "beta", a.beta);
    SetInt(out, "transA", a.trans_a ? 1 : 0);
    SetInt(out, "transB", a.trans_b ? 1 : 0);
  }

  void WriteAttributes(const Node&, const BatchNormAttributes& a, ::onnx::NodeProto& out) {
    SetFloat(out, "epsilon", a.epsilon);
  }

  void WriteAttributes(const Node& node, const FloatAttributes& a, ::onnx::NodeProto& out) {
    if (node.op == Op::kClip) {
      AddScalar(node, out, "min", a.alpha);
      AddScalar(node, out, "max", a.beta);
      return;
    }
    SetFloat(out, "alpha", a.alpha);
    if (node.op == Op::kHardSigmoid || node.op == Op::kSelu) {
      SetFloat(out, node.op == Op::kSelu ? "gamma" : "beta", a.beta);
    }
  }

  void WriteAttributes(const Node&, const AxisAttributes& a, ::onnx::NodeProto& out) { SetInt(out, "axis", a.axis); }

  void WriteAttributes(const Node&, const ReduceAttributes& a, ::onnx::NodeProto& out) {
    SetInts(out, "axes", a.axes);
    SetInt(out, "keepdims", a.keep_dims ? 1 : 0);
  }

  void WriteAttributes(const Node&, const TransposeAttributes& a, ::onnx::NodeProto& out) {
    SetInts(out, "perm", a.permutation);
  }

  void WriteAttributes(const Node& node, const PadAttributes& a, ::onnx::NodeProto& out) {
    std::vector<int64_t> pads = a.begin;
    pads.insert(pads.end(), a.end.begin(), a.end.end());
    AddInts(node, out, "pads", pads);
    AddScalar(node, out, "value", a.value);
  }

  void WriteAttributes(const Node& node, const GatherAttributes& a, ::onnx::NodeProto& out) {
    AddInts(node, out, "indices", a.indices);
    SetInt(out, "axis", a.axis);
  }

  void WriteAttributes(const Node&, const LrnAttributes& a, ::onnx::NodeProto& out) {
    SetInt(out, "size", a.size);
    SetFloat(out, "alpha", a.alpha);
    SetFloat(out, "beta", a.beta);
    SetFloat(out, "bias", a.bias);
  }

  // Two nodes: `out`, which quantizes, and the one that dequantizes, under the node's own name.
  void WriteAttributes(const Node& node, const FakeQuantizeAttributes& a, ::onnx::NodeProto& out) {
    out.set_op_type("QuantizeLinear");
    out.set_name(HelperName(node, "quantize"));
    AddScalar(node, out, "scale", a.scale);
    ::onnx::TensorProto* zero_point =
        AddInitializer(HelperName(node, "zero_point"), a.low < 0 ? DataType::kInt8 : DataType::kUint8);
    const auto byte = static_cast<uint8_t>(a.zero_point);
    zero_point->set_raw_data(&byte, sizeof(byte));
    out.add_input(zero_point->name());
    const std::string result = out.output(0);
    out.set_output(0, HelperName(node, "quantized"));
    ::onnx::NodeProto& back = *out_.add_node();
    back.set_name(node.name);
    back.set_op_type("DequantizeLinear");
    back.add_input(out.output(0));
    back.add_input(out.input(1));
    back.add_input(out.input(2));
    back.add_output(result);
  }

  void WriteAttributes(const Node& node, const SliceAttributes& a, ::onnx::NodeProto& out) {
    const Shape& x = graph_.values[node.inputs[0]].shape;
    const Shape& y = graph_.values[node.outputs[0]].shape;
    std::vector<int64_t> ends;
    std::vector<int64_t> axes;
    for (size_t i = 0; i < x.rank(); ++i) {
      const int64_t end = a.starts[i] + y[i] * a.steps[i];
      // An end before the first element, which a negative step may have, is written as one too small to count from the
      // back.
      ends.push_back(end < 0 ? -x[i] - 1 : end);
      axes.push_back(static_cast<int64_t>(i));
    }
    AddInts(node, out, "starts", a.starts);
    AddInts(node, out, "ends", ends);
    AddInts(node, out, "axes", axes);
    AddInts(node, out, "steps", a.steps);
  }

  void WriteNode(const Node& node) {
    ::onnx::NodeProto& out = *out_.add_node();
    out.set_name(node.name);
    out.set_op_type(NameOf(node.op));
    for (const ValueId id : node.inputs) {
      out.add_input(id == kNoValue ? std::string() : graph_.values[id].name);
    }
    for (const ValueId id : node.outputs) {
      out.add_output(graph_.values[id].name);
    }
    std::visit([&](const auto& attributes) { WriteAttributes(node, attributes, out); }, node.attributes);
  }

  const Graph& graph_;
  ::onnx::GraphProto& out_;
  std::unordered_set<std::string> names_;
};

std::vector<onnx_io::SplitInitializer> TakeInitializers(Graph& graph) {
  std::vector<onnx_io::SplitInitializer> out;
  for (Value& value : graph.values) {
    if (value.constant != nullptr) {
      ::onnx::TensorProto header;
      header.set_name(value.name);
      header.set_data_type(OnnxTypeOf(value.type));
      for (const int64_t dim : value.shape.dims()) {
        header.add_dims(dim);
      }
      out.push_back({header.SerializeAsString(), std::move(value.constant)});
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<Bytes> ExportOnnx(Graph graph) {
  ::onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("shoji");
  ::onnx::OperatorSetIdProto* opset = model.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  Writer(graph, *model.mutable_graph()).Write();
  return onnx_io::Serialize(std::move(model), TakeInitializers(graph));
}

}  // namespace shoji::graph
