// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/run_model.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::HasSubstr;

const std::map<char, int64_t> kExtents = {{'b', 1}, {'h', 2}, {'i', 3}, {'j', 4}, {'d', 5}, {'B', 1}, {'D', 5}};

std::vector<int64_t> DimsOf(const std::string& labels) {
  std::vector<int64_t> dims;
  for (const char label : labels) {
    dims.push_back(kExtents.at(label));
  }
  return dims;
}

size_t CountOf(const std::string& labels) {
  size_t count = 1;
  for (const int64_t dim : DimsOf(labels)) {
    count *= static_cast<size_t>(dim);
  }
  return count;
}

// Where the element of a tensor of `labels` stands that has the coordinates `at`.
size_t PlaceOf(const std::string& labels, const std::map<char, int64_t>& at) {
  size_t place = 0;
  for (const char label : labels) {
    place = place * static_cast<size_t>(kExtents.at(label)) + static_cast<size_t>(at.at(label));
  }
  return place;
}

// By its definition: the products of all coordinates, each added where it belongs.
Floats Defined(const std::vector<std::string>& terms, const std::vector<Floats>& operands, const std::string& result) {
  std::string labels;
  for (const std::string& term : terms) {
    for (const char label : term) {
      labels += labels.find(label) == std::string::npos ? std::string(1, label) : "";
    }
  }
  Floats out(CountOf(result), 0);
  for (size_t n = 0; n < CountOf(labels); ++n) {
    std::map<char, int64_t> at;
    size_t rest = n;
    for (const char label : labels) {
      at[label] = static_cast<int64_t>(rest % static_cast<size_t>(kExtents.at(label)));
      rest /= static_cast<size_t>(kExtents.at(label));
    }
    float product = 1;
    for (size_t i = 0; i < terms.size(); ++i) {
      product *= operands[i][PlaceOf(terms[i], at)];
    }
    out[PlaceOf(result, at)] += product;
  }
  return out;
}

OnnxBuilder& Einsum(OnnxBuilder& builder, const std::vector<std::string>& terms, const std::string& equation) {
  std::vector<std::string> names;
  for (size_t i = 0; i < terms.size(); ++i) {
    names.push_back("x" + std::to_string(i));
    builder.Input(names.back(), DimsOf(terms[i]));
  }
  return builder.Node("Einsum", names, {"y"}).Named("n").TextAttribute("equation", equation).Output("y");
}

struct Case {
  std::string equation;
  std::vector<std::string> terms;
  std::string result;
};

TEST(EinsumTest, ResultsAreThoseOfItsDefinition) {
  const std::vector<Case> cases = {
      {"bhid,bhjd->bhij", {"bhid", "bhjd"}, "bhij"},  // attention, as PyTorch's networks write it
      {"bhij,bhjd->bhid", {"bhij", "bhjd"}, "bhid"},  // and what it picks
      {"bhij,bhjd->bihd", {"bhij", "bhjd"}, "bihd"},  // with the heads behind
      {"B h i D, B h j D -> B h i j", {"BhiD", "BhjD"}, "Bhij"},
      {"bid,dj->bij", {"bid", "dj"}, "bij"},
      {"bid,jd->bji", {"bid", "jd"}, "bji"},
      {"bhi,bhi->bhi", {"bhi", "bhi"}, "bhi"},  // by elements
      {"bhi,bhi->bh", {"bhi", "bhi"}, "bh"},
      {"bi,bj->bij", {"bi", "bj"}, "bij"},      // outer
      {"bhij,hd->bid", {"bhij", "hd"}, "bid"},  // j is summed away first
      {"bij,jd", {"bij", "jd"}, "bdi"},         // labels that appear once, in the alphabet's order
      {"bij->bji", {"bij"}, "bji"},
      {"bij->bi", {"bij"}, "bi"},
      {"bij->jb", {"bij"}, "jb"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.equation);
    OnnxBuilder builder(13);
    std::vector<Floats> operands;
    for (const std::string& term : c.terms) {
      operands.push_back(Spread(CountOf(term), -1, operands.empty() ? 2.0F : 1.5F));
    }
    const std::vector<Floats> y = RunModel(Einsum(builder, c.terms, c.equation), operands);
    ASSERT_EQ(y.size(), 1U);
    ExpectNear(y[0], Defined(c.terms, operands, c.result), 1e-4F);
  }
}

TEST(EinsumTest, WeightsStayConstantAndComeRight) {
  for (const bool first : {false, true}) {
    OnnxBuilder builder(13);
    builder.Input("x", {1, 3}).Weight("w", {4, 3}, {1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 1, 1});
    builder.Node("Einsum", first ? std::vector<std::string>{"w", "x"} : std::vector<std::string>{"x", "w"}, {"y"});
    builder.TextAttribute("equation", first ? "oi,bi->bo" : "bi,oi->bo").Output("y");
    const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
    ASSERT_TRUE(graph.ok()) << graph.status();
    const auto product =
        std::find_if(graph->nodes.begin(), graph->nodes.end(), [](const Node& node) { return node.op == Op::kMatMul; });
    ASSERT_NE(product, graph->nodes.end());
    EXPECT_NE(graph->values[product->inputs[1]].constant, nullptr);
    ExpectNear(RunModel(builder, {{1, 2, 4}}).at(0), {1, 4, 12, 7});
  }
}

TEST(EinsumTest, WhatIsNotSupportedIsRefusedWithTheEquation) {
  const auto refusal = [](const std::vector<std::string>& terms, const std::string& equation) {
    OnnxBuilder builder(18);  // where libonnx does not look first
    return std::string(ImportOnnx(Einsum(builder, terms, equation).Build()).status().message());
  };
  EXPECT_THAT(refusal({"bij"}, "...ij->...ji"), HasSubstr("node `n` (Einsum): equation `...ij->...ji`: only letters"));
  EXPECT_THAT(refusal({"bhi"}, "bii->bi"), HasSubstr("only letters, each once a term, are supported"));
  EXPECT_THAT(refusal({"bi", "bi", "bi"}, "bi,bi,bi->bi"), HasSubstr("at most two operands are supported"));
  EXPECT_THAT(refusal({"bi"}, "bi,bi->bi"), HasSubstr("equation `bi,bi->bi` is not one of 1 operands"));
  EXPECT_THAT(refusal({"bi"}, "bij->bi"), HasSubstr("an operand of shape [1,3] does not fit its term `bij`"));
  EXPECT_THAT(refusal({"bi", "bj"}, "bi,bi->bi"), HasSubstr("the label `i` stands for extents of 3 and 4"));
  EXPECT_THAT(refusal({"bi"}, "bi->bz"), HasSubstr("equation `bi->bz`: no operand has a label of its result"));
  EXPECT_THAT(refusal({"bi"}, ""), HasSubstr("does not fit its term"));
}

}  // namespace
}  // namespace shoji::graph
