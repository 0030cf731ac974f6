// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs quantized programs step by step beside the naive definition.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/graph/graph.h"
#include "lib/quantization/program.h"
#include "lib/tensor/tensor.h"
#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::quantization {

graph::ValueId Relu(execution::GraphBuilder& b, graph::ValueId x);
// Windows of 2 x 2, strides of 2.
graph::ValueId MaxPool2(execution::GraphBuilder& b, graph::ValueId x);

// Ranges of `graph` on random inputs in [-1, 1].
ActivationRanges RangesOf(const graph::Graph& graph);

// Aborts the test where it does not compile.
std::unique_ptr<Program> CompileOrDie(const graph::Graph& graph, const ActivationRanges& ranges,
                                      kernels::ring::Isa isa = kernels::ring::Isa::kPortable);

// Random inputs for `graph`.
std::vector<Tensor> RandomInputs(const graph::Graph& graph, unsigned seed);

// The outputs in float32.
std::vector<Tensor> RunFloat(const graph::Graph& graph, const std::vector<Tensor>& inputs);

// The outputs for `inputs`; checks on the way that every linear step gives the bits of its definition.
std::vector<Tensor> RunChecked(const Program& program, const std::vector<Tensor>& inputs);

// That the program agrees with float32 to within `tolerance` of the largest output, for some inputs, that every linear
// step is as defined, and that every instruction set of this CPU gives the same bits.
void ExpectGoodProgram(const graph::Graph& graph, float tolerance, const std::string& what = "");

// [pixels][padded channels] as [channels][pixels].
std::vector<float> FloatsChannelsFirst(size_t channels, std::span<const float> wide);

// The steps as words: "linear n0", "linear n0 +pool", "linear n0 float", "local n3".
std::vector<std::string> Describe(const Program& program, const graph::Graph& graph);

}  // namespace shoji::quantization
