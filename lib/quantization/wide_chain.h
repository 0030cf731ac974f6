// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that work element by element on float32, one after the other on blocks that stay in the cache: from bytes
// or wide values to bytes, wide values, or both. Wide values are float32 in the order of bytes, [pixels][padded
// channels]. Every CPU gives the same bits. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "lib/kernels/activation.h"
#include "lib/quantization/byte_kernels.h"
#include "lib/quantization/byte_plan.h"
#include "lib/quantization/frame.h"

namespace shoji::quantization {

// Immutable and thread-safe.
class WideChain {
 public:
  // A value in the frame, wide or in bytes (then `form` says what they mean).
  struct Operand {
    Slot slot = 0;
    Walk walk = Walk::kWhole;
    std::optional<ByteTensor> form;
  };
  // y = f(x), or x * f(x)
  struct Function {
    kernels::Activation activation;
    bool is_gate = false;
  };
  struct Affine {
    std::vector<double> factor;  // one a channel
    std::vector<double> shift;
  };
  // y = x + other; `is_reversed`: what a difference is taken from is the other one.
  struct Pair {
    kernels::BinaryKind kind = kernels::BinaryKind::kAdd;  // kAdd, kSub or kMul
    Operand other;
    bool is_reversed = false;
  };
  using Link = std::variant<Function, Affine, Pair>;
  struct Result {
    std::optional<Slot> wide;
    std::optional<Slot> bytes;
    ByteTensor form;  // of the bytes
    ByteOutput clamp;
  };

  // For values of `channels` channels.
  WideChain(const ByteKernels& kernels, size_t channels);

  // In this order: what it begins with, what is done, where the result goes.
  void SetFirst(const Operand& first) { first_ = Prepare(first); }
  void Append(const Link& link);
  void SetResult(const Result& result);

  size_t scratch_floats() const { return kBuffers * block_; }
  // Pixels [begin, end). `scratch` is aligned to 64 bytes.
  void Run(ArenaFrame& frame, size_t begin, size_t end, std::span<float> scratch) const;
  // Writes `count` elements of whole pixels from pixel `pixel` on to the result.
  void Store(ArenaFrame& frame, size_t pixel, const float* x, size_t count) const;

 private:
  static constexpr size_t kBuffers = 4;

  // Vectors hold one element a channel, repeated over a block.
  struct PreparedOperand {
    Operand value;
    std::vector<float> scale;  // of bytes
  };
  struct PreparedAffine {
    std::vector<float> factor;
    std::vector<float> shift;
  };
  struct PreparedPair {
    kernels::BinaryKind kind = kernels::BinaryKind::kAdd;
    PreparedOperand other;
    bool is_reversed = false;
  };
  using PreparedLink = std::variant<Function, PreparedAffine, PreparedPair>;
  // A block's place, and the buffers that are free for it.
  struct Block {
    ArenaFrame& frame;
    size_t pixel = 0;
    size_t count = 0;  // elements
    std::span<float> scratch;
  };

  std::vector<float> Repeated(const std::vector<double>& values) const;
  PreparedOperand Prepare(const Operand& operand) const;
  float* Buffer(const Block& block, size_t i) const { return block.scratch.data() + i * block_; }
  const float* Load(const Block& block, const PreparedOperand& operand, float* buffer) const;
  const float* Spread(const Block& block, const PreparedOperand& operand, float* buffer) const;
  void Apply(const Block& block, const Function& function, const float* x, float* y) const;
  void Apply(const Block& block, const PreparedAffine& affine, const float* x, float* y) const;
  void Apply(const Block& block, const PreparedPair& pair, const float* x, float* y) const;
  void Activate(const kernels::Activation& activation, const float* x, size_t count, float* y) const;

  const ByteKernels& kernels_;
  const size_t padded_;  // channels
  const size_t block_;   // elements of a block of whole pixels
  PreparedOperand first_;
  std::vector<PreparedLink> links_;
  Result result_;
  std::vector<float> inverse_scale_;  // of the result's bytes
};

// The steps of each channel of `form`: its scale as a real number.
std::vector<double> StepsOf(const ByteTensor& form);

}  // namespace shoji::quantization
