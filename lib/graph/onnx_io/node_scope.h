// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/tensor/tensor.h"

namespace onnx {
class AttributeProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

class GraphBuilder;

// The name a node goes by: its own, or that of its first output.
const std::string& NodeName(const ::onnx::NodeProto& node);
// "node `name` (Conv)", the beginning of every message about it.
std::string NodeLabel(const ::onnx::NodeProto& node);

// A value as import knows it: always its type and shape, for constants also what it holds.
struct KnownValue {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape;
  std::shared_ptr<const Tensor> constant;
  ValueId id = kNoValue;  // in the graph being built; given when a node first uses it
};

// What a normalizer sees of one node of the file, and how it answers: with exactly one of Emit, Define and Alias for
// the first output, or with an error. Lives for one call. Thread-compatible.
class NodeScope {
 public:
  // `inputs` has a null for each absent optional input. All arguments outlive the scope.
  NodeScope(const ::onnx::NodeProto& proto, int64_t opset, std::vector<KnownValue*> inputs, GraphBuilder& builder);

  const std::string& op_type() const;
  int64_t opset() const { return opset_; }

  size_t num_inputs() const { return inputs_.size(); }
  bool has_input(size_t i) const { return i < inputs_.size() && inputs_[i] != nullptr; }
  // Requires has_input(i).
  const KnownValue& input(size_t i) const { return *inputs_[i]; }
  const Shape& shape(size_t i) const { return inputs_[i]->shape; }
  // INVALID_ARGUMENT unless the first `count` inputs are there.
  absl::Status RequireInputs(size_t count) const;
  // The integers of a constant input; UNIMPLEMENTED when it is not constant.
  absl::StatusOr<std::vector<int64_t>> ConstantInts(size_t i) const;
  // The single float of a constant input.
  absl::StatusOr<float> ConstantFloat(size_t i) const;

  bool has_attribute(const std::string& name) const { return FindAttribute(name) != nullptr; }
  absl::StatusOr<int64_t> Int(const std::string& name, int64_t absent) const;
  absl::StatusOr<float> Float(const std::string& name, float absent) const;
  absl::StatusOr<std::string> String(const std::string& name, const std::string& absent) const;
  absl::StatusOr<std::vector<int64_t>> Ints(const std::string& name, const std::vector<int64_t>& absent) const;
  absl::StatusOr<std::vector<float>> Floats(const std::string& name) const;
  // Null when absent.
  const ::onnx::TensorProto* TensorAttribute(const std::string& name) const;

  // `axis` counted from the front; INVALID_ARGUMENT when it is not one of `rank` axes.
  absl::StatusOr<int64_t> Axis(int64_t axis, size_t rank) const;
  // Axes sorted, each once.
  absl::StatusOr<std::vector<int64_t>> Axes(std::vector<int64_t> axes, size_t rank) const;
  // A shape computed by this node.
  absl::StatusOr<Shape> MakeShape(std::vector<int64_t> dims) const;

  absl::Status Invalid(const std::string& text) const;
  absl::Status Unimplemented(const std::string& text) const;

  // RESOURCE_EXHAUSTED when folding may not make a constant of this size any more; before it is made.
  absl::Status CheckFoldable(const Shape& shape, DataType type) const;

  // The node computes `op` of the inputs [0, num_inputs): a node of the graph, or a constant when all inputs are
  // constant and `op` can be folded.
  absl::Status Emit(Op op, Attributes attributes, Shape shape, size_t num_inputs);
  // One step of several: computes `op` of `inputs` into a new value, whose node is called "<name>/<suffix>".
  absl::StatusOr<KnownValue*> EmitStep(const std::string& suffix, Op op, Attributes attributes, Shape shape,
                                       const std::vector<KnownValue*>& inputs);
  // The last of several steps, under the node's own name and into its first output.
  absl::Status EmitLast(Op op, Attributes attributes, Shape shape, const std::vector<KnownValue*>& inputs);
  // The first output is the constant `tensor`.
  absl::Status Define(Tensor tensor);
  // The first output is input 0 itself.
  absl::Status Alias();

  // All the node's inputs, for EmitStep and EmitLast.
  const std::vector<KnownValue*>& inputs() const { return inputs_; }

 private:
  const ::onnx::AttributeProto* FindAttribute(const std::string& name) const;

  const ::onnx::NodeProto& proto_;
  const int64_t opset_;
  const std::vector<KnownValue*> inputs_;
  GraphBuilder& builder_;
};

}  // namespace shoji::graph::onnx_io
