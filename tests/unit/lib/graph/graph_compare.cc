// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/graph/graph_compare.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace shoji::graph {
namespace {

bool SameBytes(const Tensor& a, const Tensor& b) { return std::ranges::equal(a.bytes(), b.bytes()); }

void ExpectSameValue(const Value& a, const Value& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.shape, b.shape) << a.name;
  ASSERT_EQ(a.constant == nullptr, b.constant == nullptr) << a.name;
  if (a.constant != nullptr) {
    EXPECT_TRUE(SameBytes(*a.constant, *b.constant)) << a.name;
  }
}

}  // namespace

void ExpectSameGraph(const Graph& a, const Graph& b) {
  ASSERT_EQ(a.values.size(), b.values.size());
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (size_t i = 0; i < a.values.size(); ++i) {
    ExpectSameValue(a.values[i], b.values[i]);
  }
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    EXPECT_EQ(a.nodes[i].name, b.nodes[i].name);
    EXPECT_EQ(a.nodes[i].op, b.nodes[i].op) << a.nodes[i].name;
    EXPECT_EQ(a.nodes[i].attributes, b.nodes[i].attributes) << a.nodes[i].name;
    EXPECT_EQ(a.nodes[i].inputs, b.nodes[i].inputs) << a.nodes[i].name;
    EXPECT_EQ(a.nodes[i].outputs, b.nodes[i].outputs) << a.nodes[i].name;
  }
  EXPECT_EQ(a.inputs, b.inputs);
  EXPECT_EQ(a.outputs, b.outputs);
}

}  // namespace shoji::graph
