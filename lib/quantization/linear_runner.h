// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Computes a linear step in the enclave: the ring kernel on the bytes themselves, then what linear_layer.h defines.
// Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/kernels/ring/linear.h"
#include "lib/quantization/byte_kernels.h"
#include "lib/quantization/program.h"

namespace shoji::quantization {

// Immutable and thread-safe. `layer` outlives it.
class LinearRunner {
 public:
  static absl::StatusOr<std::unique_ptr<LinearRunner>> Create(const LinearLayer& layer,
                                                              const std::optional<kernels::PoolGeometry>& max_pool,
                                                              const CompileOptions& options);

  const kernels::ring::LinearKernel& kernel() const { return *kernel_; }
  size_t scratch_bytes() const;

  // `input` as activations of lib/kernels/ring/layout.h; `scratch` is aligned to 64 bytes. To bytes, for layers with
  // quantized output, or to float32 [positions][padded out channels].
  void Run(std::span<const uint8_t> input, std::span<uint8_t> output, std::span<uint8_t> scratch) const;
  // Calls `on_pixels`, if there is one, for every part of the output as soon as it is there.
  using OnPixels = std::function<void(size_t begin, size_t end)>;
  void Run(std::span<const uint8_t> input, std::span<float> output, std::span<uint8_t> scratch,
           const OnPixels& on_pixels = nullptr) const;

  // Whether RunBatch reads weights less often than a Run for each input: layers that are computed in one piece, which
  // those of one position are.
  bool RunsBatches() const { return rows_per_chunk_ >= layer_.geometry.output[0]; }
  // Run to bytes, or to float32, for several inputs, with the same bits. Requires RunsBatches().
  template <typename Value>
  struct BatchRun {
    std::span<const uint8_t> input;
    std::span<Value> output;
    std::span<uint8_t> scratch;  // of its own
  };
  void RunBatch(std::span<const BatchRun<uint8_t>> runs) const;
  void RunBatch(std::span<const BatchRun<float>> runs) const;

 private:
  // How the scratch memory is used: each part at its offset.
  struct Scratch {
    size_t input = 0;  // rows padded to 64 bytes, where the kernel wants them so
    size_t kernel = 0;
    size_t words = 0;
    size_t bytes = 0;  // the result before max pooling
    size_t total = 0;
  };

  LinearRunner(const LinearLayer& layer, kernels::ring::Isa isa);
  void SetFactors();
  void SetScratch(bool has_pool);
  // The input as the kernel wants it: as it is, or copied into scratch memory.
  kernels::ring::LinearInput KernelInput(std::span<const uint8_t> input, std::span<uint8_t> scratch) const;
  void Finish(std::span<uint8_t> output, std::span<uint8_t> scratch) const;
  uint8_t* BytesOf(std::span<uint8_t> output, std::span<uint8_t> scratch) const;
  template <typename Value>
  void RunKernels(std::span<const BatchRun<Value>> runs) const;
  std::span<const uint32_t> AllWords(std::span<uint8_t> scratch) const;
  template <typename Consume>
  void ForChunks(std::span<const uint8_t> input, std::span<uint8_t> scratch, const Consume& consume) const;
  void ToBytes(std::span<const uint32_t> words, uint8_t* out) const;
  void ToFloats(std::span<const uint32_t> words, float* out) const;
  int64_t SumOf(uint32_t word, size_t channel) const;

  const LinearLayer& layer_;
  const ByteKernels& bytes_;
  std::unique_ptr<kernels::ring::LinearKernel> kernel_;
  std::optional<PoolLoop> pool_;
  // Whether every sum with its bias fits 32 bits; then the factors below give it without lifting.
  bool is_narrow_ = false;
  std::vector<int64_t> weight_sums_;  // zero point * sum of weights
  std::vector<int32_t> offsets_;
  std::vector<float> multipliers_;
  ChannelFactors factors_;
  int64_t rows_per_chunk_ = 1;
  Scratch scratch_;
};

// The loop of a max pooling over bytes.
PoolLoop PoolLoopOf(const kernels::PoolGeometry& geometry);

}  // namespace shoji::quantization
