// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The memory of one run and the kernels bound to it. Private to this folder and its tests; lib/quantization uses Arena.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/execution/program.h"
#include "lib/execution/steps.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::execution {

// Memory straight from the kernel: zero at first, not written to core dumps, given back at destruction.
class Arena {
 public:
  // Aborts when memory runs out.
  explicit Arena(size_t size);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  std::span<uint8_t> bytes() const { return {data_, size_}; }

 private:
  uint8_t* data_;
  size_t size_;
};

// Thread-compatible.
class BoundWorkspace : public Workspace {
 public:
  static absl::StatusOr<std::unique_ptr<BoundWorkspace>> Create(std::shared_ptr<const CompiledGraph> compiled);
  ~BoundWorkspace() override;

  void Wipe() override;
  size_t size_bytes() const override { return arena_.bytes().size(); }

  const CompiledGraph& compiled() const { return *compiled_; }
  std::span<const uint8_t> contents() const { return arena_.bytes(); }

  // The tensors of the next run, whose types are right.
  void Begin(std::span<const Tensor* const> inputs, std::span<Tensor> outputs);
  // Runs every step, or those before `stop` says no, each for all of `workspaces`, which are different ones of one
  // program and have had their Begin.
  static absl::Status Run(std::span<BoundWorkspace* const> workspaces, const StopCheck& stop);

 private:
  struct BoundPlain {
    const PlainKernel* kernel = nullptr;
    std::vector<std::span<const float>> inputs;
    std::span<float> output;
  };
  struct BoundNative {
    const NativeKernel* kernel = nullptr;
    std::vector<const float*> inputs;
    float* output = nullptr;
    std::span<uint8_t> scratch;
  };
  using BoundStep = std::variant<BoundPlain, BoundNative, kernels::onednn::BoundPrimitive>;
  // An operand in a tensor of the caller: set anew in each run.
  struct Patch {
    static constexpr size_t kOutput = SIZE_MAX;
    size_t step = 0;
    size_t operand = 0;  // input, or kOutput
    Operand target;
  };

  explicit BoundWorkspace(std::shared_ptr<const CompiledGraph> compiled);
  absl::Status Bind();
  absl::StatusOr<BoundStep> BindStep(const Step& step) const;
  // Where `operand` is, null if it is the caller's and no run is going on.
  float* Address(const Operand& operand) const;
  uint8_t* BufferAddress(BufferId buffer) const;
  void Apply(const Patch& patch);
  absl::Status RunStep(size_t step);

  std::shared_ptr<const CompiledGraph> compiled_;
  Arena arena_;
  std::unique_ptr<kernels::onednn::Stream> stream_;
  std::vector<BoundStep> steps_;
  std::vector<Patch> patches_;
  std::vector<const float*> input_addresses_;
  std::vector<float*> output_addresses_;
};

}  // namespace shoji::execution
