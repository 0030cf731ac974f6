// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/builder.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/execution/concat_part.h"
#include "lib/execution/conv_plan.h"
#include "lib/execution/memory_plan.h"
#include "lib/kernels/blocked/convolution.h"
#include "lib/kernels/onednn/linear.h"
#include "lib/kernels/onednn/movement.h"

namespace shoji::execution {
namespace {

// Where most memory is in use at a time: "node conv_1, 1048576 bytes".
std::string FullestStep(const CompiledGraph& compiled, const std::vector<Lifetime>& lifetimes) {
  std::vector<size_t> in_use(compiled.steps.size());
  for (const Lifetime& lifetime : lifetimes) {
    for (size_t step = lifetime.first; step <= lifetime.last && step < in_use.size(); ++step) {
      in_use[step] += std::min(lifetime.size_bytes, SIZE_MAX - in_use[step]);
    }
  }
  const auto fullest = std::max_element(in_use.begin(), in_use.end());
  if (fullest == in_use.end()) {
    return "no node";
  }
  const Step& step = compiled.steps[static_cast<size_t>(fullest - in_use.begin())];
  return "node " + step.name + ", " + std::to_string(*fullest) + " bytes";
}

}  // namespace

using graph::ValueId;
using kernels::onednn::Layout;
using kernels::onednn::Primitive;

Builder::Builder(const graph::Graph& graph, const CompileOptions& options)
    : graph_(graph),
      options_(options),
      uses_(graph),
      ops_(options.num_threads == 1 ? kernels::blocked::OpsFor(kernels::onednn::ChannelBlock()) : nullptr),
      conv_forms_(PlanConvolutions(ops_, graph)),
      compiled_(std::make_unique<CompiledGraph>()),
      places_(graph.values.size()),
      done_(graph.nodes.size()) {
  compiled_->num_threads = options.num_threads;
  for (ValueId id = 0; id < graph.values.size(); ++id) {
    num_unread_.push_back(uses_.readers(id).size());
  }
}

absl::StatusOr<std::unique_ptr<Builder>> Builder::Create(const graph::Graph& graph, const CompileOptions& options) {
  std::unique_ptr<Builder> builder(new Builder(graph, options));
  ASSIGN_OR_RETURN(builder->compiled_->engine, kernels::onednn::Engine::Create());
  RETURN_IF_ERROR(builder->PlaceInputsAndConstants());
  return builder;
}

absl::Status Builder::PlaceInputsAndConstants() {
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    const ValueId id = graph_.inputs[i];
    const graph::Value& value = graph_.values[id];
    if (value.type != DataType::kFloat32) {
      return absl::UnimplementedError("input " + value.name + " is " + std::string(NameOf(value.type)) +
                                      "; only float32 is run");
    }
    Buffer buffer;
    buffer.kind = Buffer::Kind::kInput;
    buffer.index = i;
    buffer.size_bytes = value.shape.num_elements() * sizeof(float);
    compiled_->buffers.push_back(std::move(buffer));
    compiled_->inputs.push_back({value.type, value.shape});
    values_inside_.emplace_back();
    ASSIGN_OR_RETURN(const Layout layout, Layout::Plain(value.shape.dims()));
    SetPlace(id, {static_cast<BufferId>(compiled_->buffers.size() - 1), layout});
  }
  for (ValueId id = 0; id < graph_.values.size(); ++id) {
    const graph::Value& value = graph_.values[id];
    const bool used = !uses_.readers(id).empty() || uses_.is_output(id);
    if (value.constant != nullptr && used) {
      ASSIGN_OR_RETURN(const BufferId buffer, NewConstant(value.constant));
      ASSIGN_OR_RETURN(const Layout layout, Layout::Plain(value.shape.dims()));
      SetPlace(id, {buffer, layout});
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<BufferId> Builder::NewConstant(std::shared_ptr<const Tensor> tensor) {
  Buffer buffer;
  buffer.kind = Buffer::Kind::kConstant;
  buffer.size_bytes = tensor->size_bytes();
  buffer.constant = std::move(tensor);
  compiled_->buffers.push_back(std::move(buffer));
  values_inside_.emplace_back();
  return static_cast<BufferId>(compiled_->buffers.size() - 1);
}

absl::Status Builder::CountConstant(size_t size_bytes) {
  if (size_bytes > options_.max_constant_bytes || constant_bytes_ > options_.max_constant_bytes - size_bytes) {
    return absl::ResourceExhaustedError("the graph's weights need more than the allowed " +
                                        std::to_string(options_.max_constant_bytes) + " bytes");
  }
  constant_bytes_ += size_bytes;
  return absl::OkStatus();
}

absl::StatusOr<Place> Builder::NewWeight(size_t num_elements, std::function<void(std::span<float>)> fill) {
  RETURN_IF_ERROR(CountConstant(num_elements * sizeof(float)));
  ASSIGN_OR_RETURN(const Shape shape, Shape::Create({static_cast<int64_t>(num_elements)}));
  ASSIGN_OR_RETURN(const Layout layout, Layout::Plain(shape.dims()));
  Buffer buffer;
  buffer.kind = Buffer::Kind::kConstant;
  buffer.size_bytes = num_elements * sizeof(float);
  compiled_->buffers.push_back(std::move(buffer));
  values_inside_.emplace_back();
  const auto id = static_cast<BufferId>(compiled_->buffers.size() - 1);
  unfilled_.push_back({id, shape, std::move(fill)});
  return Place{id, layout};
}

void Builder::FillWeights() {
  for (UnfilledWeight& weight : unfilled_) {
    auto tensor = std::make_shared<Tensor>(DataType::kFloat32, weight.shape);
    weight.fill(tensor->mutable_values<float>());
    weight.fill = nullptr;  // and with it, what it read
    compiled_->buffers[weight.buffer].constant = std::move(tensor);
  }
}

absl::StatusOr<Place> Builder::Plain(ValueId value) {
  for (const Place& place : places_[value]) {
    if (place.layout.HasPlainBytes()) {
      return place;
    }
  }
  ASSIGN_OR_RETURN(const Layout plain, Layout::Plain(graph_.values[value].shape.dims()));
  return In(value, plain);
}

absl::StatusOr<Place> Builder::In(ValueId value, const Layout& layout) {
  for (const Place& place : places_[value]) {
    if (place.layout == layout || (place.layout.HasPlainBytes() && layout.HasPlainBytes())) {
      return Place{place.buffer, layout, place.offset};
    }
  }
  const Place from = Anywhere(value);
  const Buffer& buffer = compiled_->buffers[from.buffer];
  if (buffer.kind == Buffer::Kind::kConstant) {
    ASSIGN_OR_RETURN(Place place, Weight(buffer.constant, from.layout, layout));
    SetPlace(value, place);
    return place;
  }
  ASSIGN_OR_RETURN(Primitive reorder, kernels::onednn::MakeReorder(engine(), from.layout, layout));
  ASSIGN_OR_RETURN(Place place, NewPlace(value, layout));
  AddStep(graph_.values[value].name, std::move(reorder), {&from, 1}, place);
  SetPlace(value, place);
  return place;
}

absl::StatusOr<Place> Builder::Weight(const std::shared_ptr<const Tensor>& tensor, const Layout& source,
                                      const Layout& wanted) {
  if (source == wanted || (source.HasPlainBytes() && wanted.HasPlainBytes())) {
    ASSIGN_OR_RETURN(const BufferId buffer, NewConstant(tensor));
    return Place{buffer, wanted};
  }
  const size_t size = wanted.size_bytes();
  RETURN_IF_ERROR(CountConstant(size));
  ASSIGN_OR_RETURN(const Primitive reorder, kernels::onednn::MakeReorder(engine(), source, wanted));
  ASSIGN_OR_RETURN(const Shape shape, Shape::Create({static_cast<int64_t>(size / sizeof(float))}));
  auto packed = std::make_shared<Tensor>(DataType::kFloat32, shape);
  const float* from = tensor->values<float>().data();
  RETURN_IF_ERROR(kernels::onednn::RunOnce(engine(), reorder, {&from, 1}, packed->mutable_values<float>().data()));
  ASSIGN_OR_RETURN(const BufferId buffer, NewConstant(std::move(packed)));
  return Place{buffer, wanted};
}

absl::StatusOr<BufferId> Builder::NewBuffer(size_t size_bytes) {
  if (size_bytes > options_.max_workspace_bytes) {
    return absl::ResourceExhaustedError("an intermediate value needs " + std::to_string(size_bytes) +
                                        " bytes; the limit for all is " + std::to_string(options_.max_workspace_bytes));
  }
  Buffer buffer;
  buffer.size_bytes = size_bytes;
  compiled_->buffers.push_back(std::move(buffer));
  values_inside_.emplace_back();
  return static_cast<BufferId>(compiled_->buffers.size() - 1);
}

// In an output that lies part behind part, the place of `value` in the first concatenation that reads it.
absl::StatusOr<Place> Builder::NewPlace(ValueId value, const Layout& layout) {
  const std::optional<ConcatPart> part = ConcatPartOf(graph_, uses_, value, layout);
  if (!part.has_value() || done_[part->node]) {
    ASSIGN_OR_RETURN(const BufferId buffer, NewBuffer(layout.size_bytes()));
    return Place{buffer, layout};
  }
  auto concat = concats_.find(part->node);
  if (concat == concats_.end()) {
    ASSIGN_OR_RETURN(const BufferId buffer, NewBuffer(part->whole.size_bytes()));
    concat = concats_.emplace(part->node, Place{buffer, part->whole}).first;
  }
  if (!(concat->second.layout == part->whole)) {
    ASSIGN_OR_RETURN(const BufferId buffer, NewBuffer(layout.size_bytes()));
    return Place{buffer, layout};
  }
  return Place{concat->second.buffer, layout, part->offset};
}

absl::StatusOr<Place> Builder::NewPlainPlace(ValueId value) {
  ASSIGN_OR_RETURN(const Layout plain, Layout::Plain(graph_.values[value].shape.dims()));
  return NewPlace(value, plain);
}

bool Builder::IsPart(ValueId value, const Layout& layout) const {
  const std::optional<ConcatPart> part = ConcatPartOf(graph_, uses_, value, layout);
  return part.has_value() && !done_[part->node];
}

std::optional<Place> Builder::ConcatPlace(size_t node) const {
  const auto concat = concats_.find(node);
  return concat == concats_.end() ? std::nullopt : std::optional(concat->second);
}

bool Builder::MayOverwrite(const Place& place, std::span<const size_t> executing) const {
  if (compiled_->buffers[place.buffer].kind != Buffer::Kind::kArena) {
    return false;
  }
  const auto is_over = [&](size_t node) {
    return done_[node] || std::find(executing.begin(), executing.end(), node) != executing.end();
  };
  for (const ValueId value : values_inside_[place.buffer]) {
    const std::vector<size_t>& readers = uses_.readers(value);
    if (uses_.is_output(value) || !std::all_of(readers.begin(), readers.end(), is_over)) {
      return false;
    }
  }
  return true;
}

void Builder::SetPlace(ValueId value, const Place& place) {
  SHOJI_CHECK(place.layout.size_bytes() >= graph_.values[value].shape.num_elements() * sizeof(float));
  places_[value].push_back(place);
  values_inside_[place.buffer].push_back(value);
}

void Builder::MarkDone(size_t node) {
  if (done_[node]) {
    return;
  }
  done_[node] = true;
  for (const ValueId id : graph_.nodes[node].inputs) {
    if (id != graph::kNoValue && --num_unread_[id] == 0 && graph_.values[id].constant != nullptr &&
        !uses_.is_output(id)) {
      read_constants_.push_back(id);
    }
  }
}

std::vector<ValueId> Builder::ReleaseConstants() {
  for (const ValueId id : read_constants_) {
    for (const Place& place : places_[id]) {
      Buffer& buffer = compiled_->buffers[place.buffer];
      const std::vector<ValueId>& inside = values_inside_[place.buffer];
      if (buffer.kind == Buffer::Kind::kConstant && buffer.first_step == SIZE_MAX &&
          std::all_of(inside.begin(), inside.end(),
                      [this](ValueId value) { return num_unread_[value] == 0 && !uses_.is_output(value); })) {
        buffer.constant = nullptr;
      }
    }
  }
  return std::exchange(read_constants_, {});
}

void Builder::Touch(BufferId buffer) {
  Buffer& touched = compiled_->buffers[buffer];
  touched.first_step = std::min(touched.first_step, compiled_->steps.size());
  touched.last_step = std::max(touched.last_step, compiled_->steps.size());
}

template <typename Kernel>
void Builder::AddKernel(const std::string& name, Kernel kernel, std::span<const Place> inputs, const Place& output) {
  std::vector<Operand> operands;
  for (const Place& place : inputs) {
    operands.push_back({place.buffer, place.layout.size_bytes() / sizeof(float), place.offset});
    Touch(place.buffer);
  }
  Touch(output.buffer);
  const Operand result = {output.buffer, output.layout.size_bytes() / sizeof(float), output.offset};
  compiled_->steps.push_back({name, std::move(kernel), std::move(operands), result});
}

void Builder::AddStep(const std::string& name, Primitive primitive, std::span<const Place> inputs,
                      const Place& output) {
  compiled_->scratch_bytes = std::max(compiled_->scratch_bytes, primitive.scratch_bytes());
  AddKernel(name, std::move(primitive), inputs, output);
}

void Builder::AddNativeStep(const std::string& name, NativeKernel kernel, std::span<const Place> inputs,
                            const Place& output) {
  compiled_->scratch_bytes = std::max(compiled_->scratch_bytes, kernel.scratch_bytes);
  AddKernel(name, std::move(kernel), inputs, output);
}

void Builder::AddPlainStep(const std::string& name, PlainKernel kernel, std::vector<Operand> inputs, Operand output) {
  for (const Operand& operand : inputs) {
    if (operand.num_elements > 0) {
      Touch(operand.buffer);
    }
  }
  Touch(output.buffer);
  compiled_->steps.push_back({name, std::move(kernel), std::move(inputs), output});
}

absl::Status Builder::DeliverOutput(size_t index) {
  const ValueId id = graph_.outputs[index];
  const graph::Value& value = graph_.values[id];
  const size_t num_elements = value.shape.num_elements();
  if (value.type != DataType::kFloat32) {
    return absl::UnimplementedError("output " + value.name + " is " + std::string(NameOf(value.type)) +
                                    "; only float32 is run");
  }
  compiled_->outputs.push_back({value.type, value.shape});
  ASSIGN_OR_RETURN(const Place place, Plain(id));
  if (Buffer& buffer = compiled_->buffers[place.buffer];
      buffer.kind == Buffer::Kind::kArena && buffer.size_bytes == num_elements * sizeof(float)) {
    // Computed in the caller's tensor from the start.
    buffer.kind = Buffer::Kind::kOutput;
    buffer.index = index;
    return absl::OkStatus();
  }
  Buffer copy;
  copy.kind = Buffer::Kind::kOutput;
  copy.index = index;
  copy.size_bytes = num_elements * sizeof(float);
  compiled_->buffers.push_back(std::move(copy));
  values_inside_.emplace_back();
  AddPlainStep(value.name,
               [](std::span<const std::span<const float>> in, std::span<float> out) {
                 std::copy(in[0].begin(), in[0].end(), out.begin());
               },
               {{place.buffer, num_elements, place.offset}},
               {static_cast<BufferId>(compiled_->buffers.size() - 1), num_elements});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const CompiledGraph>> Builder::Finish() {
  FillWeights();
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    RETURN_IF_ERROR(DeliverOutput(i));
  }
  std::vector<Buffer*> arena;
  std::vector<Lifetime> lifetimes;
  for (Buffer& buffer : compiled_->buffers) {
    if (buffer.kind == Buffer::Kind::kArena && buffer.first_step != SIZE_MAX) {
      arena.push_back(&buffer);
      lifetimes.push_back({buffer.size_bytes, buffer.first_step, buffer.last_step});
    }
    if (buffer.kind == Buffer::Kind::kConstant && buffer.first_step == SIZE_MAX) {
      buffer.constant = nullptr;  // a packed copy took its place
    }
  }
  const size_t scratch = compiled_->scratch_bytes;
  if (scratch > options_.max_workspace_bytes) {
    return absl::ResourceExhaustedError("a kernel needs " + std::to_string(scratch) + " bytes of scratch memory");
  }
  const absl::StatusOr<MemoryPlan> plan = PlanMemory(lifetimes, options_.max_workspace_bytes - scratch);
  if (!plan.ok()) {
    return absl::Status(plan.status().code(), std::string(plan.status().message()) + "; most are in use at " +
                                                  FullestStep(*compiled_, lifetimes));
  }
  for (size_t i = 0; i < arena.size(); ++i) {
    arena[i]->offset = plan->offsets[i];
  }
  compiled_->arena_bytes = plan->size_bytes;
  return std::shared_ptr<const CompiledGraph>(std::move(compiled_));
}

}  // namespace shoji::execution
