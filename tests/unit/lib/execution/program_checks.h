// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Compiles and runs graphs, and compares the backends.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/execution/program.h"
#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::execution {

inline std::unique_ptr<Program> Compile(const graph::Graph& graph, Backend backend = Backend::kOneDnn) {
  CompileOptions options;
  options.backend = backend;
  absl::StatusOr<std::unique_ptr<Program>> program = Program::Compile(graph, options);
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *std::move(program) : nullptr;
}

inline std::vector<Tensor> RandomInputs(const Program& program, unsigned seed) {
  std::vector<Tensor> out;
  for (const TensorType& type : program.inputs()) {
    out.push_back(RandomTensor(type.shape, seed++));
  }
  return out;
}

inline std::vector<Tensor> RunProgram(const Program& program, const std::vector<Tensor>& inputs, Workspace& workspace) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) {
    pointers.push_back(&input);
  }
  absl::StatusOr<std::vector<Tensor>> outputs = program.Run(pointers, workspace);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return outputs.ok() ? *std::move(outputs) : std::vector<Tensor>();
}

inline std::vector<Tensor> RunProgram(const Program& program, unsigned seed = 1) {
  const std::unique_ptr<Workspace> workspace = program.NewWorkspace();
  return RunProgram(program, RandomInputs(program, seed), *workspace);
}

inline bool SameBytes(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return x.shape() == y.shape() && std::equal(x.bytes().begin(), x.bytes().end(), y.bytes().begin(), y.bytes().end());
  });
}

inline void ExpectBackendsAgree(const graph::Graph& graph, const std::string& what = "") {
  const std::unique_ptr<Program> fast = Compile(graph);
  const std::unique_ptr<Program> reference = Compile(graph, Backend::kReference);
  ASSERT_TRUE(fast != nullptr && reference != nullptr) << what;
  const std::vector<Tensor> actual = RunProgram(*fast);
  const std::vector<Tensor> expected = RunProgram(*reference);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].shape(), expected[i].shape());
    float largest = 1e-3F;
    for (const float value : expected[i].values<float>()) {
      largest = std::max(largest, std::abs(value));
    }
    for (size_t j = 0; j < actual[i].num_elements(); ++j) {
      ASSERT_NEAR(actual[i].values<float>()[j], expected[i].values<float>()[j], 1e-4F * largest)
          << what << " output " << i << " at " << j;
    }
  }
}

}  // namespace shoji::execution
