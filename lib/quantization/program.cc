// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/program.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/graph/passes.h"
#include "lib/quantization/compiled.h"
#include "lib/quantization/lowering.h"

namespace shoji::quantization {
namespace {

class CompiledProgram : public Program {
 public:
  explicit CompiledProgram(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  const std::vector<Step>& steps() const override { return compiled_->steps; }
  const ByteTensor* byte_tensor(Slot slot) const override;
  std::unique_ptr<Frame> NewFrame() const override { return std::make_unique<ArenaFrame>(compiled_->layout); }
  absl::Status Begin(std::span<const Tensor* const> inputs, Frame& frame) const override;
  absl::Status RunStep(size_t step, Frame& frame) const override;
  absl::Status RunStepBatch(size_t step, std::span<Frame* const> frames) const override;
  std::vector<Tensor> Finish(Frame& frame) const override;
  const kernels::ring::LinearKernel& kernel(size_t step) const override;

 private:
  template <typename Value>
  void RunLinearBatch(size_t step, std::span<Frame* const> frames) const;
  // Aborts for a frame of another program.
  ArenaFrame& Own(Frame& frame) const;
  absl::Status CheckInputs(std::span<const Tensor* const> inputs) const;

  const std::unique_ptr<const Compiled> compiled_;
};

const ByteTensor* CompiledProgram::byte_tensor(Slot slot) const {
  SHOJI_CHECK(slot < compiled_->layout->slots.size());
  const std::optional<ByteTensor>& form = compiled_->layout->slots[slot].form;
  return form.has_value() ? &*form : nullptr;
}

ArenaFrame& CompiledProgram::Own(Frame& frame) const {
  auto* own = dynamic_cast<ArenaFrame*>(&frame);
  SHOJI_CHECK(own != nullptr && &own->layout() == compiled_->layout.get());
  return *own;
}

absl::Status CompiledProgram::CheckInputs(std::span<const Tensor* const> inputs) const {
  if (inputs.size() != compiled_->inputs.size()) {
    return absl::InvalidArgumentError("the program takes " + std::to_string(compiled_->inputs.size()) +
                                      " inputs, not " + std::to_string(inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Shape& expected = compiled_->inputs[i].shape;
    const Tensor* input = inputs[i];
    if (input == nullptr || input->type() != DataType::kFloat32 || !(input->shape() == expected) ||
        input->bytes().size() != input->size_bytes()) {
      return absl::InvalidArgumentError("input " + std::to_string(i) + " must be float32" + expected.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status CompiledProgram::Begin(std::span<const Tensor* const> inputs, Frame& frame) const {
  RETURN_IF_ERROR(CheckInputs(inputs));
  ArenaFrame& own = Own(frame);
  own.ForgetDoneAhead();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Endpoint& endpoint = compiled_->inputs[i];
    const std::span<const float> values = inputs[i]->values<float>();
    if (endpoint.floats.has_value()) {
      std::copy(values.begin(), values.end(), own.floats(*endpoint.floats).begin());
    }
    if (endpoint.wide.has_value()) {
      WidenTensor(endpoint.shape, values.data(), own.floats(*endpoint.wide).data());
    }
    if (endpoint.bytes.has_value()) {
      QuantizeTensor(*compiled_->kernels, endpoint.shape, *byte_tensor(*endpoint.bytes), values.data(),
                     own.bytes(*endpoint.bytes).data());
    }
  }
  return absl::OkStatus();
}

absl::Status CompiledProgram::RunStep(size_t step, Frame& frame) const {
  SHOJI_CHECK(step < compiled_->steps.size());
  ArenaFrame& own = Own(frame);
  if (own.IsDoneAhead(step)) {
    return absl::OkStatus();
  }
  const Work& work = compiled_->work[step];
  const auto* linear = std::get_if<LinearStep>(&compiled_->steps[step].kind);
  if (linear == nullptr) {
    for (const Operation& operation : work.operations) {
      operation(own);
    }
    return absl::OkStatus();
  }
  if (linear->layer.quantized_output) {
    work.runner->Run(own.bytes(linear->input), own.bytes(linear->output), own.raw(work.scratch));
    return absl::OkStatus();
  }
  const Work* next = step + 1 < compiled_->work.size() ? &compiled_->work[step + 1] : nullptr;
  if (next == nullptr || next->chain == nullptr) {
    work.runner->Run(own.bytes(linear->input), own.floats(linear->output), own.raw(work.scratch));
    return absl::OkStatus();
  }
  work.runner->Run(
      own.bytes(linear->input), own.floats(linear->output), own.raw(work.scratch),
      [&](size_t begin, size_t end) { next->chain->Run(own, begin, end, own.floats(next->chain_scratch)); });
  own.SetDoneAhead(step + 1);
  return absl::OkStatus();
}

template <typename Value>
void CompiledProgram::RunLinearBatch(size_t step, std::span<Frame* const> frames) const {
  const auto& linear = std::get<LinearStep>(compiled_->steps[step].kind);
  const Work& work = compiled_->work[step];
  std::vector<LinearRunner::BatchRun<Value>> runs;
  runs.reserve(frames.size());
  for (Frame* frame : frames) {
    ArenaFrame& own = Own(*frame);
    if constexpr (std::is_same_v<Value, uint8_t>) {
      runs.push_back({own.bytes(linear.input), own.bytes(linear.output), own.raw(work.scratch)});
    } else {
      runs.push_back({own.bytes(linear.input), own.floats(linear.output), own.raw(work.scratch)});
    }
  }
  work.runner->RunBatch(std::span<const LinearRunner::BatchRun<Value>>(runs));
}

absl::Status CompiledProgram::RunStepBatch(size_t step, std::span<Frame* const> frames) const {
  SHOJI_CHECK(step < compiled_->steps.size());
  const auto* linear = std::get_if<LinearStep>(&compiled_->steps[step].kind);
  if (frames.size() < 2 || linear == nullptr || !compiled_->work[step].runner->RunsBatches()) {
    for (Frame* frame : frames) {
      RETURN_IF_ERROR(RunStep(step, *frame));
    }
    return absl::OkStatus();
  }
  if (linear->layer.quantized_output) {
    RunLinearBatch<uint8_t>(step, frames);
  } else {
    RunLinearBatch<float>(step, frames);  // what follows is then a step of its own
  }
  return absl::OkStatus();
}

std::vector<Tensor> CompiledProgram::Finish(Frame& frame) const {
  ArenaFrame& own = Own(frame);
  std::vector<Tensor> outputs;
  for (const Endpoint& endpoint : compiled_->outputs) {
    if (endpoint.constant != nullptr) {
      outputs.push_back(endpoint.constant->Clone());
      continue;
    }
    Tensor output(DataType::kFloat32, endpoint.shape);
    const std::span<float> values = output.mutable_values<float>();
    if (endpoint.floats.has_value()) {
      const std::span<const float> from = own.floats(*endpoint.floats);
      std::copy(from.begin(), from.end(), values.begin());
    } else if (endpoint.wide.has_value()) {
      UnwidenTensor(endpoint.shape, own.floats(*endpoint.wide).data(), values.data());
    } else {
      DequantizeTensor(*compiled_->kernels, endpoint.shape, *byte_tensor(*endpoint.bytes),
                       own.bytes(*endpoint.bytes).data(), values.data());
    }
    outputs.push_back(std::move(output));
  }
  return outputs;
}

const kernels::ring::LinearKernel& CompiledProgram::kernel(size_t step) const {
  SHOJI_CHECK(step < compiled_->work.size() && compiled_->work[step].runner != nullptr);
  return compiled_->work[step].runner->kernel();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> Program::Compile(const graph::Graph& graph, const ActivationRanges& ranges,
                                                          const CompileOptions& options) {
  RETURN_IF_ERROR(Validate(ranges));
  RETURN_IF_ERROR(execution::CheckGraph(graph));
  std::unordered_map<std::string, size_t> index_of;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    index_of.emplace(graph.nodes[i].name, i);
  }
  graph::Graph folded = graph;
  graph::Fold(folded);
  std::vector<size_t> origin;
  for (const graph::Node& node : folded.nodes) {
    origin.push_back(index_of.at(node.name));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<const Compiled> compiled, Lowering(folded, origin, ranges, options).Run());
  return std::unique_ptr<Program>(std::make_unique<CompiledProgram>(std::move(compiled)));
}

}  // namespace shoji::quantization
