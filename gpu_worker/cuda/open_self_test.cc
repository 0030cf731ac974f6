// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_self_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gpu_worker/cpu/open_model.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

using graph::ConvAttributes;
using graph::FloatAttributes;
using graph::Op;
using graph::PoolAttributes;
using graph::ValueId;

constexpr CpuBackendOptions kLimits = {};

Tensor RandomTensor(const Shape& shape, uint32_t seed) {
  Tensor out(DataType::kFloat32, shape);
  uint32_t state = seed * 2654435761U;
  for (float& value : out.mutable_values<float>()) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator
    value = static_cast<float>(state >> 8) / (1 << 23) - 1;
  }
  return out;
}

// A network under construction, with random weights.
class Network {
 public:
  Shape shape(ValueId id) const { return graph_.values[id].shape; }
  ValueId Input(const Shape& shape) {
    graph_.inputs.push_back(NewValue(shape));
    return graph_.inputs.back();
  }
  ValueId Weight(const Shape& shape) {
    const ValueId id = NewValue(shape);
    graph_.values[id].constant = std::make_shared<const Tensor>(RandomTensor(shape, id));
    return id;
  }
  ValueId Node(Op op, std::vector<ValueId> inputs, const Shape& output, graph::Attributes attributes = {}) {
    const ValueId out = NewValue(output);
    graph::Node node;
    node.name = "node" + std::to_string(graph_.nodes.size());
    node.op_type = graph::NameOf(op);
    node.op = op;
    node.attributes = std::move(attributes);
    node.inputs = std::move(inputs);
    node.outputs = {out};
    graph_.nodes.push_back(std::move(node));
    return out;
  }
  // An operator on each element.
  ValueId Each(Op op, ValueId x, graph::Attributes attributes = {}) {
    return Node(op, {x}, shape(x), std::move(attributes));
  }
  // With bias.
  ValueId Conv(ValueId x, int64_t channels, const ConvAttributes& a) {
    const Shape in = shape(x);
    const ValueId w = Weight(Shape({channels, in[1] / a.group, a.kernel[0], a.kernel[1]}));
    return Node(Op::kConv, {x, w, Weight(Shape({channels}))},
                Shape({in[0], channels, Extent(in, a, 0), Extent(in, a, 1)}), a);
  }
  ValueId Pool(Op op, ValueId x, const PoolAttributes& a) {
    const Shape in = shape(x);
    return Node(op, {x}, Shape({in[0], in[1], Extent(in, a, 0), Extent(in, a, 1)}), a);
  }
  void Output(ValueId value) { graph_.outputs.push_back(value); }
  graph::Graph Take() { return std::move(graph_); }

 private:
  ValueId NewValue(const Shape& shape) {
    graph::Value value;
    value.name = "value" + std::to_string(graph_.values.size());
    value.shape = shape;
    graph_.values.push_back(std::move(value));
    return static_cast<ValueId>(graph_.values.size() - 1);
  }
  template <typename Window>
  static int64_t Extent(const Shape& input, const Window& a, size_t axis) {
    const int64_t span = (a.kernel[axis] - 1) * a.dilations[axis] + 1;
    return (input[axis + 2] + a.pads[axis] + a.pads[axis + 2] - span) / a.strides[axis] + 1;
  }

  graph::Graph graph_;
};

constexpr ConvAttributes k3x3 = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1};

// No size is a multiple of a tile's.
graph::Graph Convolutions() {
  Network n;
  const ValueId x = n.Input(Shape({1, 19, 13, 17}));
  n.Output(n.Each(Op::kRelu, n.Node(Op::kAdd, {n.Conv(x, 19, k3x3), x}, n.shape(x))));
  n.Output(n.Conv(x, 67, {{7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}, 1}));
  n.Output(n.Conv(x, 35, {{3, 2}, {1, 2}, {3, 4}, {2, 1, 4, 3}, 1}));
  n.Output(n.Conv(x, 70, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}));
  n.Output(n.Conv(x, 9, {{13, 17}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}));
  return n.Take();
}

// Some of whole vectors of four.
graph::Graph WideConvolutions() {
  Network n;
  const ValueId x = n.Input(Shape({1, 20, 19, 20}));
  n.Output(n.Each(Op::kRelu, n.Conv(x, 132, k3x3)));
  n.Output(n.Conv(x, 250, k3x3));
  n.Output(n.Conv(x, 132, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}));
  n.Output(n.Conv(x, 250, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}));
  return n.Take();
}

graph::Graph DeepConvolution() {
  Network n;
  const ValueId x = n.Input(Shape({1, 250, 5, 5}));
  n.Output(n.Each(Op::kClip, n.Node(Op::kAdd, {n.Conv(x, 250, k3x3), x}, n.shape(x)), FloatAttributes{0, 6}));
  return n.Take();
}

graph::Graph GroupedConvolutions() {
  Network n;
  const ValueId x = n.Input(Shape({1, 24, 15, 14}));
  n.Output(n.Conv(x, 24, {{3, 3}, {2, 2}, {1, 1}, {0, 0, 1, 1}, 24}));
  n.Output(n.Conv(x, 48, {{5, 5}, {1, 1}, {2, 2}, {4, 4, 4, 4}, 24}));
  n.Output(n.Conv(x, 30, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 6}));
  n.Output(n.Conv(x, 60, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3}));
  return n.Take();
}

ValueId Gemm(Network& n, ValueId a, int64_t columns) {
  const Shape in = n.shape(a);
  return n.Node(Op::kGemm, {a, n.Weight(Shape({columns, in[1]})), n.Weight(Shape({columns}))}, Shape({in[0], columns}),
                graph::GemmAttributes{0.5F, 2, false, true});
}

graph::Graph Products() {
  Network n;
  n.Output(n.Each(Op::kRelu, Gemm(n, n.Input(Shape({1, 301})), 77)));
  const ValueId row = n.Input(Shape({1, 300}));
  n.Output(Gemm(n, row, 78));
  n.Output(Gemm(n, row, 1030));
  const ValueId rows = n.Input(Shape({99, 101}));
  n.Output(Gemm(n, rows, 70));
  n.Output(n.Node(Op::kMatMul, {rows, n.Weight(Shape({101, 43}))}, Shape({99, 43})));
  n.Output(n.Node(Op::kMatMul, {n.Input(Shape({3, 70, 33})), n.Input(Shape({1, 33, 67}))}, Shape({3, 70, 67})));
  return n.Take();
}

graph::Graph Poolings() {
  Network n;
  const ValueId x = n.Input(Shape({1, 9, 13, 11}));
  n.Output(n.Each(Op::kRelu, n.Pool(Op::kMaxPool, x, {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, false})));
  n.Output(n.Pool(Op::kAveragePool, x, {{3, 2}, {2, 1}, {1, 1}, {1, 0, 1, 1}, false, false}));
  n.Output(n.Pool(Op::kAveragePool, x, {{3, 3}, {1, 2}, {1, 1}, {1, 1, 1, 1}, false, true}));
  n.Output(n.Node(Op::kGlobalAveragePool, {x}, Shape({1, 9, 1, 1})));
  n.Output(n.Node(Op::kReduceMax, {x}, Shape({1, 1, 13, 1}), graph::ReduceAttributes{{1, 3}, true}));
  return n.Take();
}

graph::Graph Elements() {
  Network n;
  const ValueId x = n.Input(Shape({1, 6, 5, 7}));
  const ValueId column = n.Input(Shape({6, 1, 1}));
  const ValueId sum = n.Node(Op::kAdd, {x, column}, n.shape(x));
  const ValueId silu = n.Node(Op::kMul, {sum, n.Each(Op::kSigmoid, sum)}, n.shape(x));
  n.Output(n.Each(Op::kClip, n.Each(Op::kHardSwish, silu), FloatAttributes{-0.2F, 0.9F}));
  n.Output(n.Node(Op::kSub, {n.Weight(Shape({7})), n.Each(Op::kTanh, x)}, n.shape(x)));
  n.Output(n.Node(Op::kDiv, {x, n.Each(Op::kExp, column)}, n.shape(x)));
  const ValueId w = n.Weight(Shape({6}));
  const ValueId variance = n.Weight(Shape({6}));
  n.Output(n.Node(Op::kBatchNorm, {x, w, w, w, variance}, n.shape(x), graph::BatchNormAttributes{2}));
  n.Output(n.Each(Op::kErf, n.Input(Shape({1, 64}))));
  n.Output(n.Each(Op::kFakeQuantize, x, graph::FakeQuantizeAttributes{1.0F / 32, 12, 0, 255}));
  return n.Take();
}

graph::Graph Arrangements() {
  Network n;
  const ValueId x = n.Input(Shape({1, 6, 5, 7}));
  const ValueId y = n.Each(Op::kRelu, n.Input(Shape({1, 6, 5, 7})));
  n.Output(n.Node(Op::kConcat, {x, y}, Shape({1, 12, 5, 7}), graph::AxisAttributes{1}));
  n.Output(n.Node(Op::kConcat, {y, x}, Shape({1, 6, 5, 14}), graph::AxisAttributes{3}));
  n.Output(n.Node(Op::kSoftmax, {x}, n.shape(x), graph::AxisAttributes{1}));
  n.Output(n.Node(Op::kSoftmax, {n.Input(Shape({2, 301}))}, Shape({2, 301}), graph::AxisAttributes{1}));
  n.Output(n.Node(Op::kLrn, {x}, n.shape(x), graph::LrnAttributes{3, 0.1F, 0.75F, 1}));
  n.Output(n.Node(Op::kTranspose, {x}, Shape({1, 7, 6, 5}), graph::TransposeAttributes{{0, 3, 1, 2}}));
  n.Output(n.Node(Op::kPad, {x}, Shape({1, 6, 8, 6}), graph::PadAttributes{{0, 0, 1, -1}, {0, 0, 2, 0}, 0.5F}));
  n.Output(n.Node(Op::kGather, {x}, Shape({1, 4, 5, 7}), graph::GatherAttributes{1, {5, 0, 2, 2}}));
  return n.Take();
}

std::vector<Tensor> InputsOf(const graph::Graph& graph, uint32_t seed) {
  std::vector<Tensor> out;
  for (const ValueId input : graph.inputs) {
    out.push_back(RandomTensor(graph.values[input].shape, 1000 * seed + input));
  }
  return out;
}

// The copies of both, one after the other.
std::vector<Tensor> Copies(std::span<const Tensor> first, std::span<const Tensor> second = {}) {
  std::vector<Tensor> out;
  for (const std::span<const Tensor> tensors : {first, second}) {
    std::transform(tensors.begin(), tensors.end(), std::back_inserter(out), [](const Tensor& t) { return t.Clone(); });
  }
  return out;
}

absl::Status CheckShapes(std::span<const Tensor> actual, std::span<const Tensor> expected) {
  const bool same = std::equal(actual.begin(), actual.end(), expected.begin(), expected.end(),
                               [](const Tensor& a, const Tensor& b) { return a.shape() == b.shape(); });
  return same ? absl::OkStatus() : absl::InternalError("outputs of other shapes");
}

absl::Status CheckClose(std::span<const Tensor> actual, std::span<const Tensor> expected) {
  constexpr float kTolerance = 1e-4F;  // other orders of the same sums
  RETURN_IF_ERROR(CheckShapes(actual, expected));
  for (size_t i = 0; i < expected.size(); ++i) {
    const std::span<const float> values = actual[i].values<float>();
    const std::span<const float> right = expected[i].values<float>();
    float largest = 0;
    for (const float value : right) {
      largest = std::max(largest, std::abs(value));
    }
    for (size_t j = 0; j < right.size(); ++j) {
      if (!(std::abs(values[j] - right[j]) <= kTolerance * largest)) {  // nor not-a-numbers
        return absl::InternalError("output " + std::to_string(i) + " has " + std::to_string(values[j]) + " at " +
                                   std::to_string(j) + ", where the CPU has " + std::to_string(right[j]));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBits(std::span<const Tensor> actual, std::span<const Tensor> alone, const char* when) {
  RETURN_IF_ERROR(CheckShapes(actual, alone));
  const bool same = std::equal(actual.begin(), actual.end(), alone.begin(), [](const Tensor& a, const Tensor& b) {
    return std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin());
  });
  return same ? absl::OkStatus() : absl::InternalError(std::string("a request has other bits ") + when);
}

absl::Status TestOne(const graph::Graph& graph, const MakeOpenModel& make) {
  const size_t num_outputs = graph.outputs.size();
  const std::vector<Tensor> one = InputsOf(graph, 1);
  const std::vector<Tensor> other = InputsOf(graph, 2);
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> cpu, CreateCpuOpenModel(graph, kLimits));
  ASSIGN_OR_RETURN(const std::vector<Tensor> expected, cpu->RunBatch(Copies(one, other), 2, {}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, make(graph));
  ASSIGN_OR_RETURN(const std::vector<Tensor> alone, model->Run(Copies(one), {}));
  RETURN_IF_ERROR(CheckClose(alone, std::span(expected).first(num_outputs)));
  // A CUDA device runs what it recorded from a workspace's second run on.
  ASSIGN_OR_RETURN(const std::vector<Tensor> again, model->Run(Copies(one), {}));
  RETURN_IF_ERROR(CheckBits(again, alone, "in a second run"));
  ASSIGN_OR_RETURN(const std::vector<Tensor> both, model->RunBatch(Copies(other, one), 2, {}));
  if (both.size() != 2 * num_outputs) {
    return absl::InternalError("a batch has another number of outputs");
  }
  RETURN_IF_ERROR(CheckBits(std::span(both).subspan(num_outputs), alone, "beside another one"));
  return CheckClose(std::span(both).first(num_outputs), std::span(expected).subspan(num_outputs));
}

}  // namespace

absl::Status TestOpenModels(const MakeOpenModel& make) {
  const std::pair<const char*, graph::Graph (*)()> networks[] = {
      {"convolutions", Convolutions},          {"wide convolutions", WideConvolutions},
      {"a deep convolution", DeepConvolution}, {"grouped convolutions", GroupedConvolutions},
      {"matrix products", Products},           {"poolings", Poolings},
      {"operators on elements", Elements},     {"arrangements", Arrangements},
  };
  for (const auto& [name, network] : networks) {
    if (const absl::Status status = TestOne(network(), make); !status.ok()) {
      return {status.code(), "self-test of open segments, " + std::string(name) + ": " + std::string(status.message())};
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::accelerator
