// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Builds small graphs by hand, with random weights.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lib/graph/graph.h"

namespace shoji::execution {

inline Tensor RandomTensor(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  Tensor out(DataType::kFloat32, shape);
  for (float& value : out.mutable_values<float>()) {
    value = uniform(generator);
  }
  return out;
}

class GraphBuilder {
 public:
  graph::ValueId Value(const Shape& shape) {
    graph::Value value;
    value.name = "v" + std::to_string(graph_.values.size());
    value.shape = shape;
    graph_.values.push_back(std::move(value));
    return static_cast<graph::ValueId>(graph_.values.size() - 1);
  }
  graph::ValueId Input(const Shape& shape) {
    graph_.inputs.push_back(Value(shape));
    return graph_.inputs.back();
  }
  graph::ValueId Constant(Tensor tensor) {
    const graph::ValueId id = Value(tensor.shape());
    graph_.values[id].constant = std::make_shared<const Tensor>(std::move(tensor));
    return id;
  }
  graph::ValueId Weight(const Shape& shape) {
    return Constant(RandomTensor(shape, static_cast<unsigned>(graph_.values.size())));
  }
  graph::ValueId Node(graph::Op op, std::vector<graph::ValueId> inputs, const Shape& output,
                      graph::Attributes attributes = {}) {
    const graph::ValueId out = Value(output);
    graph::Node node;
    node.name = "n" + std::to_string(graph_.nodes.size());
    node.op_type = graph::NameOf(op);
    node.op = op;
    node.attributes = std::move(attributes);
    node.inputs = std::move(inputs);
    node.outputs = {out};
    graph_.nodes.push_back(std::move(node));
    return out;
  }
  // A convolution that keeps height and width; kernel odd.
  graph::ValueId Conv(graph::ValueId x, int64_t out_channels, int64_t kernel, int64_t group = 1) {
    const Shape in = shape(x);
    graph::ConvAttributes attributes;
    attributes.kernel = {kernel, kernel};
    attributes.pads = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
    attributes.group = group;
    return Node(graph::Op::kConv,
                {x, Weight(Shape({out_channels, in[1] / group, kernel, kernel})), Weight(Shape({out_channels}))},
                Shape({in[0], out_channels, in[2], in[3]}), attributes);
  }
  void Output(graph::ValueId value) { graph_.outputs.push_back(value); }

  Shape shape(graph::ValueId value) const { return graph_.values[value].shape; }
  graph::Graph& graph() { return graph_; }

 private:
  graph::Graph graph_;
};

}  // namespace shoji::execution
