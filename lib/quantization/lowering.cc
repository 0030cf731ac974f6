// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/lowering.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <variant>

#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"
#include "lib/quantization/float_functions.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;

constexpr size_t kMaxFrameBytes = size_t{4} << 30;

// The plain kernel of `node`; functions of the C library that CPUs may compute differently are replaced.
absl::StatusOr<execution::PlainKernel> FloatKernel(const Graph& graph, const Node& node) {
  if (node.op == Op::kReshape) {
    return execution::PlainKernel([](std::span<const std::span<const float>> in, std::span<float> out) {
      std::copy(in[0].begin(), in[0].end(), out.begin());
    });
  }
  ASSIGN_OR_RETURN(execution::PlainKernel kernel, execution::MakePlainKernel(graph, node));
  if (const std::optional<kernels::Activation> activation = execution::ActivationOf(node)) {
    return execution::PlainKernel(
        [activation = *activation](std::span<const std::span<const float>> in, std::span<float> out) {
          Activate(activation, in[0], out);
        });
  }
  if (node.op == Op::kSoftmax) {
    const auto& attributes = std::get<graph::AxisAttributes>(node.attributes);
    ASSIGN_OR_RETURN(const kernels::AxisView view,
                     kernels::MakeAxisView(graph.values[node.inputs[0]].shape, attributes.axis));
    return execution::PlainKernel(
        [view](std::span<const std::span<const float>> in, std::span<float> out) { Softmax(view, in[0], out); });
  }
  return kernel;
}

}  // namespace

Lowering::Lowering(const Graph& graph, std::vector<size_t> origin, const ActivationRanges& ranges,
                   const CompileOptions& options)
    : graph_(graph),
      origin_(std::move(origin)),
      options_(options),
      plan_(graph, ranges),
      kernels_(ByteKernelsFor(options.isa)),
      compiled_(std::make_unique<Compiled>()),
      absorbed_(graph.nodes.size()),
      floats_(graph.values.size()),
      bytes_(graph.values.size()) {
  compiled_->kernels = &kernels_;
}

absl::StatusOr<std::unique_ptr<const Compiled>> Lowering::Run() {
  RETURN_IF_ERROR(PlaceInputs());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!absorbed_[i]) {
      RETURN_IF_ERROR(LowerNode(i));
    }
  }
  PlaceOutputs();
  RETURN_IF_ERROR(AddRunners());
  RETURN_IF_ERROR(LayOut(kMaxFrameBytes, *compiled_->layout));
  return std::unique_ptr<const Compiled>(std::move(compiled_));
}

absl::Status Lowering::PlaceInputs() {
  for (const ValueId input : graph_.inputs) {
    Endpoint endpoint;
    endpoint.shape = graph_.values[input].shape;
    const std::vector<size_t>& readers = plan_.uses().readers(input);
    const bool is_read_as_float = std::any_of(readers.begin(), readers.end(), [&](size_t reader) {
      return plan_.kernel(reader) == ByteKernel::kNone ||
             (plan_.kernel(reader) != ByteKernel::kLinear && !plan_.IsBytes(graph_.nodes[reader].outputs[0]));
    });
    if (is_read_as_float || plan_.uses().is_output(input)) {
      endpoint.floats = NewFloats(input);
    }
    if (plan_.IsBytes(input)) {
      ASSIGN_OR_RETURN(endpoint.bytes, NewBytes(input));
    }
    compiled_->inputs.push_back(std::move(endpoint));
  }
  for (SlotInfo& slot : compiled_->layout->slots) {
    slot.first = 0;
  }
  return absl::OkStatus();
}

void Lowering::PlaceOutputs() {
  for (const ValueId output : graph_.outputs) {
    Endpoint endpoint;
    endpoint.shape = graph_.values[output].shape;
    endpoint.constant = graph_.values[output].constant;
    if (endpoint.constant == nullptr) {
      (floats_[output].has_value() ? endpoint.floats : endpoint.bytes) =
          floats_[output].has_value() ? floats_[output] : bytes_[output];
      Touch(endpoint.floats.has_value() ? *endpoint.floats : *endpoint.bytes);
    }
    compiled_->outputs.push_back(std::move(endpoint));
  }
}

absl::Status Lowering::LowerNode(size_t node) {
  if (plan_.kernel(node) == ByteKernel::kLinear) {
    return LowerLinear(node);
  }
  const bool on_bytes = plan_.kernel(node) != ByteKernel::kNone && plan_.IsBytes(graph_.nodes[node].outputs[0]);
  RETURN_IF_ERROR(on_bytes ? LowerBytes(node) : LowerFloat(node));
  FinishLocal(node);
  return absl::OkStatus();
}

absl::Status Lowering::LowerFloat(size_t index) {
  const Node& node = graph_.nodes[index];
  struct Operand {
    std::optional<Slot> slot;
    std::shared_ptr<const Tensor> constant;
  };
  std::vector<Operand> operands;
  for (const ValueId input : node.inputs) {
    Operand operand;
    if (input != graph::kNoValue) {
      operand.constant = graph_.values[input].constant;
      if (operand.constant == nullptr) {
        operand.slot = UseFloats(input);
      }
    }
    operands.push_back(std::move(operand));
  }
  absl::StatusOr<execution::PlainKernel> kernel = FloatKernel(graph_, node);
  if (!kernel.ok()) {
    return execution::AtNode(node, kernel.status());
  }
  const Slot output = NewFloats(node.outputs[0]);
  Do([operands = std::move(operands), kernel = *std::move(kernel), output](ArenaFrame& frame) {
    std::vector<std::span<const float>> inputs;
    for (const Operand& operand : operands) {
      inputs.push_back(operand.slot.has_value()      ? frame.floats(*operand.slot)
                       : operand.constant != nullptr ? operand.constant->values<float>()
                                                     : std::span<const float>());
    }
    kernel(inputs, frame.floats(output));
  });
  if (plan_.IsBytes(node.outputs[0])) {
    ASSIGN_OR_RETURN(const Slot bytes, NewBytes(node.outputs[0]));
    ASSIGN_OR_RETURN(const QuantizationParameters parameters, Parameters(node.outputs[0]));
    const ByteKernels& kernels = kernels_;
    Do([&kernels, shape = graph_.values[node.outputs[0]].shape, parameters, output, bytes](ArenaFrame& frame) {
      QuantizeTensor(kernels, shape, parameters, frame.floats(output).data(), frame.bytes(bytes).data());
    });
  }
  return absl::OkStatus();
}

absl::Status Lowering::LowerLinear(size_t index) {
  const Node& node = graph_.nodes[index];
  LinearNode linear = *AsLinear(graph_, node);
  ValueId value = AbsorbAffine(linear, node.outputs[0]);
  LinearStep step;
  LinearOutput output;
  if (plan_.IsBytes(value)) {
    const Clamp clamp = AbsorbClamps(value);
    step.max_pool = AbsorbMaxPool(value);
    ASSIGN_OR_RETURN(const auto parameters_and_bytes, OutputOf(value, clamp));
    output.parameters = parameters_and_bytes.first;
    output.bytes = parameters_and_bytes.second;
  }
  ASSIGN_OR_RETURN(const QuantizationParameters input, Parameters(node.inputs[0]));
  ASSIGN_OR_RETURN(step.layer, QuantizeLinear(node.name, linear, input, output));
  step.input = UseBytes(node.inputs[0]);
  // Several rows come channel by channel; ONNX has them row by row.
  const bool transposes =
      !output.parameters.has_value() && !IsImage(graph_.values[value].shape) && linear.geometry.output[1] > 1;
  if (output.parameters.has_value()) {
    ASSIGN_OR_RETURN(step.output, NewBytes(value));
  } else {
    step.output = transposes ? NewScratch(graph_.values[value].shape.num_elements() * sizeof(float)) : NewFloats(value);
  }
  const Slot by_channel = step.output;
  last_absorbed_ = 0;
  compiled_->steps.push_back({origin_[index], std::move(step)});
  compiled_->work.emplace_back();
  if (transposes) {
    AddTransposedOutput(index, value, by_channel);
  }
  return absl::OkStatus();
}

// Adds and multiplies by constants a channel right after the layer, into its factor and bias.
ValueId Lowering::AbsorbAffine(LinearNode& linear, ValueId value) {
  while (true) {
    const std::optional<size_t> reader = plan_.OnlyReader(value);
    if (!reader.has_value() || plan_.kernel(*reader) != ByteKernel::kAffine) {
      return value;
    }
    const Node& node = graph_.nodes[*reader];
    const std::optional<AffineNode> affine = AsAffine(graph_, node);
    if (!affine.has_value() || affine->factor.size() != linear.factor.size()) {
      return value;
    }
    for (size_t c = 0; c < linear.factor.size(); ++c) {
      linear.factor[c] *= affine->factor[c];
      linear.bias[c] = linear.bias[c] * affine->factor[c] + affine->shift[c];
    }
    Absorb(*reader);
    value = node.outputs[0];
  }
}

std::optional<kernels::PoolGeometry> Lowering::AbsorbMaxPool(ValueId& value) {
  const std::optional<size_t> reader = plan_.OnlyReader(value);
  if (!reader.has_value() || plan_.kernel(*reader) != ByteKernel::kMaxPool ||
      !plan_.IsBytes(graph_.nodes[*reader].outputs[0])) {
    return std::nullopt;
  }
  const absl::StatusOr<kernels::PoolGeometry> geometry = execution::PoolGeometryOf(graph_, graph_.nodes[*reader]);
  if (!geometry.ok()) {
    return std::nullopt;
  }
  Absorb(*reader);
  value = graph_.nodes[*reader].outputs[0];
  return *geometry;
}

void Lowering::AddTransposedOutput(size_t node, ValueId value, Slot by_channel) {
  Touch(by_channel);
  const Slot output = NewFloats(value);
  const auto channels = static_cast<size_t>(FormOf(graph_.values[value].shape, {}).channels);
  Do([by_channel, output, channels](ArenaFrame& frame) {
    const std::span<const float> from = frame.floats(by_channel);
    const std::span<float> to = frame.floats(output);
    const size_t rows = to.size() / channels;
    for (size_t row = 0; row < rows; ++row) {
      for (size_t c = 0; c < channels; ++c) {
        to[row * channels + c] = from[c * rows + row];
      }
    }
  });
  FinishLocal(node);
}

// Once all steps have their place: runners refer to the layers there.
absl::Status Lowering::AddRunners() {
  for (size_t i = 0; i < compiled_->steps.size(); ++i) {
    const auto* step = std::get_if<LinearStep>(&compiled_->steps[i].kind);
    if (step == nullptr) {
      continue;
    }
    Work& work = compiled_->work[i];
    absl::StatusOr<std::unique_ptr<LinearRunner>> runner =
        LinearRunner::Create(step->layer, step->max_pool, options_.isa);
    if (!runner.ok()) {
      return absl::Status(runner.status().code(),
                          "layer " + step->layer.name + ": " + std::string(runner.status().message()));
    }
    work.runner = *std::move(runner);
    work.scratch = NewScratch(work.runner->scratch_bytes());
    compiled_->layout->slots[work.scratch].first = compiled_->layout->slots[work.scratch].last = i + 1;
  }
  return absl::OkStatus();
}

Lowering::Clamp Lowering::AbsorbClamps(ValueId& value) {
  Clamp clamp = {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  while (true) {
    const std::optional<size_t> reader = plan_.OnlyReader(value);
    if (!reader.has_value() || !plan_.IsBytes(graph_.nodes[*reader].outputs[0])) {
      return clamp;
    }
    const std::optional<kernels::Activation> activation = execution::ActivationOf(graph_.nodes[*reader]);
    if (!activation.has_value() || (activation->kind != kernels::Activation::Kind::kRelu &&
                                    activation->kind != kernels::Activation::Kind::kClip)) {
      return clamp;
    }
    clamp = {Evaluate(*activation, clamp.low), Evaluate(*activation, clamp.high)};
    Absorb(*reader);
    value = graph_.nodes[*reader].outputs[0];
  }
}

absl::StatusOr<std::pair<QuantizationParameters, ByteOutput>> Lowering::OutputOf(ValueId value,
                                                                                 const Clamp& clamp) const {
  ASSIGN_OR_RETURN(const QuantizationParameters parameters, Parameters(value));
  ByteOutput output;
  output.zero_point = parameters.zero_point;
  output.min = QuantizeReal(clamp.low, parameters);
  output.max = std::max(QuantizeReal(clamp.high, parameters), output.min);
  return std::pair(parameters, output);
}

Slot Lowering::NewSlot(SlotInfo info) {
  info.first = info.last = time();
  compiled_->layout->slots.push_back(info);
  return static_cast<Slot>(compiled_->layout->slots.size() - 1);
}

Slot Lowering::NewFloats(ValueId value) {
  SlotInfo info;
  info.size_bytes = graph_.values[value].shape.num_elements() * sizeof(float);
  floats_[value] = NewSlot(info);
  return *floats_[value];
}

absl::StatusOr<Slot> Lowering::NewBytes(ValueId value) {
  ASSIGN_OR_RETURN(const QuantizationParameters parameters, Parameters(value));
  SlotInfo info;
  info.form = FormOf(graph_.values[value].shape, parameters);
  info.size_bytes = PaddedBytes(*info.form);
  bytes_[value] = NewSlot(info);
  return *bytes_[value];
}

Slot Lowering::NewScratch(size_t size_bytes) {
  SlotInfo info;
  info.size_bytes = size_bytes;
  return NewSlot(info);
}

void Lowering::Touch(Slot slot) { compiled_->layout->slots[slot].last = time(); }

Slot Lowering::UseBytes(ValueId value) {
  Touch(*bytes_[value]);
  return *bytes_[value];
}

Slot Lowering::UseFloats(ValueId value) {
  if (floats_[value].has_value()) {
    Touch(*floats_[value]);
    return *floats_[value];
  }
  const Slot from = UseBytes(value);
  const Slot to = NewFloats(value);
  const QuantizationParameters parameters = compiled_->layout->slots[from].form->parameters;
  const ByteKernels& kernels = kernels_;
  Do([&kernels, shape = graph_.values[value].shape, parameters, from, to](ArenaFrame& frame) {
    DequantizeTensor(kernels, shape, parameters, frame.bytes(from).data(), frame.floats(to).data());
  });
  return to;
}

void Lowering::Absorb(size_t node) {
  absorbed_[node] = true;
  last_absorbed_ = std::max(last_absorbed_, node);
}

void Lowering::FinishLocal(size_t node) {
  const size_t last = std::max(node, last_absorbed_);
  last_absorbed_ = 0;
  compiled_->steps.push_back({origin_[last], LocalStep{graph_.nodes[last].name}});
  compiled_->work.emplace_back();
  compiled_->work.back().operations = std::move(operations_);
  operations_.clear();
}

}  // namespace shoji::quantization
