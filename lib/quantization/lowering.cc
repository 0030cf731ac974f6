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
      wide_(graph.values.size()),
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
    if (IsReadAsFloat(input)) {
      endpoint.floats = NewFloats(input);
    }
    if (plan_.IsWide(input)) {
      endpoint.wide = NewWide(input);
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
      if (floats_[output].has_value()) {
        endpoint.floats = floats_[output];
      } else if (wide_[output].has_value()) {
        endpoint.wide = wide_[output];
      } else {
        endpoint.bytes = bytes_[output];
      }
      for (const std::optional<Slot>& slot : {endpoint.floats, endpoint.wide, endpoint.bytes}) {
        if (slot.has_value()) {
          Touch(*slot);
        }
      }
    }
    compiled_->outputs.push_back(std::move(endpoint));
  }
}

absl::Status Lowering::LowerNode(size_t node) {
  switch (plan_.kernel(node)) {
    case ByteKernel::kLinear:
      return LowerLinear(node);
    case ByteKernel::kFunction:
    case ByteKernel::kPair:
    case ByteKernel::kAffine:
      return LowerChain(node);
    case ByteKernel::kAverage:
      RETURN_IF_ERROR(LowerAverage(node));
      break;
    case ByteKernel::kMaxPool:
      RETURN_IF_ERROR(LowerMaxPool(node));
      break;
    case ByteKernel::kMove:
      RETURN_IF_ERROR(LowerMove(node));
      break;
    case ByteKernel::kNone:
      RETURN_IF_ERROR(LowerFloat(node));
      break;
  }
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
  return AddFormsOf(node.outputs[0], output);
}

absl::Status Lowering::AddFormsOf(ValueId value, Slot floats) {
  const Shape& shape = graph_.values[value].shape;
  if (plan_.IsWide(value)) {
    Do([shape, floats, wide = NewWide(value)](ArenaFrame& frame) {
      WidenTensor(shape, frame.floats(floats).data(), frame.floats(wide).data());
    });
  }
  if (plan_.IsBytes(value)) {
    ASSIGN_OR_RETURN(const Slot bytes, NewBytes(value));
    ASSIGN_OR_RETURN(const ByteTensor form, plan_.FormOfValue(value));
    const ByteKernels& kernels = kernels_;
    Do([&kernels, shape, form, floats, bytes](ArenaFrame& frame) {
      QuantizeTensor(kernels, shape, form, frame.floats(floats).data(), frame.bytes(bytes).data());
    });
  }
  return absl::OkStatus();
}

absl::Status Lowering::LowerLinear(size_t index) {
  const Node& node = graph_.nodes[index];
  LinearNode linear = *AsLinear(graph_, node);
  RETURN_IF_ERROR(Correct(node.outputs[0], linear));
  ValueId value = AbsorbAffine(linear, node.outputs[0]);
  LinearStep step;
  LinearOutput output;
  const std::optional<ByteResult> bytes = ByteResultOf(value);
  if (bytes.has_value()) {
    for (const size_t absorbed : bytes->absorbed) {
      Absorb(absorbed);
    }
    value = bytes->value;
    step.max_pool = bytes->max_pool;
    ASSIGN_OR_RETURN(output, OutputOf(value, bytes->clamp));
  }
  ASSIGN_OR_RETURN(const ByteTensor input, plan_.FormOfValue(node.inputs[0]));
  ASSIGN_OR_RETURN(step.layer, QuantizeLinear(node.name, linear, input, output, options_));
  step.input = UseBytes(node.inputs[0]);
  if (bytes.has_value()) {
    ASSIGN_OR_RETURN(step.output, NewBytes(value));
  } else {
    step.output = NewWide(value);
  }
  last_absorbed_ = 0;
  compiled_->steps.push_back({origin_[index], std::move(step)});
  compiled_->work.emplace_back();
  return !bytes.has_value() && plan_.IsBytes(value) ? NarrowOutputOf(index, value) : absl::OkStatus();
}

// What calibration found out about the layer that makes `value`.
absl::Status Lowering::Correct(ValueId value, LinearNode& linear) const {
  const Range* range = plan_.RangeOf(value);
  if (range == nullptr) {
    return absl::OkStatus();
  }
  const size_t num_weights = linear.factor.size() * linear.per_channel;
  if ((!range->correction.empty() && range->correction.size() != linear.bias.size()) ||
      (!range->rounding.empty() && range->rounding.size() != num_weights)) {
    return absl::InvalidArgumentError("the range of " + graph_.values[value].name + " has " +
                                      std::to_string(range->correction.size()) + " corrections and " +
                                      std::to_string(range->rounding.size()) + " roundings for a layer of " +
                                      std::to_string(linear.bias.size()) + " channels and " +
                                      std::to_string(num_weights) + " weights; calibrate this model");
  }
  for (size_t c = 0; c < range->correction.size(); ++c) {
    linear.bias[c] += static_cast<double>(range->correction[c]);
  }
  linear.rounding = range->rounding;
  return absl::OkStatus();
}

// Adds and multiplies by constants a channel right after the layer, into its factor and bias.
ValueId Lowering::AbsorbAffine(LinearNode& linear, ValueId value) {
  while (true) {
    const std::optional<size_t> reader = plan_.OnlyReader(value);
    if (!reader.has_value()) {
      return value;
    }
    const Node& node = graph_.nodes[*reader];
    const std::optional<graph::Affine> affine = AsAffine(graph_, node);
    if (!affine.has_value() || affine->scale.size() != linear.factor.size()) {
      return value;
    }
    for (size_t c = 0; c < linear.factor.size(); ++c) {
      linear.factor[c] *= affine->scale[c];
      linear.bias[c] = linear.bias[c] * affine->scale[c] + affine->shift[c];
    }
    Absorb(*reader);
    value = node.outputs[0];
  }
}

std::optional<Lowering::ByteResult> Lowering::ByteResultOf(ValueId value) const {
  ByteResult result;
  result.value = value;
  result.clamp = ClampsAfter(result.value, result.absorbed);
  if (!plan_.IsBytes(result.value) || IsMadeWide(result.value)) {
    return std::nullopt;
  }
  const std::optional<size_t> reader = plan_.OnlyReader(result.value);
  if (!reader.has_value() || plan_.kernel(*reader) != ByteKernel::kMaxPool) {
    return result;
  }
  const absl::StatusOr<kernels::PoolGeometry> geometry = execution::PoolGeometryOf(graph_, graph_.nodes[*reader]);
  if (geometry.ok()) {
    result.absorbed.push_back(*reader);
    result.value = graph_.nodes[*reader].outputs[0];
    result.max_pool = *geometry;
  }
  return result;
}

// Once all steps have their place: runners refer to the layers there.
absl::Status Lowering::AddRunners() {
  for (size_t i = 0; i < compiled_->steps.size(); ++i) {
    const auto* step = std::get_if<LinearStep>(&compiled_->steps[i].kind);
    if (step == nullptr) {
      continue;
    }
    Work& work = compiled_->work[i];
    absl::StatusOr<std::unique_ptr<LinearRunner>> runner = LinearRunner::Create(step->layer, step->max_pool, options_);
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

Lowering::Clamp Lowering::ClampsAfter(ValueId& value, std::vector<size_t>& absorbed) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Clamp clamp = {-kInfinity, kInfinity};
  while (true) {
    const std::optional<size_t> reader = plan_.OnlyReader(value);
    if (!reader.has_value() || plan_.kernel(*reader) != ByteKernel::kFunction) {
      return clamp;
    }
    const Node& node = graph_.nodes[*reader];
    const std::optional<kernels::Activation> activation = execution::ActivationOf(node);
    using Kind = kernels::Activation::Kind;
    if (activation->kind != Kind::kRelu && activation->kind != Kind::kClip) {
      return clamp;
    }
    const bool is_relu = activation->kind == Kind::kRelu;
    const double low = is_relu ? 0 : static_cast<double>(activation->alpha);
    const double high = is_relu ? kInfinity : static_cast<double>(activation->beta);
    clamp.low = std::min(std::max(clamp.low, low), high);
    clamp.high = std::min(std::max(clamp.high, low), high);
    absorbed.push_back(*reader);
    value = node.outputs[0];
  }
}

absl::StatusOr<LinearOutput> Lowering::OutputOf(ValueId value, const Clamp& clamp) const {
  LinearOutput output;
  ASSIGN_OR_RETURN(output.form, plan_.FormOfValue(value));
  const QuantizationParameters& parameters = output.form->parameters;
  output.bytes.zero_point = parameters.zero_point;
  // Where channels have scales, a bound is another byte in each. The loosest is taken: a channel's range, where its
  // bytes end, is within what the clamp gave while it was calibrated.
  double least = 1;
  for (const float scale : output.form->scales) {
    least = std::min(least, static_cast<double>(scale));
  }
  output.bytes.min = QuantizeReal(std::min(clamp.low, clamp.low / least), parameters);
  output.bytes.max = std::max(QuantizeReal(std::max(clamp.high, clamp.high / least), parameters), output.bytes.min);
  return output;
}

bool Lowering::IsReadAsFloat(ValueId value) const {
  const std::vector<size_t>& readers = plan_.uses().readers(value);
  return plan_.uses().is_output(value) || std::any_of(readers.begin(), readers.end(), [&](size_t reader) {
           return plan_.kernel(reader) == ByteKernel::kNone;
         });
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

Slot Lowering::NewWide(ValueId value) {
  SlotInfo info;
  info.size_bytes = PaddedBytes(FormOf(graph_.values[value].shape, {})) * sizeof(float);
  wide_[value] = NewSlot(info);
  return *wide_[value];
}

absl::StatusOr<Slot> Lowering::NewBytes(ValueId value) {
  SlotInfo info;
  ASSIGN_OR_RETURN(info.form, plan_.FormOfValue(value));
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
  const Shape& shape = graph_.values[value].shape;
  if (wide_[value].has_value()) {
    Touch(*wide_[value]);
    Do([shape, from = *wide_[value], to = NewFloats(value)](ArenaFrame& frame) {
      UnwidenTensor(shape, frame.floats(from).data(), frame.floats(to).data());
    });
    return *floats_[value];
  }
  const Slot from = UseBytes(value);
  const ByteKernels& kernels = kernels_;
  Do([&kernels, shape, form = *compiled_->layout->slots[from].form, from, to = NewFloats(value)](ArenaFrame& frame) {
    DequantizeTensor(kernels, shape, form, frame.bytes(from).data(), frame.floats(to).data());
  });
  return *floats_[value];
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
  compiled_->work.back().chain = std::move(chain_);
  compiled_->work.back().chain_scratch = chain_scratch_;
  operations_.clear();
  chain_.reset();
}

}  // namespace shoji::quantization
