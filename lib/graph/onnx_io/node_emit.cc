// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How a normalizer answers: the second half of NodeScope.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/builder.h"
#include "lib/graph/onnx_io/evaluate.h"
#include "lib/graph/onnx_io/node_scope.h"

namespace shoji::graph::onnx_io {

absl::StatusOr<std::optional<Tensor>> NodeScope::Fold(Op op, const Attributes& attributes, const Shape& shape,
                                                      const std::vector<KnownValue*>& inputs) const {
  std::vector<const Tensor*> constants;
  for (const KnownValue* value : inputs) {
    if (value == nullptr || value->constant == nullptr) {
      return std::optional<Tensor>();
    }
    constants.push_back(value->constant.get());
  }
  if (constants.empty() || !CanEvaluate(op, constants[0]->type())) {
    return std::optional<Tensor>();
  }
  RETURN_IF_ERROR(CheckFoldable(shape, constants[0]->type()));
  absl::StatusOr<Tensor> folded = Evaluate(op, attributes, constants, shape);
  if (!folded.ok()) {
    return Invalid(std::string(folded.status().message()));
  }
  return std::optional<Tensor>(*std::move(folded));
}

absl::Status NodeScope::EmitNode(const std::string& name, const std::string& step_of, const std::string& output, Op op,
                                 Attributes attributes, Shape shape, const std::vector<KnownValue*>& inputs) {
  Node node;
  node.name = name;
  node.op_type = proto_.op_type();
  node.step_of = step_of;
  node.op = op;
  node.attributes = std::move(attributes);
  return builder_.AddNode(NodeLabel(proto_), std::move(node), inputs, output, std::move(shape)).status();
}

absl::Status NodeScope::Emit(Op op, Attributes attributes, Shape shape, size_t num_inputs) {
  const auto count = static_cast<ptrdiff_t>(std::min(num_inputs, inputs_.size()));
  return EmitLast(op, std::move(attributes), std::move(shape), {inputs_.begin(), inputs_.begin() + count});
}

absl::StatusOr<KnownValue*> NodeScope::EmitStep(const std::string& suffix, Op op, Attributes attributes, Shape shape,
                                                const std::vector<KnownValue*>& inputs) {
  ASSIGN_OR_RETURN(std::optional<Tensor> folded, Fold(op, attributes, shape, inputs));
  if (folded.has_value()) {
    return NewConstant(suffix, *std::move(folded));
  }
  const std::string output = builder_.UniqueName(proto_.output(0) + "/" + suffix);
  RETURN_IF_ERROR(EmitNode(builder_.UniqueName(NodeName(proto_) + "/" + suffix), NodeName(proto_), output, op,
                           std::move(attributes), std::move(shape), inputs));
  return builder_.Find(output);
}

absl::Status NodeScope::EmitLast(Op op, Attributes attributes, Shape shape, const std::vector<KnownValue*>& inputs) {
  ASSIGN_OR_RETURN(std::optional<Tensor> folded, Fold(op, attributes, shape, inputs));
  if (folded.has_value()) {
    return Define(*std::move(folded));
  }
  return EmitNode(NodeName(proto_), "", proto_.output(0), op, std::move(attributes), std::move(shape), inputs);
}

absl::Status NodeScope::EmitOutput(size_t i, Op op, Attributes attributes, Shape shape,
                                   const std::vector<KnownValue*>& inputs) {
  const std::string& output = proto_.output(static_cast<int>(i));
  if (output.empty()) {
    return absl::OkStatus();
  }
  if (i == 0) {
    return EmitLast(op, std::move(attributes), std::move(shape), inputs);
  }
  ASSIGN_OR_RETURN(std::optional<Tensor> folded, Fold(op, attributes, shape, inputs));
  if (folded.has_value()) {
    return builder_.AddFolded(NodeLabel(proto_), output, *std::move(folded));
  }
  const std::string name = builder_.UniqueName(NodeName(proto_) + "/output" + std::to_string(i));
  return EmitNode(name, NodeName(proto_), output, op, std::move(attributes), std::move(shape), inputs);
}

absl::StatusOr<KnownValue*> NodeScope::StepUnary(const std::string& suffix, Op op, KnownValue* x,
                                                 Attributes attributes) {
  return EmitStep(suffix, op, std::move(attributes), x->shape, {x});
}

absl::StatusOr<KnownValue*> NodeScope::StepBinary(const std::string& suffix, Op op, KnownValue* a, KnownValue* b) {
  absl::StatusOr<Shape> shape = BroadcastShape(a->shape, b->shape);
  if (!shape.ok()) {
    return Invalid(std::string(shape.status().message()));
  }
  return EmitStep(suffix, op, {}, *std::move(shape), {a, b});
}

absl::Status NodeScope::LastBinary(Op op, KnownValue* a, KnownValue* b) {
  absl::StatusOr<Shape> shape = BroadcastShape(a->shape, b->shape);
  if (!shape.ok()) {
    return Invalid(std::string(shape.status().message()));
  }
  return EmitLast(op, {}, *std::move(shape), {a, b});
}

absl::StatusOr<KnownValue*> NodeScope::NewConstant(const std::string& suffix, Tensor tensor) {
  const std::string name = builder_.UniqueName(proto_.output(0) + "/" + suffix);
  RETURN_IF_ERROR(builder_.AddFolded(NodeLabel(proto_), name, std::move(tensor)));
  return builder_.Find(name);
}

absl::StatusOr<KnownValue*> NodeScope::NewScalar(const std::string& suffix, float value) {
  return NewConstant(suffix, Tensor::Of<float>(Shape(), std::span(&value, 1)));
}

absl::Status NodeScope::Define(Tensor tensor) {
  RETURN_IF_ERROR(builder_.AddFolded(NodeLabel(proto_), proto_.output(0), std::move(tensor)));
  builder_.AddFoldedNode(NodeName(proto_));
  return absl::OkStatus();
}

absl::Status NodeScope::Alias(KnownValue* value) {
  // An output of the graph keeps its name: there a node that changes nothing stays, as a copy.
  if (builder_.IsOutput(proto_.output(0)) && value->constant == nullptr && value->quantized == nullptr) {
    return EmitLast(Op::kReshape, {}, value->shape, {value});
  }
  builder_.AddAlias(proto_.output(0), value);
  builder_.AddFoldedNode(NodeName(proto_));
  return absl::OkStatus();
}

void NodeScope::DefineSequence(std::vector<KnownValue*> elements) {
  builder_.AddSequence(proto_.output(0), std::move(elements));
  builder_.AddFoldedNode(NodeName(proto_));
}

absl::Status NodeScope::DefineQuantized(const FakeQuantizeAttributes& step, KnownValue* source) {
  builder_.AddQuantized(proto_.output(0), {step, source, nullptr});
  builder_.AddFoldedNode(NodeName(proto_));
  return absl::OkStatus();
}

absl::Status NodeScope::QuantizeOutput(const FakeQuantizeAttributes& step) {
  KnownValue* source = builder_.Find(proto_.output(0));
  if (source->constant != nullptr) {
    return Unimplemented("an operator of constants alone is not supported");
  }
  builder_.AddQuantized(proto_.output(0), {step, source, nullptr});
  return absl::OkStatus();
}

absl::StatusOr<KnownValue*> NodeScope::RealsOf(KnownValue& value) {
  QuantizedForm& form = *value.quantized;
  if (form.reals == nullptr) {
    const std::string output = builder_.UniqueName(value.name + "/reals");
    RETURN_IF_ERROR(EmitNode(builder_.UniqueName(value.name + "/quantize"), "", output, Op::kFakeQuantize, form.step,
                             value.shape, {form.source}));
    form.reals = builder_.Find(output);
  }
  return form.reals;
}

absl::Status NodeScope::EmitReals(KnownValue& value) {
  QuantizedForm& form = *value.quantized;
  if (form.reals != nullptr) {
    return Alias(form.reals);
  }
  RETURN_IF_ERROR(EmitLast(Op::kFakeQuantize, form.step, value.shape, {form.source}));
  form.reals = builder_.Find(proto_.output(0));
  return absl::OkStatus();
}

absl::Status NodeScope::MarkQuantized(const QuantizedForm& form) {
  for (int i = 0; i < proto_.output_size(); ++i) {
    if (!proto_.output(i).empty() && builder_.Find(proto_.output(i)) != nullptr) {
      MarkOutput(static_cast<size_t>(i), form);
    }
  }
  return absl::OkStatus();
}

KnownValue* NodeScope::MarkOutput(size_t i, const QuantizedForm& form) {
  const std::string& output = proto_.output(static_cast<int>(i));
  QuantizedForm own = form;
  own.source = nullptr;
  own.reals = builder_.Find(output);
  builder_.AddQuantized(output, own);
  return builder_.Find(output);
}

}  // namespace shoji::graph::onnx_io
