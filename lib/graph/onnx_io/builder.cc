// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/builder.h"

#include <memory>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

absl::Status CheckSize(const std::string& label, const Shape& shape, DataType type, int64_t max_bytes) {
  if (shape.num_elements() > static_cast<uint64_t>(max_bytes) / SizeOf(type)) {
    return absl::ResourceExhaustedError(label + ": shape " + shape.ToString() + " exceeds the limit of " +
                                        std::to_string(max_bytes) + " bytes for a tensor");
  }
  return absl::OkStatus();
}

}  // namespace

GraphBuilder::GraphBuilder(BuilderLimits limits, std::unordered_set<std::string> names,
                           std::vector<std::string> outputs, LargeTensors large)
    : limits_(limits),
      large_tensors_(std::move(large)),
      names_(std::move(names)),
      outputs_(std::move(outputs)),
      output_names_(outputs_.begin(), outputs_.end()) {}

bool GraphBuilder::IsOutput(const std::string& name) const { return output_names_.contains(name); }

KnownValue* GraphBuilder::NewValue(const std::string& name) {
  values_.emplace_back();
  values_.back().name = name;
  by_name_[name] = &values_.back();
  return &values_.back();
}

absl::Status GraphBuilder::AddInput(const std::string& name, Shape shape) {
  RETURN_IF_ERROR(CheckSize("input " + Quoted(name), shape, DataType::kFloat32, limits_.max_tensor_bytes));
  KnownValue* value = NewValue(name);
  value->shape = std::move(shape);
  graph_.inputs.push_back(Use(*value));
  return absl::OkStatus();
}

void GraphBuilder::AddConstant(const std::string& name, Tensor tensor) {
  KnownValue* value = NewValue(name);
  value->type = tensor.type();
  value->shape = tensor.shape();
  value->constant = std::make_shared<const Tensor>(std::move(tensor));
}

absl::Status GraphBuilder::CheckFoldable(const std::string& label, const Shape& shape, DataType type) const {
  RETURN_IF_ERROR(CheckSize(label, shape, type, limits_.max_tensor_bytes));
  if (shape.num_elements() * SizeOf(type) > limits_.max_folded_bytes - folded_bytes_) {
    return absl::ResourceExhaustedError(label + ": folding constants of the file exceeds the limit of " +
                                        std::to_string(limits_.max_folded_bytes) + " bytes");
  }
  return absl::OkStatus();
}

absl::Status GraphBuilder::ChargeFolded(const std::string& label, const Shape& shape, DataType type) {
  RETURN_IF_ERROR(CheckFoldable(label, shape, type));
  folded_bytes_ += shape.num_elements() * SizeOf(type);
  return absl::OkStatus();
}

absl::Status GraphBuilder::AddFolded(const std::string& label, const std::string& name, Tensor tensor) {
  RETURN_IF_ERROR(ChargeFolded(label, tensor.shape(), tensor.type()));
  AddConstant(name, std::move(tensor));
  return absl::OkStatus();
}

void GraphBuilder::AddAlias(const std::string& name, KnownValue* value) { by_name_[name] = value; }

void GraphBuilder::AddQuantized(const std::string& name, const QuantizedForm& form) {
  const Shape shape = (form.reals != nullptr ? form.reals : form.source)->shape;
  KnownValue* value = NewValue(name);
  value->type = form.step == kSums ? DataType::kInt32 : form.step.low < 0 ? DataType::kInt8 : DataType::kUint8;
  value->shape = shape;
  value->quantized = std::make_shared<QuantizedForm>(form);
}

void GraphBuilder::AddSequence(const std::string& name, std::vector<KnownValue*> elements) {
  NewValue(name)->sequence = std::make_shared<const std::vector<KnownValue*>>(std::move(elements));
}

void GraphBuilder::AddRefused(const std::string& name, std::shared_ptr<const Refusal> refusal) {
  NewValue(name)->refusal = std::move(refusal);
}

KnownValue* GraphBuilder::Find(const std::string& name) {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

ValueId GraphBuilder::Use(KnownValue& value) {
  if (value.id == kNoValue) {
    value.id = static_cast<ValueId>(graph_.values.size());
    graph_.values.push_back({value.name, value.type, value.shape, value.constant});
  }
  return value.id;
}

absl::StatusOr<KnownValue*> GraphBuilder::AddNode(const std::string& label, Node node,
                                                  const std::vector<KnownValue*>& inputs, const std::string& output,
                                                  Shape shape) {
  if (shape.num_elements() == 0) {
    return absl::InvalidArgumentError(label + ": its output of shape " + shape.ToString() + " has no elements");
  }
  RETURN_IF_ERROR(CheckSize(label, shape, DataType::kFloat32, limits_.max_tensor_bytes));
  for (KnownValue* input : inputs) {
    if (input == nullptr) {
      node.inputs.push_back(kNoValue);
      continue;
    }
    if (input->type != DataType::kFloat32) {
      return absl::UnimplementedError(label + ": reads " + Quoted(input->name) + " of type " +
                                      std::string(shoji::NameOf(input->type)) +
                                      "; only float32 is supported outside constant shape arithmetic");
    }
    if (input->shape.num_elements() == 0) {
      return absl::InvalidArgumentError(label + ": reads " + Quoted(input->name) + ", which has no elements");
    }
    node.inputs.push_back(Use(*input));
  }
  KnownValue* value = NewValue(output);
  value->shape = std::move(shape);
  node.outputs.push_back(Use(*value));
  graph_.nodes.push_back(std::move(node));
  return value;
}

void GraphBuilder::AddFoldedNode(const std::string& name) { graph_.folded.push_back({name, graph_.nodes.size()}); }

std::string GraphBuilder::UniqueName(const std::string& wanted) {
  std::string name = wanted;
  while (!names_.insert(name).second) {
    name = wanted + "_" + std::to_string(variants_.emplace(wanted, 2).first->second++);
  }
  return name;
}

absl::StatusOr<Graph> GraphBuilder::Finish(const std::string& name) {
  graph_.name = name;
  const std::unordered_set<ValueId> inputs(graph_.inputs.begin(), graph_.inputs.end());
  for (const std::string& output : outputs_) {
    KnownValue* value = Find(output);
    if (value == nullptr) {
      return absl::UnimplementedError("output " + Quoted(output) + ": this output of its node is not supported");
    }
    if (value->refusal != nullptr) {
      return value->refusal->status;
    }
    if (value->sequence != nullptr) {
      return absl::UnimplementedError("output " + Quoted(output) + ": only tensors are supported as outputs");
    }
    if (value->constant != nullptr) {
      return absl::UnimplementedError("output " + Quoted(output) + ": it does not depend on the input");
    }
    if (value->quantized != nullptr) {
      return absl::UnimplementedError("output " + Quoted(output) +
                                      ": it holds integers; only outputs of float32 are supported");
    }
    if (inputs.contains(value->id)) {
      return absl::UnimplementedError("output " + Quoted(output) + ": it is an input");
    }
    graph_.outputs.push_back(Use(*value));
  }
  RemoveNodes(graph_, LiveNodes(graph_));
  RemoveUnusedValues(graph_);
  return std::move(graph_);
}

}  // namespace shoji::graph::onnx_io
