// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The network as Shoji works on it: a directed acyclic graph of operators in topological order, with every shape known
// (batch 1) and every attribute in one normal form. Made from an ONNX file by onnx_import.h, cut by cut.h, improved by
// passes.h, written back as ONNX by onnx_export.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "lib/tensor/data_type.h"
#include "lib/tensor/shape.h"
#include "lib/tensor/tensor.h"

namespace shoji::graph {

using ValueId = uint32_t;
// An optional input that is absent.
inline constexpr ValueId kNoValue = UINT32_MAX;

struct Value {
  std::string name;  // unique in the graph
  DataType type = DataType::kFloat32;
  Shape shape;
  // Set for weights and other constants. Shared, because the segments cut from one graph share their weights.
  std::shared_ptr<const Tensor> constant;
};

// One kind an operator after normalization; the comment gives the ONNX operators it comes from, its inputs and the
// attributes it carries.
enum class Op : uint8_t {
  kConv,               // X, W[, B]; ConvAttributes
  kGemm,               // Gemm: A, B[, C]; GemmAttributes
  kMatMul,             // A, B
  kBatchNorm,          // BatchNormalization: X, scale, B, mean, var; BatchNormAttributes
  kMaxPool,            // PoolAttributes
  kAveragePool,        // PoolAttributes
  kGlobalAveragePool,  // X [N,C,H,W] -> [N,C,1,1]
  kReduceMean,         // ReduceAttributes
  kReduceMax,          // ReduceAttributes
  kRelu,
  kLeakyRelu,  // FloatAttributes: alpha
  kSigmoid,
  kHardSigmoid,  // FloatAttributes: alpha, beta
  kHardSwish,
  kTanh,
  kClip,             // FloatAttributes: alpha = min, beta = max
  kElu,              // FloatAttributes: alpha
  kSelu,             // FloatAttributes: alpha, beta = gamma
  kThresholdedRelu,  // FloatAttributes: alpha
  kSoftplus,
  kSoftsign,
  kErf,
  kAbs,
  kNeg,
  kExp,
  kLog,
  kSqrt,
  kReciprocal,
  kFloor,
  kCeil,
  kRound,  // half to even
  kSign,
  kFakeQuantize,  // QuantizeLinear and then DequantizeLinear with the same parameters; FakeQuantizeAttributes
  kSoftmax,       // AxisAttributes, over that one axis (older opsets are rewritten)
  kLrn,           // LrnAttributes, over axis 1
  kAdd,           // A, B with numpy broadcasting; likewise the next seven
  kSub,
  kMul,
  kDiv,
  kMax,
  kMin,
  kPow,
  kPRelu,      // A, slope
  kConcat,     // AxisAttributes
  kReshape,    // Reshape, Flatten, Squeeze, Unsqueeze: the output's shape says it all
  kExpand,     // repeats axes of extent 1: the output's shape says it all
  kTranspose,  // TransposeAttributes
  kPad,        // constant mode; PadAttributes
  kSlice,      // Slice, Split; SliceAttributes
  kGather,     // GatherAttributes
};

// Two-dimensional windows. Pads are {top, left, bottom, right}; auto_pad is resolved at import.
struct ConvAttributes {
  std::array<int64_t, 2> kernel = {1, 1};
  std::array<int64_t, 2> strides = {1, 1};
  std::array<int64_t, 2> dilations = {1, 1};
  std::array<int64_t, 4> pads = {0, 0, 0, 0};
  int64_t group = 1;
  bool operator==(const ConvAttributes&) const = default;
};
struct PoolAttributes {
  std::array<int64_t, 2> kernel = {1, 1};
  std::array<int64_t, 2> strides = {1, 1};
  std::array<int64_t, 2> dilations = {1, 1};
  std::array<int64_t, 4> pads = {0, 0, 0, 0};
  bool ceil_mode = false;
  bool count_include_pad = false;
  bool operator==(const PoolAttributes&) const = default;
};
struct GemmAttributes {
  float alpha = 1;
  float beta = 1;
  bool trans_a = false;
  bool trans_b = false;
  bool operator==(const GemmAttributes&) const = default;
};
struct BatchNormAttributes {
  float epsilon = 1e-5F;
  bool operator==(const BatchNormAttributes&) const = default;
};
struct FloatAttributes {
  float alpha = 0;
  float beta = 0;
  bool operator==(const FloatAttributes&) const = default;
};
struct AxisAttributes {
  int64_t axis = 0;  // not negative
  bool operator==(const AxisAttributes&) const = default;
};
struct ReduceAttributes {
  std::vector<int64_t> axes;  // sorted, not negative
  bool keep_dims = true;
  bool operator==(const ReduceAttributes&) const = default;
};
struct TransposeAttributes {
  std::vector<int64_t> permutation;
  bool operator==(const TransposeAttributes&) const = default;
};
struct PadAttributes {
  std::vector<int64_t> begin;  // one an axis, may be negative (crop)
  std::vector<int64_t> end;
  float value = 0;
  bool operator==(const PadAttributes&) const = default;
};
struct SliceAttributes {
  std::vector<int64_t> starts;  // one an axis, in range; the output's shape gives the counts
  std::vector<int64_t> steps;
  bool operator==(const SliceAttributes&) const = default;
};
struct GatherAttributes {
  int64_t axis = 0;              // not negative
  std::vector<int64_t> indices;  // in range, not negative; the output has that many elements along the axis
  bool operator==(const GatherAttributes&) const = default;
};
struct LrnAttributes {
  int64_t size = 1;
  float alpha = 1e-4F;
  float beta = 0.75F;
  float bias = 1;
  bool operator==(const LrnAttributes&) const = default;
};
// y = clamp(round(x / scale), low - zero_point, high - zero_point) * scale: x as 8 bits tell it.
struct FakeQuantizeAttributes {
  float scale = 1;  // finite, above 0
  int32_t zero_point = 0;
  int32_t low = 0;  // 0 and 255 for uint8, -128 and 127 for int8
  int32_t high = 255;
  bool operator==(const FakeQuantizeAttributes&) const = default;
};
using Attributes = std::variant<std::monostate, ConvAttributes, PoolAttributes, GemmAttributes, BatchNormAttributes,
                                FloatAttributes, AxisAttributes, ReduceAttributes, TransposeAttributes, PadAttributes,
                                SliceAttributes, GatherAttributes, LrnAttributes, FakeQuantizeAttributes>;

struct Node {
  std::string name;     // unique; the ONNX name, or the first output's name where the file gives none
  std::string op_type;  // as in the file, for messages
  // For a step of an operator that import made several nodes of: the name of the file's node, which another of the
  // steps has. Empty elsewhere.
  std::string step_of;
  Op op = Op::kRelu;
  Attributes attributes;
  std::vector<ValueId> inputs;  // kNoValue for an absent optional one
  std::vector<ValueId> outputs;
};

// A node of the file that import folded away (constants, Identity, Dropout, nodes that no output depends on), and the
// index in `Graph::nodes` of the first node after it; or one that called a function, and the nodes [next_node,
// end_node) that import put in its place. Policies may still name it.
struct FoldedNode {
  std::string name;
  size_t next_node = 0;
  size_t end_node = 0;  // not above next_node: there are none
};

// A plain value type, valid by construction: nodes in topological order, every id in range, every value produced at
// most once. Movable; copies share the constants. Thread-compatible.
struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;  // constants are not inputs
  std::vector<ValueId> outputs;
  std::vector<FoldedNode> folded;
  // What whoever loads the file should know about how it was read; a line each.
  std::vector<std::string> notes;
};

// The ONNX name of the operator `op` is written as ("Conv", "BatchNormalization", ...).
const char* NameOf(Op op);

// Removes the nodes whose entry in `keep` is false, and records their names in `graph.folded`. The caller has made sure
// that no remaining node reads their outputs. Requires keep.size() == graph.nodes.size().
void RemoveNodes(Graph& graph, const std::vector<bool>& keep);
// Drops the values that are neither read, made, nor inputs or outputs of the graph, and renumbers the others.
void RemoveUnusedValues(Graph& graph);
// For each node, whether an output of the graph depends on it.
std::vector<bool> LiveNodes(const Graph& graph);

}  // namespace shoji::graph
