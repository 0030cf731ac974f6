// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_lowering.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/execution/node_access.h"
#include "lib/execution/plain_kernels.h"
#include "lib/graph/cost.h"

namespace shoji::accelerator::open_segment {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;

constexpr size_t kAlignment = 64;
// The passes that follow count elements in 32 bits, and step by less than this beyond the last.
constexpr size_t kMaxElements = (size_t{1} << 31) - 1 - (size_t{1} << 24);

size_t AlignedSize(size_t size_bytes) { return (size_bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t SizeOf(const graph::Value& value) { return value.shape.num_elements() * shoji::SizeOf(value.type); }

absl::Status CheckSizes(const graph::Graph& graph) {
  for (const graph::Value& value : graph.values) {
    if (value.shape.num_elements() > kMaxElements) {
      return absl::UnimplementedError("value " + value.name +
                                      " has more elements than the device's kernels count: " + value.shape.ToString());
    }
  }
  return absl::OkStatus();
}

}  // namespace

Lowering::Lowering(const graph::Graph& graph, const OpenPlanOptions& options)
    : graph_(graph),
      options_(options),
      uses_(graph),
      parts_(graph.values.size()),
      places_(graph.values.size()),
      ready_(graph.values.size()),
      done_(graph.nodes.size()) {}

absl::StatusOr<std::unique_ptr<Lowering>> Lowering::Create(const graph::Graph& graph, const OpenPlanOptions& options) {
  RETURN_IF_ERROR(CheckSizes(graph));
  std::unique_ptr<Lowering> out(new Lowering(graph, options));
  for (const ValueId input : graph.inputs) {
    out->plan_.inputs.push_back({graph.values[input].type, graph.values[input].shape});
    out->plan_.input_places.push_back(out->Out(input));
  }
  out->FindParts();
  return out;
}

void Lowering::FindParts() {
  for (const Node& node : graph_.nodes) {
    if (node.op == Op::kConcat) {
      FindPartsOf(node);
    }
  }
}

// Parts that stand in one piece in the whole and are computed for it. One that is in several wholes is computed in the
// first.
void Lowering::FindPartsOf(const Node& concat) {
  const ValueId whole = concat.outputs[0];
  const auto* attributes = std::get_if<graph::AxisAttributes>(&concat.attributes);
  const absl::StatusOr<kernels::AxisView> view = kernels::MakeAxisView(value(whole).shape, attributes->axis);
  if (!view.ok() || view->outer != 1) {
    return;
  }
  size_t offset = 0;
  for (const ValueId id : concat.inputs) {
    if (value(id).constant == nullptr && !ready_[id] && !parts_[id].has_value()) {
      parts_[id] = Part{whole, offset};
    }
    offset += SizeOf(value(id));
  }
}

bool Lowering::IsInPlace(size_t node, size_t position) const {
  const Node& concat = graph_.nodes[node];
  const ValueId id = concat.inputs[position];
  if (!parts_[id].has_value() || parts_[id]->whole != concat.outputs[0] || !places_[concat.outputs[0]].has_value()) {
    return false;
  }
  size_t offset = 0;
  for (size_t i = 0; i < position; ++i) {
    offset += SizeOf(value(concat.inputs[i]));
  }
  const Place& whole = *places_[concat.outputs[0]];
  const Place& part = *places_[id];
  return part.buffer == whole.buffer && part.offset == whole.offset + offset;
}

void Lowering::Touch(const Place& place) {
  execution::Lifetime& lifetime = lifetimes_[place.buffer];
  lifetime.first = std::min(lifetime.first, node_);
  lifetime.last = std::max(lifetime.last, node_);
}

Place Lowering::NewBuffer(size_t size_bytes) {
  plan_.buffers.push_back({OpenBuffer::Memory::kArena, 0});
  lifetimes_.push_back({size_bytes, node_, node_});
  return {plan_.buffers.size() - 1, 0};
}

Place Lowering::Reserve(ValueId id) {
  if (!places_[id].has_value()) {
    if (parts_[id].has_value()) {
      const Place whole = Reserve(parts_[id]->whole);
      places_[id] = Place{whole.buffer, whole.offset + parts_[id]->offset};
    } else {
      places_[id] = NewBuffer(SizeOf(value(id)));
    }
  }
  return *places_[id];
}

absl::StatusOr<Place> Lowering::In(ValueId id) {
  if (value(id).constant != nullptr) {
    return Constant(value(id).constant);
  }
  Touch(*places_[id]);
  return *places_[id];
}

Place Lowering::Out(ValueId id) {
  const Place place = Reserve(id);
  Touch(place);
  ready_[id] = true;
  return place;
}

void Lowering::SetPlace(ValueId id, const Place& place) {
  places_[id] = place;
  ready_[id] = true;
}

Place Lowering::Scratch(size_t num_elements) { return NewBuffer(num_elements * sizeof(float)); }

absl::Status Lowering::CheckRoom(size_t size_bytes) const {
  const size_t room = options_.max_constant_bytes - std::min(plan_.constant_bytes, options_.max_constant_bytes);
  if (AlignedSize(size_bytes) > room) {
    return absl::ResourceExhaustedError("the constants need more than the allowed " +
                                        std::to_string(options_.max_constant_bytes) + " bytes");
  }
  return absl::OkStatus();
}

absl::StatusOr<Place> Lowering::Constant(const std::shared_ptr<const Tensor>& tensor) {
  if (const auto known = constants_.find(tensor.get()); known != constants_.end()) {
    return known->second;
  }
  RETURN_IF_ERROR(CheckRoom(tensor->size_bytes()));
  plan_.buffers.push_back({OpenBuffer::Memory::kConstants, plan_.constant_bytes});
  lifetimes_.push_back({});
  plan_.constants.push_back({tensor, plan_.constant_bytes});
  plan_.constant_bytes += AlignedSize(tensor->size_bytes());
  const Place place = {plan_.buffers.size() - 1, 0};
  constants_[tensor.get()] = place;
  return place;
}

void Lowering::AddStep(size_t num_kernels, Bind bind) {
  plan_.num_kernels += num_kernels;
  if (num_kernels > 0) {
    plan_.steps.push_back(
        {graph_.nodes[node_].name, graph::CostOf(graph_, node_, node_ + 1).operations, std::move(bind)});
  }
}

absl::Status Lowering::LowerAll() {
  for (node_ = 0; node_ < graph_.nodes.size(); ++node_) {
    if (done_[node_]) {
      continue;
    }
    done_[node_] = true;
    if (const absl::Status status = LowerNode(*this, node_); !status.ok()) {
      return execution::AtNode(graph_.nodes[node_], status);
    }
    if (plan_.num_kernels > options_.max_kernels) {
      return execution::AtNode(graph_.nodes[node_],
                               absl::UnimplementedError("a run would launch more than " +
                                                        std::to_string(options_.max_kernels) + " kernels"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<OpenPlan> Lowering::Finish() {
  RETURN_IF_ERROR(LowerAll());
  for (const ValueId output : graph_.outputs) {
    plan_.outputs.push_back({value(output).type, value(output).shape});
    ASSIGN_OR_RETURN(const Place place, In(output));
    plan_.output_places.push_back(place);
  }
  for (const Place& input : plan_.input_places) {
    lifetimes_[input.buffer].first = 0;
  }
  std::vector<execution::Lifetime> lifetimes;
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    if (plan_.buffers[i].memory == OpenBuffer::Memory::kArena) {
      lifetimes.push_back(lifetimes_[i]);
    }
  }
  ASSIGN_OR_RETURN(const execution::MemoryPlan memory, execution::PlanMemory(lifetimes, options_.max_arena_bytes));
  size_t next = 0;
  for (OpenBuffer& buffer : plan_.buffers) {
    if (buffer.memory == OpenBuffer::Memory::kArena) {
      buffer.offset = memory.offsets[next++];
    }
  }
  plan_.arena_bytes = memory.size_bytes;
  if (plan_.MemoryBytes(1) > options_.max_memory_bytes) {
    return absl::ResourceExhaustedError("constants and one run, with its " + std::to_string(plan_.num_kernels) +
                                        " kernels, need " + std::to_string(plan_.MemoryBytes(1)) +
                                        " bytes, more than the allowed " + std::to_string(options_.max_memory_bytes));
  }
  return std::move(plan_);
}

absl::Status LowerNode(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  if (lowering.value(node.outputs[0]).shape.num_elements() == 0) {
    lowering.Out(node.outputs[0]);
    return absl::OkStatus();
  }
  const bool may_be_empty = node.op == Op::kConcat || node.op == Op::kPad;
  for (const ValueId input : node.inputs) {
    if (!may_be_empty && input != graph::kNoValue && lowering.value(input).shape.num_elements() == 0) {
      return absl::UnimplementedError("the device's kernels need elements to work on");
    }
  }
  if (node.op == Op::kConv || node.op == Op::kGemm || node.op == Op::kMatMul) {
    return LowerLinear(lowering, node_index);
  }
  return LowerOther(lowering, node_index);
}

absl::StatusOr<Tail> TakeTail(Lowering& lowering, size_t node, execution::Residuals residuals) {
  Tail tail;
  tail.chain = execution::FindChain(lowering.graph(), lowering.uses(), node, residuals, [&](ValueId id) {
    return lowering.IsReady(id) || lowering.value(id).constant != nullptr;
  });
  if (tail.chain.residual != graph::kNoValue) {
    ASSIGN_OR_RETURN(tail.residual, lowering.In(tail.chain.residual));
  }
  for (const size_t absorbed : tail.chain.absorbed) {
    lowering.MarkDone(absorbed);
  }
  tail.y = lowering.Out(tail.chain.output);
  return tail;
}

Epilogue EpilogueOf(const Tail& tail, const std::optional<Place>& bias, const Addresses& at,
                    const std::optional<kernels::Activation>& first) {
  Epilogue out;
  out.bias = bias.has_value() ? at.In(*bias) : nullptr;
  out.residual = tail.residual.has_value() ? at.In(*tail.residual) : nullptr;
  const auto add = [&](const kernels::Activation& activation) {
    SHOJI_CHECK(out.num_activations < Epilogue::kMaxActivations);
    out.activations[out.num_activations++] = activation;
  };
  if (first.has_value()) {
    add(*first);
  }
  for (const kernels::Activation& activation : tail.chain.activations) {
    add(activation);
  }
  return out;
}

absl::StatusOr<Sliding> SlidingOf(const kernels::Window& window, const kernels::Extents& input,
                                  const kernels::Extents& output) {
  Sliding out;
  for (size_t axis = 0; axis < 2; ++axis) {
    // Each term is at most 2^40.
    const int64_t farthest =
        input[axis] + window.pads[axis] + window.pads[axis + 2] + window.Span(axis) + window.strides[axis];
    if (farthest > INT32_MAX) {
      return absl::UnimplementedError("a window that reaches too far");
    }
    out.kernel[axis] = static_cast<int32_t>(window.kernel[axis]);
    out.strides[axis] = static_cast<int32_t>(window.strides[axis]);
    out.dilations[axis] = static_cast<int32_t>(window.dilations[axis]);
    out.pads[axis] = static_cast<int32_t>(window.pads[axis]);
    out.pads[axis + 2] = static_cast<int32_t>(window.pads[axis + 2]);
    out.input[axis] = static_cast<int32_t>(input[axis]);
    out.output[axis] = static_cast<int32_t>(output[axis]);
  }
  return out;
}

Nest NestOf(const kernels::LoopNest& nest, std::span<const size_t> loops) {
  Nest out;
  for (const size_t loop : loops) {
    out.extents[out.rank] = Narrow(nest.extents[loop]);
    for (size_t operand = 0; operand < nest.strides.size(); ++operand) {
      out.strides[operand][out.rank] = static_cast<int32_t>(nest.strides[operand][loop]);
    }
    ++out.rank;
  }
  if (out.rank == 0) {
    out.rank = 1;
    out.extents[0] = 1;
  }
  for (size_t operand = 0; operand < nest.offsets.size(); ++operand) {
    out.offsets[operand] = static_cast<int32_t>(nest.offsets[operand]);
  }
  return out;
}

Nest NestOf(const kernels::LoopNest& nest) {
  std::vector<size_t> loops;
  for (size_t d = 0; d < nest.rank; ++d) {
    loops.push_back(d);
  }
  return NestOf(nest, loops);
}

uint32_t Narrow(int64_t extent) {
  SHOJI_CHECK(extent >= 0 && extent <= INT32_MAX);
  return static_cast<uint32_t>(extent);
}

uint32_t NumElements(const Lowering& lowering, ValueId id) {
  return Narrow(static_cast<int64_t>(lowering.value(id).shape.num_elements()));
}

}  // namespace shoji::accelerator::open_segment
