// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/graph/onnx_io/large_tensors.h"
#include "lib/graph/onnx_io/node_scope.h"

namespace shoji::graph::onnx_io {

struct BuilderLimits {
  int64_t max_tensor_bytes = 0;   // of any one value
  uint64_t max_folded_bytes = 0;  // of all the constants that folding makes
};

// Collects the values and nodes of a graph during import. Values get their number when a node first uses them, so that
// what folding made superfluous never enters. Thread-compatible.
class GraphBuilder {
 public:
  // `names` are all the value and node names of the file, which invented names avoid; `outputs` those of the graph's
  // outputs, which stay.
  GraphBuilder(BuilderLimits limits, std::unordered_set<std::string> names, std::vector<std::string> outputs,
               LargeTensors large = LargeTensors());
  GraphBuilder(const GraphBuilder&) = delete;
  GraphBuilder& operator=(const GraphBuilder&) = delete;

  // What the large tensors of the file hold that nobody has taken yet.
  LargeTensors& large_tensors() { return large_tensors_; }

  absl::Status AddInput(const std::string& name, Shape shape);
  void AddConstant(const std::string& name, Tensor tensor);
  // Like AddConstant, for a constant that folding made: RESOURCE_EXHAUSTED over the limits. `label` begins the message.
  absl::Status AddFolded(const std::string& label, const std::string& name, Tensor tensor);
  // Whether libonnx's shape inference knows the rules that the graph's shapes follow.
  void SkipShapeInference() { skips_shape_inference_ = true; }
  bool skips_shape_inference() const { return skips_shape_inference_; }

  // `name` is another name of `value`.
  void AddAlias(const std::string& name, KnownValue* value);
  // `name` is a value of integers for which `form` stands.
  void AddQuantized(const std::string& name, const QuantizedForm& form);
  // `name` is a sequence of tensors.
  void AddSequence(const std::string& name, std::vector<KnownValue*> elements);
  // Whoever needs `name` is refused with `refusal`.
  void AddRefused(const std::string& name, std::shared_ptr<const Refusal> refusal);
  bool IsOutput(const std::string& name) const;
  // Null when no node or input defined it.
  KnownValue* Find(const std::string& name);

  // Whether folding may still make a constant of `shape`.
  absl::Status CheckFoldable(const std::string& label, const Shape& shape, DataType type) const;
  // Counts a constant of `shape` that a node keeps as an attribute.
  absl::Status ChargeFolded(const std::string& label, const Shape& shape, DataType type);

  // Adds a node whose one output is a new float32 value called `output`, and returns that value. RESOURCE_EXHAUSTED
  // when it is too large, INVALID_ARGUMENT when it is empty, UNIMPLEMENTED when an input is not float32.
  absl::StatusOr<KnownValue*> AddNode(const std::string& label, Node node, const std::vector<KnownValue*>& inputs,
                                      const std::string& output, Shape shape);
  // The node `name` left no trace; the next one added comes after it.
  void AddFoldedNode(const std::string& name);
  // The node `name` was replaced by those that were added when there were [first, end) nodes.
  void AddReplacedNode(const std::string& name, size_t first, size_t end) {
    graph_.folded.push_back({name, first, end});
  }
  size_t num_nodes() const { return graph_.nodes.size(); }
  // `wanted`, or a variant of it that no value or node of the file has.
  std::string UniqueName(const std::string& wanted);

  // The graph; nodes that no output depends on are dropped. Call once, last.
  absl::StatusOr<Graph> Finish(const std::string& name);

 private:
  KnownValue* NewValue(const std::string& name);
  ValueId Use(KnownValue& value);

  const BuilderLimits limits_;
  LargeTensors large_tensors_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, int> variants_;  // of a name that was wanted more than once, the next one's number
  const std::vector<std::string> outputs_;
  const std::unordered_set<std::string> output_names_;
  std::deque<KnownValue> values_;
  std::unordered_map<std::string, KnownValue*> by_name_;
  uint64_t folded_bytes_ = 0;
  bool skips_shape_inference_ = false;
  Graph graph_;
};

}  // namespace shoji::graph::onnx_io
