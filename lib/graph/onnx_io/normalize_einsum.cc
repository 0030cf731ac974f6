// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Einsum of one or two operands, as attention is often written. Each operand is summed over the labels that it has
// alone, the labels of both that the result has as well come first, and a product of matrices does the rest.

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

struct Equation {
  std::vector<std::string> operands;  // a label an axis
  std::string result;
};

bool Has(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }

// The labels of `labels` for which `wanted` holds, in their order.
template <typename F>
std::string Only(const std::string& labels, F wanted) {
  std::string out;
  std::copy_if(labels.begin(), labels.end(), std::back_inserter(out), wanted);
  return out;
}

// Without an arrow the result has the labels that appear once, in their order in the alphabet.
std::string ImplicitResult(const std::vector<std::string>& operands) {
  std::map<char, int> counts;
  for (const std::string& operand : operands) {
    for (const char label : operand) {
      ++counts[label];
    }
  }
  std::string out;
  for (const auto& [label, count] : counts) {
    out += count == 1 ? std::string(1, label) : "";
  }
  return out;
}

absl::StatusOr<Equation> ParseEquation(const NodeScope& node, const std::string& text) {
  const std::string dense = Only(text, [](char c) { return c != ' '; });
  const size_t arrow = dense.find("->");
  Equation out;
  for (std::string_view rest = std::string_view(dense).substr(0, arrow);;) {
    const std::string_view operand = rest.substr(0, rest.find(','));
    out.operands.emplace_back(operand);
    if (operand.size() == rest.size()) {
      break;
    }
    rest.remove_prefix(operand.size() + 1);
  }
  out.result = arrow == std::string::npos ? ImplicitResult(out.operands) : dense.substr(arrow + 2);
  std::vector<std::string> terms = out.operands;
  terms.push_back(out.result);
  for (std::string& term : terms) {
    const bool letters =
        std::all_of(term.begin(), term.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
    std::sort(term.begin(), term.end());
    if (!letters || std::adjacent_find(term.begin(), term.end()) != term.end()) {
      return node.Unimplemented("equation " + Quoted(text) + ": only letters, each once a term, are supported");
    }
  }
  return out;
}

// An operand, or what has become of it, and a label for each of its axes.
struct Labelled {
  KnownValue* value = nullptr;
  std::string labels;
};

class Contraction {
 public:
  explicit Contraction(NodeScope& node) : node_(node) {}

  // Learns the extents of the operands' axes.
  absl::Status Add(const Labelled& operand) {
    if (operand.value->shape.rank() != operand.labels.size()) {
      return node_.Invalid("an operand of shape " + operand.value->shape.ToString() + " does not fit its term " +
                           Quoted(operand.labels));
    }
    for (size_t i = 0; i < operand.labels.size(); ++i) {
      const int64_t extent = operand.value->shape[i];
      if (extents_.emplace(operand.labels[i], extent).first->second != extent) {
        return node_.Unimplemented("the label " + Quoted(operand.labels.substr(i, 1)) + " stands for extents of " +
                                   std::to_string(extents_[operand.labels[i]]) + " and " + std::to_string(extent));
      }
    }
    return absl::OkStatus();
  }
  bool Knows(char label) const { return extents_.contains(label); }

  // Sums over the axes whose labels are not in `kept`.
  absl::StatusOr<Labelled> SumTo(const std::string& suffix, const Labelled& in, const std::string& kept) {
    std::vector<int64_t> axes;
    for (size_t i = 0; i < in.labels.size(); ++i) {
      if (!Has(kept, in.labels[i])) {
        axes.push_back(static_cast<int64_t>(i));
      }
    }
    if (axes.empty()) {
      return in;
    }
    Labelled out;
    out.labels = Only(in.labels, [&kept](char label) { return Has(kept, label); });
    ASSIGN_OR_RETURN(KnownValue * sum, StepSum(node_, suffix + "_sum", in.value, axes));
    ASSIGN_OR_RETURN(Shape shape, ShapeOf(out.labels));
    ASSIGN_OR_RETURN(out.value, node_.EmitStep(suffix + "_summed", Op::kReshape, {}, std::move(shape), {sum}));
    return out;
  }

  // A stack of matrices: `apart` keep their axes, `rows` become one, and so do `columns`.
  absl::StatusOr<KnownValue*> Arrange(const std::string& suffix, const Labelled& in, const std::string& apart,
                                      const std::string& rows, const std::string& columns) {
    KnownValue* value = in.value;
    const std::string order = apart + rows + columns;
    if (order != in.labels) {
      ASSIGN_OR_RETURN(Shape shape, ShapeOf(order));
      ASSIGN_OR_RETURN(value, node_.EmitStep(suffix + "_ordered", Op::kTranspose, Permutation(in.labels, order),
                                             std::move(shape), {value}));
    }
    std::vector<int64_t> dims = Dims(apart);
    dims.push_back(Count(rows));
    dims.push_back(Count(columns));
    ASSIGN_OR_RETURN(Shape shape, node_.MakeShape(std::move(dims)));
    return node_.EmitStep(suffix, Op::kReshape, {}, std::move(shape), {value});
  }

  // The last step: brings `in` to the order of `result`.
  absl::Status EmitResult(const Labelled& in, const std::string& result) {
    ASSIGN_OR_RETURN(Shape shape, ShapeOf(in.labels));
    if (in.labels == result) {
      return node_.EmitLast(Op::kReshape, {}, std::move(shape), {in.value});
    }
    KnownValue* value = in.value;
    if (value->shape != shape) {
      ASSIGN_OR_RETURN(value, node_.EmitStep("parts", Op::kReshape, {}, std::move(shape), {value}));
    }
    ASSIGN_OR_RETURN(Shape ordered, ShapeOf(result));
    return node_.EmitLast(Op::kTranspose, Permutation(in.labels, result), std::move(ordered), {value});
  }

 private:
  std::vector<int64_t> Dims(const std::string& labels) const {
    std::vector<int64_t> dims;
    for (const char label : labels) {
      dims.push_back(extents_.at(label));
    }
    return dims;
  }
  // No overflow: the labels are some of one tensor's.
  int64_t Count(const std::string& labels) const {
    const std::vector<int64_t> dims = Dims(labels);
    return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
  }
  absl::StatusOr<Shape> ShapeOf(const std::string& labels) const { return node_.MakeShape(Dims(labels)); }
  static TransposeAttributes Permutation(const std::string& from, const std::string& to) {
    TransposeAttributes out;
    for (const char label : to) {
      out.permutation.push_back(static_cast<int64_t>(from.find(label)));
    }
    return out;
  }

  NodeScope& node_;
  std::map<char, int64_t> extents_;
};

// The product of two operands, with the axes of both that `result` has in front.
absl::StatusOr<Labelled> Multiply(NodeScope& node, Contraction& contraction, Labelled left, Labelled right,
                                  const std::string& result) {
  if (left.value->constant != nullptr) {
    std::swap(left, right);  // weights are on the right of a layer
  }
  ASSIGN_OR_RETURN(left, contraction.SumTo("left", left, right.labels + result));
  ASSIGN_OR_RETURN(right, contraction.SumTo("right", right, left.labels + result));
  const auto of_both = [&](char label) { return Has(left.labels, label) && Has(right.labels, label); };
  const std::string apart = Only(result, of_both);
  const std::string summed = Only(left.labels, [&](char label) { return of_both(label) && !Has(result, label); });
  const std::string rows = Only(left.labels, [&](char label) { return !of_both(label); });
  const std::string columns = Only(right.labels, [&](char label) { return !of_both(label); });
  ASSIGN_OR_RETURN(KnownValue * a, contraction.Arrange("left", left, apart, rows, summed));
  ASSIGN_OR_RETURN(KnownValue * b, contraction.Arrange("right", right, apart, summed, columns));
  NodeScope product = node.WithInputs({a, b});
  ASSIGN_OR_RETURN(KnownValue * value, StepMatMul(product, "product"));
  return Labelled{value, apart + rows + columns};
}

}  // namespace

absl::Status NormalizeEinsum(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::string text, node.String("equation", ""));
  ASSIGN_OR_RETURN(const Equation equation, ParseEquation(node, text));
  if (equation.operands.size() != node.num_inputs()) {
    return node.Invalid("equation " + Quoted(text) + " is not one of " + std::to_string(node.num_inputs()) +
                        " operands");
  }
  RETURN_IF_ERROR(node.RequireInputs(node.num_inputs()));
  if (node.num_inputs() > 2) {
    return node.Unimplemented("equation " + Quoted(text) + ": at most two operands are supported");
  }
  Contraction contraction(node);
  std::vector<Labelled> operands;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    operands.push_back({node.inputs()[i], equation.operands[i]});
    RETURN_IF_ERROR(contraction.Add(operands[i]));
  }
  for (const char label : equation.result) {
    if (!contraction.Knows(label)) {
      return node.Invalid("equation " + Quoted(text) + ": no operand has a label of its result");
    }
  }
  Labelled value;
  if (operands.size() == 1) {
    ASSIGN_OR_RETURN(value, contraction.SumTo("operand", operands[0], equation.result));
  } else {
    ASSIGN_OR_RETURN(value, Multiply(node, contraction, operands[0], operands[1], equation.result));
  }
  return contraction.EmitResult(value, equation.result);
}

}  // namespace shoji::graph::onnx_io
