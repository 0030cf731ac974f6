// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/workspace.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace shoji::execution {

using kernels::onednn::BoundPrimitive;
using kernels::onednn::Primitive;

Arena::Arena(size_t size) : data_(nullptr), size_(size) {
  if (size_ == 0) {
    return;
  }
  void* data = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SHOJI_CHECK(data != MAP_FAILED);
  madvise(data, size_, MADV_DONTDUMP);
  data_ = static_cast<uint8_t*>(data);
}

Arena::~Arena() {
  if (data_ != nullptr) {
    munmap(data_, size_);
  }
}

BoundWorkspace::BoundWorkspace(std::shared_ptr<const CompiledGraph> compiled)
    : compiled_(std::move(compiled)),
      arena_(compiled_->arena_bytes + compiled_->scratch_bytes),
      input_addresses_(compiled_->inputs.size()),
      output_addresses_(compiled_->outputs.size()) {}

BoundWorkspace::~BoundWorkspace() { BoundWorkspace::Wipe(); }

absl::StatusOr<std::unique_ptr<BoundWorkspace>> BoundWorkspace::Create(std::shared_ptr<const CompiledGraph> compiled) {
  std::unique_ptr<BoundWorkspace> workspace(new BoundWorkspace(std::move(compiled)));
  ASSIGN_OR_RETURN(workspace->stream_, kernels::onednn::Stream::Create(*workspace->compiled_->engine));
  RETURN_IF_ERROR(workspace->Bind());
  return workspace;
}

uint8_t* BoundWorkspace::BufferAddress(BufferId id) const {
  const Buffer& buffer = compiled_->buffers[id];
  switch (buffer.kind) {
    case Buffer::Kind::kArena:
      return arena_.bytes().data() + buffer.offset;
    case Buffer::Kind::kInput:
      // Only ever read: Builder makes no step that writes to an input or a constant.
      return reinterpret_cast<uint8_t*>(const_cast<float*>(input_addresses_[buffer.index]));
    case Buffer::Kind::kOutput:
      return reinterpret_cast<uint8_t*>(output_addresses_[buffer.index]);
    case Buffer::Kind::kConstant:
      return const_cast<uint8_t*>(buffer.constant->bytes().data());
  }
  return nullptr;
}

float* BoundWorkspace::Address(const Operand& operand) const {
  uint8_t* start = BufferAddress(operand.buffer);
  return start == nullptr ? nullptr : reinterpret_cast<float*>(start + operand.offset);
}

absl::StatusOr<BoundWorkspace::BoundStep> BoundWorkspace::BindStep(const Step& step) const {
  std::vector<const float*> pointers;
  for (const Operand& input : step.inputs) {
    pointers.push_back(input.num_elements == 0 ? nullptr : Address(input));
  }
  float* output = Address(step.output);
  const std::span<uint8_t> scratch = arena_.bytes().subspan(compiled_->arena_bytes);
  if (const auto* primitive = std::get_if<Primitive>(&step.kernel)) {
    ASSIGN_OR_RETURN(BoundPrimitive bound,
                     BoundPrimitive::Create(*compiled_->engine, *primitive, pointers, output, scratch.data()));
    return BoundStep(std::move(bound));
  }
  if (const auto* native = std::get_if<NativeKernel>(&step.kernel)) {
    return BoundStep(BoundNative{native, std::move(pointers), output, scratch});
  }
  BoundPlain plain;
  plain.kernel = &std::get<PlainKernel>(step.kernel);
  for (size_t i = 0; i < pointers.size(); ++i) {
    plain.inputs.emplace_back(pointers[i], pointers[i] == nullptr ? 0 : step.inputs[i].num_elements);
  }
  plain.output = {output, output == nullptr ? 0 : step.output.num_elements};
  return BoundStep(std::move(plain));
}

absl::Status BoundWorkspace::Bind() {
  const auto note = [&](size_t step, size_t operand, const Operand& target) {
    const Buffer::Kind kind = compiled_->buffers[target.buffer].kind;
    if (target.num_elements > 0 && (kind == Buffer::Kind::kInput || kind == Buffer::Kind::kOutput)) {
      patches_.push_back({step, operand, target});
    }
  };
  for (size_t i = 0; i < compiled_->steps.size(); ++i) {
    const Step& step = compiled_->steps[i];
    ASSIGN_OR_RETURN(BoundStep bound, BindStep(step));
    steps_.push_back(std::move(bound));
    for (size_t j = 0; j < step.inputs.size(); ++j) {
      note(i, j, step.inputs[j]);
    }
    note(i, Patch::kOutput, step.output);
  }
  return absl::OkStatus();
}

void BoundWorkspace::Apply(const Patch& patch) {
  float* address = Address(patch.target);
  const bool is_output = patch.operand == Patch::kOutput;
  if (auto* primitive = std::get_if<BoundPrimitive>(&steps_[patch.step])) {
    if (is_output) {
      primitive->RebindOutput(address);
    } else {
      primitive->RebindInput(patch.operand, address);
    }
    return;
  }
  if (auto* native = std::get_if<BoundNative>(&steps_[patch.step])) {
    if (is_output) {
      native->output = address;
    } else {
      native->inputs[patch.operand] = address;
    }
    return;
  }
  auto& plain = std::get<BoundPlain>(steps_[patch.step]);
  if (is_output) {
    plain.output = {address, patch.target.num_elements};
  } else {
    plain.inputs[patch.operand] = {address, patch.target.num_elements};
  }
}

void BoundWorkspace::Begin(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    input_addresses_[i] = inputs[i]->values<float>().data();
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    output_addresses_[i] = outputs[i].mutable_values<float>().data();
  }
  for (const Patch& patch : patches_) {
    Apply(patch);
  }
}

absl::Status BoundWorkspace::RunStep(size_t step) {
  if (const auto* primitive = std::get_if<BoundPrimitive>(&steps_[step])) {
    if (const absl::Status status = primitive->Run(*stream_); !status.ok()) {
      return absl::InternalError("at " + compiled_->steps[step].name + ": " + std::string(status.message()));
    }
    return absl::OkStatus();
  }
  if (const auto* native = std::get_if<BoundNative>(&steps_[step])) {
    native->kernel->run(native->inputs, native->output, native->scratch);
    return absl::OkStatus();
  }
  const auto& plain = std::get<BoundPlain>(steps_[step]);
  (*plain.kernel)(plain.inputs, plain.output);
  return absl::OkStatus();
}

absl::Status BoundWorkspace::Run(std::span<BoundWorkspace* const> workspaces, const StopCheck& stop) {
  if (workspaces.empty()) {
    return absl::OkStatus();
  }
  std::vector<NativeKernel::Call> calls;
  for (size_t i = 0; i < workspaces.front()->steps_.size(); ++i) {
    if (stop) {
      RETURN_IF_ERROR(stop());
    }
    const auto* native = std::get_if<BoundNative>(&workspaces.front()->steps_[i]);
    if (workspaces.size() > 1 && native != nullptr && native->kernel->run_batch) {
      calls.clear();
      for (const BoundWorkspace* workspace : workspaces) {
        const auto& own = std::get<BoundNative>(workspace->steps_[i]);
        calls.push_back({own.inputs, own.output});
      }
      native->kernel->run_batch(calls);
      continue;
    }
    for (BoundWorkspace* workspace : workspaces) {
      RETURN_IF_ERROR(workspace->RunStep(i));
    }
  }
  return absl::OkStatus();
}

void BoundWorkspace::Wipe() {
  const std::span<uint8_t> bytes = arena_.bytes();
  if (!bytes.empty()) {
    explicit_bzero(bytes.data(), bytes.size());
  }
}

}  // namespace shoji::execution
