// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/node_scope.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/builder.h"
#include "lib/graph/onnx_io/evaluate.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {

const std::string& NodeName(const ::onnx::NodeProto& node) {
  static const std::string none;
  if (!node.name().empty()) {
    return node.name();
  }
  return node.output_size() == 0 ? none : node.output(0);
}

std::string NodeLabel(const ::onnx::NodeProto& node) {
  // The operator's name is the file's too; quoting it only to clean it would read badly.
  std::string op = Quoted(node.op_type());
  op = op.substr(1, op.size() - 2);
  return "node " + Quoted(NodeName(node)) + " (" + op + ")";
}

NodeScope::NodeScope(const ::onnx::NodeProto& proto, int64_t opset, std::vector<KnownValue*> inputs,
                     GraphBuilder& builder)
    : proto_(proto), opset_(opset), inputs_(std::move(inputs)), builder_(builder) {}

const std::string& NodeScope::op_type() const { return proto_.op_type(); }

const std::string& NodeScope::domain() const { return proto_.domain(); }

bool NodeScope::HasOutput(size_t i) const { return i < num_outputs() && !proto_.output(static_cast<int>(i)).empty(); }

size_t NodeScope::num_outputs() const { return static_cast<size_t>(proto_.output_size()); }

NodeScope NodeScope::WithInputs(std::vector<KnownValue*> inputs) const {
  NodeScope out(proto_, opset_, std::move(inputs), builder_);
  out.asked_ = asked_;
  return out;
}

absl::Status NodeScope::RequireInputs(size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    if (!has_input(i)) {
      return Invalid("input " + std::to_string(i) + " is missing");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> NodeScope::ConstantInts(size_t i) const {
  const KnownValue& value = input(i);
  if (value.constant == nullptr) {
    return Unimplemented("input " + Quoted(value.name) + " must be a constant");
  }
  if (value.type == DataType::kInt64) {
    const std::span<const int64_t> values = value.constant->values<int64_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  if (value.type == DataType::kInt32) {
    const std::span<const int32_t> values = value.constant->values<int32_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  return Invalid("input " + Quoted(value.name) + " must hold integers");
}

absl::StatusOr<float> NodeScope::ConstantFloat(size_t i) const {
  const KnownValue& value = input(i);
  if (value.constant == nullptr) {
    return Unimplemented("input " + Quoted(value.name) + " must be a constant");
  }
  if (value.type != DataType::kFloat32 || value.constant->num_elements() != 1) {
    return Invalid("input " + Quoted(value.name) + " must be one float32");
  }
  return value.constant->values<float>()[0];
}

bool NodeScope::IsScalar(size_t i) const {
  return has_input(i) && input(i).constant != nullptr && input(i).constant->num_elements() == 1;
}

const ::onnx::AttributeProto* NodeScope::FindAttribute(const std::string& name) const {
  asked_->insert(name);
  for (const ::onnx::AttributeProto& attribute : proto_.attribute()) {
    if (attribute.name() == name) {
      return &attribute;
    }
  }
  return nullptr;
}

absl::StatusOr<int64_t> NodeScope::Int(const std::string& name, int64_t absent) const {
  const ::onnx::AttributeProto* attribute = FindAttribute(name);
  if (attribute == nullptr) {
    return absent;
  }
  if (!attribute->has_i()) {
    return Invalid("attribute `" + name + "` must be an integer");
  }
  return attribute->i();
}

absl::StatusOr<float> NodeScope::Float(const std::string& name, float absent) const {
  const ::onnx::AttributeProto* attribute = FindAttribute(name);
  if (attribute == nullptr) {
    return absent;
  }
  if (!attribute->has_f()) {
    return Invalid("attribute `" + name + "` must be a float");
  }
  return attribute->f();
}

absl::StatusOr<std::string> NodeScope::String(const std::string& name, const std::string& absent) const {
  const ::onnx::AttributeProto* attribute = FindAttribute(name);
  if (attribute == nullptr) {
    return absent;
  }
  if (!attribute->has_s()) {
    return Invalid("attribute `" + name + "` must be a string");
  }
  return attribute->s();
}

absl::StatusOr<std::vector<int64_t>> NodeScope::Ints(const std::string& name,
                                                     const std::vector<int64_t>& absent) const {
  const ::onnx::AttributeProto* attribute = FindAttribute(name);
  if (attribute == nullptr) {
    return absent;
  }
  if (attribute->type() != ::onnx::AttributeProto::INTS) {
    return Invalid("attribute `" + name + "` must be a list of integers");
  }
  return std::vector<int64_t>(attribute->ints().begin(), attribute->ints().end());
}

absl::StatusOr<std::vector<float>> NodeScope::Floats(const std::string& name) const {
  const ::onnx::AttributeProto* attribute = FindAttribute(name);
  if (attribute == nullptr || attribute->type() != ::onnx::AttributeProto::FLOATS) {
    return Invalid("attribute `" + name + "` must be a list of floats");
  }
  return std::vector<float>(attribute->floats().begin(), attribute->floats().end());
}

bool NodeScope::has_tensor(const std::string& name) const {
  const ::onnx::AttributeProto* attribute = FindAttribute(name);
  return attribute != nullptr && attribute->has_t();
}

Tensor NodeScope::TakeTensor(const std::string& name) {
  return onnx_io::TakeTensor(FindAttribute(name)->t(), builder_.large_tensors());
}

absl::Status NodeScope::RequireAllAttributesRead() const {
  for (const ::onnx::AttributeProto& attribute : proto_.attribute()) {
    if (!asked_->contains(attribute.name())) {
      return Unimplemented("attribute " + Quoted(attribute.name()) + " is not known");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> NodeScope::Axis(int64_t axis, size_t rank) const {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return Invalid("axis " + std::to_string(axis) + " is out of range for " + std::to_string(rank) + " dimensions");
  }
  return axis < 0 ? axis + signed_rank : axis;
}

absl::StatusOr<std::vector<int64_t>> NodeScope::Axes(std::vector<int64_t> axes, size_t rank) const {
  for (int64_t& axis : axes) {
    ASSIGN_OR_RETURN(axis, Axis(axis, rank));
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    return Invalid("an axis is given twice");
  }
  return axes;
}

absl::StatusOr<Shape> NodeScope::MakeShape(std::vector<int64_t> dims) const {
  absl::StatusOr<Shape> shape = Shape::Create(std::move(dims));
  if (!shape.ok()) {
    return Invalid(std::string(shape.status().message()));
  }
  return shape;
}

absl::Status NodeScope::Invalid(const std::string& text) const {
  return absl::InvalidArgumentError(NodeLabel(proto_) + ": " + text);
}

absl::Status NodeScope::Unimplemented(const std::string& text) const {
  return absl::UnimplementedError(NodeLabel(proto_) + ": " + text);
}

void NodeScope::SkipShapeInference() { builder_.SkipShapeInference(); }

absl::Status NodeScope::CheckFoldable(const Shape& shape, DataType type) const {
  return builder_.CheckFoldable(NodeLabel(proto_), shape, type);
}

absl::Status NodeScope::ChargeIndices(size_t count) {
  ASSIGN_OR_RETURN(const Shape shape, MakeShape({static_cast<int64_t>(count)}));
  return builder_.ChargeFolded(NodeLabel(proto_), shape, DataType::kInt64);
}

}  // namespace shoji::graph::onnx_io
