// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/quantization/program_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <variant>

#include <gtest/gtest.h>

#include "lib/execution/program.h"
#include "lib/quantization/calibrate.h"
#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/quantization/naive_linear.h"

namespace shoji::quantization {
namespace {

using kernels::ring::Isa;

std::vector<const Tensor*> PointersTo(const std::vector<Tensor>& tensors) {
  std::vector<const Tensor*> out;
  for (const Tensor& tensor : tensors) {
    out.push_back(&tensor);
  }
  return out;
}

// A byte slot without its padding, channels first.
std::vector<uint8_t> ChannelsFirst(const ByteTensor& form, std::span<const uint8_t> bytes) {
  const int64_t padded = (form.channels + 3) / 4 * 4;
  std::vector<uint8_t> out;
  for (int64_t c = 0; c < form.channels; ++c) {
    for (int64_t pixel = 0; pixel < form.height * form.width; ++pixel) {
      out.push_back(bytes[static_cast<size_t>(pixel * padded + c)]);
    }
  }
  return out;
}

}  // namespace

graph::ValueId Relu(execution::GraphBuilder& b, graph::ValueId x) { return b.Node(graph::Op::kRelu, {x}, b.shape(x)); }

graph::ValueId MaxPool2(execution::GraphBuilder& b, graph::ValueId x) {
  const Shape in = b.shape(x);
  graph::PoolAttributes pool;
  pool.kernel = pool.strides = {2, 2};
  return b.Node(graph::Op::kMaxPool, {x}, Shape({in[0], in[1], in[2] / 2, in[3] / 2}), pool);
}

std::vector<float> FloatsChannelsFirst(size_t channels, std::span<const float> wide) {
  const size_t padded = kernels::ring::PaddedChannels(static_cast<int64_t>(channels));
  std::vector<float> out;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t at = c; at < wide.size(); at += padded) {
      out.push_back(wide[at]);
    }
  }
  return out;
}

namespace {

void ExpectAsDefined(const Program& program, const LinearStep& step, std::span<const uint8_t> input, Frame& frame) {
  const LinearLayer& layer = step.layer;
  for (size_t c = 0; c < layer.bias.size(); ++c) {
    ASSERT_LE(layer.lo[c], 0) << layer.name;
    ASSERT_GE(layer.hi[c], 0) << layer.name;
  }
  const std::vector<int64_t> sums = NaiveSums(layer, input);
  for (size_t i = 0; i < sums.size(); ++i) {
    const size_t c = i / (sums.size() / layer.bias.size());
    ASSERT_GE(sums[i] - layer.bias[c], layer.lo[c]) << layer.name;
    ASSERT_LE(sums[i] - layer.bias[c], layer.hi[c]) << layer.name;
  }
  if (layer.quantized_output) {
    const ByteTensor* form = program.byte_tensor(step.output);
    ASSERT_NE(form, nullptr);
    EXPECT_EQ(frame.bytes(step.output).size(),
              static_cast<size_t>(form->height) * kernels::ring::ActivationRowBytes(form->width, form->channels));
    EXPECT_EQ(ChannelsFirst(*form, frame.bytes(step.output)), NaiveBytes(layer, step.max_pool, input)) << layer.name;
    return;
  }
  EXPECT_EQ(program.byte_tensor(step.output), nullptr);
  EXPECT_EQ(FloatsChannelsFirst(layer.bias.size(), frame.floats(step.output)), NaiveFloats(layer, input)) << layer.name;
}

void ExpectNear(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected, float tolerance,
                const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].shape(), expected[i].shape());
    float largest = 1e-3F;
    for (const float value : expected[i].values<float>()) {
      largest = std::max(largest, std::abs(value));
    }
    for (size_t j = 0; j < actual[i].num_elements(); ++j) {
      ASSERT_NEAR(actual[i].values<float>()[j], expected[i].values<float>()[j], tolerance * largest)
          << what << ": output " << i << " at " << j;
    }
  }
}

}  // namespace

std::vector<Tensor> RunFloat(const graph::Graph& graph, const std::vector<Tensor>& inputs) {
  const auto program = execution::Program::Compile(graph, {});
  EXPECT_TRUE(program.ok()) << program.status();
  const auto workspace = (*program)->NewWorkspace();
  auto outputs = (*program)->Run(PointersTo(inputs), *workspace);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return *std::move(outputs);
}

std::vector<Tensor> RandomInputs(const graph::Graph& graph, unsigned seed) {
  std::vector<Tensor> out;
  for (const graph::ValueId input : graph.inputs) {
    out.push_back(execution::RandomTensor(graph.values[input].shape, seed++));
  }
  return out;
}

ActivationRanges RangesOf(const graph::Graph& graph) {
  auto calibrator = Calibrator::Create(graph, CalibrationMethod::kMinMax);
  EXPECT_TRUE(calibrator.ok()) << calibrator.status();
  for (unsigned i = 0; i < 20; ++i) {
    EXPECT_TRUE((*calibrator)->Observe(PointersTo(RandomInputs(graph, 100 * i))).ok());
  }
  auto ranges = (*calibrator)->Finish();
  EXPECT_TRUE(ranges.ok()) << ranges.status();
  return *std::move(ranges);
}

std::unique_ptr<Program> CompileOrDie(const graph::Graph& graph, const ActivationRanges& ranges, Isa isa) {
  auto program = Program::Compile(graph, ranges, {isa});
  if (!program.ok()) {
    std::fprintf(stderr, "%s\n", program.status().ToString().c_str());
    std::abort();
  }
  return *std::move(program);
}

std::vector<Tensor> RunChecked(const Program& program, const std::vector<Tensor>& inputs) {
  const std::unique_ptr<Frame> frame = program.NewFrame();
  EXPECT_TRUE(program.Begin(PointersTo(inputs), *frame).ok());
  for (size_t i = 0; i < program.steps().size(); ++i) {
    const auto* linear = std::get_if<LinearStep>(&program.steps()[i].kind);
    if (linear == nullptr) {
      EXPECT_TRUE(program.RunStep(i, *frame).ok());
      continue;
    }
    const std::span<const uint8_t> input = frame->bytes(linear->input);
    const std::vector<uint8_t> before(input.begin(), input.end());
    EXPECT_TRUE(program.RunStep(i, *frame).ok());
    EXPECT_TRUE(std::equal(before.begin(), before.end(), input.begin())) << "the step changed its input";
    ExpectAsDefined(program, *linear, before, *frame);
  }
  return program.Finish(*frame);
}

void ExpectGoodProgram(const graph::Graph& graph, float tolerance, const std::string& what) {
  const ActivationRanges ranges = RangesOf(graph);
  const std::unique_ptr<Program> portable = CompileOrDie(graph, ranges);
  for (unsigned seed = 0; seed < 3; ++seed) {
    const std::vector<Tensor> inputs = RandomInputs(graph, 200 * seed);
    const std::vector<Tensor> outputs = RunChecked(*portable, inputs);
    ExpectNear(outputs, RunFloat(graph, inputs), tolerance, what);
    for (const Isa isa : {Isa::kAvx2, Isa::kAvx512Vnni}) {
      if (kernels::ring::IsSupported(isa)) {
        const std::vector<Tensor> same = RunChecked(*CompileOrDie(graph, ranges, isa), inputs);
        for (size_t i = 0; i < outputs.size(); ++i) {
          EXPECT_TRUE(std::equal(outputs[i].bytes().begin(), outputs[i].bytes().end(), same[i].bytes().begin()))
              << what << ": " << kernels::ring::NameOf(isa) << " gives other bits";
        }
      }
    }
  }
}

std::vector<std::string> Describe(const Program& program, const graph::Graph& graph) {
  std::vector<std::string> out;
  for (const Step& step : program.steps()) {
    const std::string& name = graph.nodes[step.node].name;
    if (const auto* linear = std::get_if<LinearStep>(&step.kind)) {
      EXPECT_EQ(linear->layer.name, name);
      out.push_back("linear " + name + (linear->max_pool.has_value() ? " +pool" : "") +
                    (linear->layer.quantized_output ? "" : " float"));
    } else {
      EXPECT_EQ(std::get<LocalStep>(step.kind).name, name);
      out.push_back("local " + name);
    }
  }
  return out;
}

}  // namespace shoji::quantization
