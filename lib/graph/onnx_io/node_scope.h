// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/tensor/tensor.h"

namespace onnx {
class AttributeProto;
class NodeProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

class GraphBuilder;

// The name a node goes by: its own, or that of its first output.
const std::string& NodeName(const ::onnx::NodeProto& node);
// "node `name` (Conv)", the beginning of every message about it.
std::string NodeLabel(const ::onnx::NodeProto& node);

struct KnownValue;

// A node that cannot be imported, whose output may still turn out to matter to nothing.
struct Refusal {
  std::string node;  // its label
  absl::Status status;
};

// What stands for a value that is 8-bit integers in the file: the float32 numbers that they mean.
struct QuantizedForm {
  FakeQuantizeAttributes step;
  KnownValue* source = nullptr;  // what is quantized
  KnownValue* reals = nullptr;   // the result, once a node makes it
  // Of DynamicQuantizeLinear: the value of its zero point. `reals` are the integers less it then, and `step` is 1.
  KnownValue* zero_point = nullptr;

  bool SameMeaning(const QuantizedForm& other) const { return step == other.step && zero_point == other.zero_point; }
};

// Integers of more than 8 bits, the sums of products of integers: a step for QuantizedForm.
inline constexpr FakeQuantizeAttributes kSums = {1, 0, INT32_MIN, INT32_MAX};

// A value as import knows it: always its type and shape, for constants also what it holds.
struct KnownValue {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape;
  std::shared_ptr<const Tensor> constant;
  ValueId id = kNoValue;                     // in the graph being built; given when a node first uses it
  std::shared_ptr<QuantizedForm> quantized;  // of an activation that is integers; it never enters the graph itself
  // Of a sequence: the tensors that it holds. It never enters the graph itself, and all else about it is empty.
  std::shared_ptr<const std::vector<KnownValue*>> sequence;
  // Of what a refused node would make, or follows from it: all else about it is empty.
  std::shared_ptr<const Refusal> refusal;
};

// What a normalizer sees of one node of the file, and how it answers: with exactly one of Emit, EmitLast, Define,
// Alias, DefineSequence and DefineQuantized for the first output, or with an error. Lives for one call.
// Thread-compatible.
class NodeScope {
 public:
  // `inputs` has a null for each absent optional input. All arguments outlive the scope.
  NodeScope(const ::onnx::NodeProto& proto, int64_t opset, std::vector<KnownValue*> inputs, GraphBuilder& builder);

  const std::string& op_type() const;
  const std::string& domain() const;
  int64_t opset() const { return opset_; }
  size_t num_outputs() const;
  bool HasOutput(size_t i) const;
  // The same node as if it had other inputs; an attribute that it is asked for counts as asked for here.
  NodeScope WithInputs(std::vector<KnownValue*> inputs) const;

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
  // Whether input `i` is a constant of one element.
  bool IsScalar(size_t i) const;

  bool has_attribute(const std::string& name) const { return FindAttribute(name) != nullptr; }
  absl::StatusOr<int64_t> Int(const std::string& name, int64_t absent) const;
  absl::StatusOr<float> Float(const std::string& name, float absent) const;
  absl::StatusOr<std::string> String(const std::string& name, const std::string& absent) const;
  absl::StatusOr<std::vector<int64_t>> Ints(const std::string& name, const std::vector<int64_t>& absent) const;
  absl::StatusOr<std::vector<float>> Floats(const std::string& name) const;
  bool has_tensor(const std::string& name) const;
  // The tensor of an attribute, once; requires has_tensor(name).
  Tensor TakeTensor(const std::string& name);
  // The attribute changes nothing that matters at inference.
  void Ignore(const std::string& name) const { (void)FindAttribute(name); }
  // UNIMPLEMENTED names an attribute that no call above has asked for.
  absl::Status RequireAllAttributesRead() const;

  // `axis` counted from the front; INVALID_ARGUMENT when it is not one of `rank` axes.
  absl::StatusOr<int64_t> Axis(int64_t axis, size_t rank) const;
  // Axes sorted, each once.
  absl::StatusOr<std::vector<int64_t>> Axes(std::vector<int64_t> axes, size_t rank) const;
  // A shape computed by this node.
  absl::StatusOr<Shape> MakeShape(std::vector<int64_t> dims) const;

  absl::Status Invalid(const std::string& text) const;
  absl::Status Unimplemented(const std::string& text) const;

  // The shape of this node's output is not what libonnx infers: its word on this graph is not asked for.
  void SkipShapeInference();

  // RESOURCE_EXHAUSTED when folding may not make a constant of this size any more; before it is made.
  absl::Status CheckFoldable(const Shape& shape, DataType type) const;
  // The same for `count` integers that the node keeps as an attribute, which are counted.
  absl::Status ChargeIndices(size_t count);

  // The node computes `op` of the inputs [0, num_inputs): a node of the graph, or a constant when all inputs are
  // constant and `op` can be folded.
  absl::Status Emit(Op op, Attributes attributes, Shape shape, size_t num_inputs);
  // One step of several: computes `op` of `inputs` into a new value, whose node is called "<name>/<suffix>"; folded as
  // with Emit.
  absl::StatusOr<KnownValue*> EmitStep(const std::string& suffix, Op op, Attributes attributes, Shape shape,
                                       const std::vector<KnownValue*>& inputs);
  // The last of several steps, under the node's own name and into its first output.
  absl::Status EmitLast(Op op, Attributes attributes, Shape shape, const std::vector<KnownValue*>& inputs);
  // For a node with several outputs, in their order: output `i` is `op` of `inputs`. The first has the node's own name.
  absl::Status EmitOutput(size_t i, Op op, Attributes attributes, Shape shape, const std::vector<KnownValue*>& inputs);
  // Steps on elements: of one operand, and of two that broadcast.
  absl::StatusOr<KnownValue*> StepUnary(const std::string& suffix, Op op, KnownValue* x, Attributes attributes = {});
  absl::StatusOr<KnownValue*> StepBinary(const std::string& suffix, Op op, KnownValue* a, KnownValue* b);
  absl::Status LastBinary(Op op, KnownValue* a, KnownValue* b);
  // A constant of this node's own making.
  absl::StatusOr<KnownValue*> NewConstant(const std::string& suffix, Tensor tensor);
  absl::StatusOr<KnownValue*> NewScalar(const std::string& suffix, float value);
  // The first output is the constant `tensor`.
  absl::Status Define(Tensor tensor);
  // The first output is input 0 itself, or `value`.
  absl::Status Alias() { return Alias(inputs_[0]); }
  absl::Status Alias(KnownValue* value);

  // The first output is a sequence.
  void DefineSequence(std::vector<KnownValue*> elements);

  // The first output is `source`, a float32 value, in the 8 bits of `step`.
  absl::Status DefineQuantized(const FakeQuantizeAttributes& step, KnownValue* source);
  // Makes integers under `step` of the first output, which a node makes already.
  absl::Status QuantizeOutput(const FakeQuantizeAttributes& step);
  // The numbers that the integers of `value` mean; requires value.quantized.
  absl::StatusOr<KnownValue*> RealsOf(KnownValue& value);
  // The last step: the same into the first output.
  absl::Status EmitReals(KnownValue& value);
  // Makes integers, in `form` but for what they mean, of every output of this node that is there, after a normalizer
  // that gave it numbers.
  absl::Status MarkQuantized(const QuantizedForm& form);
  // The same of output `i`, which is there; it is returned.
  KnownValue* MarkOutput(size_t i, const QuantizedForm& form);

  // All the node's inputs, for EmitStep and EmitLast.
  const std::vector<KnownValue*>& inputs() const { return inputs_; }

 private:
  const ::onnx::AttributeProto* FindAttribute(const std::string& name) const;
  // `op` of `inputs`, if all are constant and it can be folded.
  absl::StatusOr<std::optional<Tensor>> Fold(Op op, const Attributes& attributes, const Shape& shape,
                                             const std::vector<KnownValue*>& inputs) const;
  absl::Status EmitNode(const std::string& name, const std::string& step_of, const std::string& output, Op op,
                        Attributes attributes, Shape shape, const std::vector<KnownValue*>& inputs);

  const ::onnx::NodeProto& proto_;
  const int64_t opset_;
  std::vector<KnownValue*> inputs_;
  GraphBuilder& builder_;
  // The attributes that were looked for, by the same node with other inputs too.
  std::shared_ptr<std::unordered_set<std::string>> asked_ = std::make_shared<std::unordered_set<std::string>>();
};

}  // namespace shoji::graph::onnx_io
