// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/graph/run_model.h"

#include <cmath>
#include <memory>
#include <span>
#include <utility>

#include <gtest/gtest.h>

#include "lib/execution/program.h"
#include "lib/graph/onnx_export.h"
#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/graph_compare.h"

namespace shoji::graph {
namespace {

std::vector<Floats> Run(const Graph& graph, execution::Backend backend, const std::vector<Floats>& inputs) {
  execution::CompileOptions options;
  options.backend = backend;
  absl::StatusOr<std::unique_ptr<execution::Program>> program = execution::Program::Compile(graph, options);
  EXPECT_TRUE(program.ok()) << program.status();
  if (!program.ok() || (*program)->inputs().size() != inputs.size()) {
    return {};
  }
  std::vector<Tensor> tensors;
  std::vector<const Tensor*> pointers;
  for (size_t i = 0; i < inputs.size(); ++i) {
    tensors.push_back(Tensor::Of<float>((*program)->inputs()[i].shape, std::span<const float>(inputs[i])));
  }
  for (const Tensor& tensor : tensors) {
    pointers.push_back(&tensor);
  }
  const std::unique_ptr<execution::Workspace> workspace = (*program)->NewWorkspace();
  absl::StatusOr<std::vector<Tensor>> outputs = (*program)->Run(pointers, *workspace);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  std::vector<Floats> out;
  for (size_t i = 0; outputs.ok() && i < outputs->size(); ++i) {
    const std::span<const float> values = (*outputs)[i].values<float>();
    out.emplace_back(values.begin(), values.end());
  }
  return out;
}

}  // namespace

std::vector<Floats> RunModel(const testing::OnnxBuilder& builder, const std::vector<Floats>& inputs) {
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) {
    return {};
  }
  const std::vector<Floats> expected = Run(*graph, execution::Backend::kReference, inputs);
  const absl::StatusOr<Bytes> exported = ExportOnnx(*graph);
  EXPECT_TRUE(exported.ok()) << exported.status();
  const absl::StatusOr<Graph> again = exported.ok() ? ImportOnnx(*exported) : exported.status();
  EXPECT_TRUE(again.ok()) << again.status();
  if (!again.ok()) {
    return expected;
  }
  ExpectSameGraph(*graph, *again);
  const std::vector<Floats> actual = Run(*again, execution::Backend::kOneDnn, inputs);
  EXPECT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size() && i < expected.size(); ++i) {
    ExpectNear(actual[i], expected[i], 1e-4F);
  }
  return expected;
}

Floats Spread(size_t count, float low, float high) {
  Floats out(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (i * 37 + 11) % 101;
    out[i] = low + (high - low) * static_cast<float>(at) / 100.0F;
  }
  return out;
}

void ExpectNear(const Floats& actual, const Floats& expected, float tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0F, std::abs(expected[i]))) << "at " << i;
  }
}

}  // namespace shoji::graph
