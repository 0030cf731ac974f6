// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/wide_chain.h"

#include <algorithm>
#include <limits>

#include "lib/base/check.h"
#include "lib/quantization/float_functions.h"

namespace shoji::quantization {
namespace {

using kernels::Activation;
using kernels::BinaryKind;
using kernels::ring::PaddedChannels;

// Elements of a block, if a pixel has fewer: with its buffers it fits the first cache.
constexpr size_t kBlockElements = 1024;

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace

std::vector<double> StepsOf(const ByteTensor& form) {
  std::vector<double> steps(static_cast<size_t>(form.channels), static_cast<double>(form.parameters.scale));
  for (size_t c = 0; c < form.scales.size(); ++c) {
    steps[c] *= static_cast<double>(form.scales[c]);
  }
  return steps;
}

WideChain::WideChain(const ByteKernels& kernels, size_t channels)
    : kernels_(kernels),
      padded_(PaddedChannels(static_cast<int64_t>(channels))),
      block_(std::max<size_t>(kBlockElements / padded_, 1) * padded_) {}

std::vector<float> WideChain::Repeated(const std::vector<double>& values) const {
  std::vector<float> out(block_);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t c = i % padded_;
    out[i] = c < values.size() ? static_cast<float>(values[c]) : 0.0F;
  }
  return out;
}

WideChain::PreparedOperand WideChain::Prepare(const Operand& operand) const {
  PreparedOperand out;
  out.value = operand;
  if (operand.form.has_value()) {
    const std::vector<double> steps = StepsOf(*operand.form);
    const bool by_channel = operand.walk == Walk::kWhole || operand.walk == Walk::kChannel;
    out.scale = by_channel ? Repeated(steps) : std::vector<float>(block_, static_cast<float>(steps[0]));
  }
  return out;
}

void WideChain::Append(const Link& link) {
  std::visit(Overloaded{[&](const Function& function) { links_.emplace_back(function); },
                        [&](const Affine& affine) {
                          links_.emplace_back(PreparedAffine{Repeated(affine.factor), Repeated(affine.shift)});
                        },
                        [&](const Pair& pair) {
                          links_.emplace_back(PreparedPair{pair.kind, Prepare(pair.other), pair.is_reversed});
                        }},
             link);
}

void WideChain::SetResult(const Result& result) {
  result_ = result;
  if (result.bytes.has_value()) {
    std::vector<double> inverse = StepsOf(result.form);
    for (double& step : inverse) {
      step = 1 / step;
    }
    inverse_scale_ = Repeated(inverse);
  }
}

// The elements of `operand` for this block: where they lie, or in `buffer`.
const float* WideChain::Load(const Block& block, const PreparedOperand& operand, float* buffer) const {
  if (operand.value.walk != Walk::kWhole) {
    return Spread(block, operand, buffer);
  }
  const size_t at = block.pixel * padded_;
  if (!operand.value.form.has_value()) {
    return block.frame.floats(operand.value.slot).data() + at;
  }
  kernels_.widen(block.frame.bytes(operand.value.slot).data() + at, block.count, operand.scale.data(),
                 operand.value.form->parameters.zero_point, buffer);
  return buffer;
}

// What is the same for all pixels, or for all channels.
const float* WideChain::Spread(const Block& block, const PreparedOperand& operand, float* buffer) const {
  const Operand& value = operand.value;
  constexpr size_t kPaddedOne = 4;  // elements of a pixel of one channel
  const size_t num_pixels = block.count / padded_;
  const size_t first = value.walk == Walk::kPixel ? block.pixel * kPaddedOne : 0;
  const size_t count = value.walk == Walk::kChannel ? padded_
                       : value.walk == Walk::kPixel ? (num_pixels - 1) * kPaddedOne + 1
                                                    : 1;
  float* values = Buffer(block, kBuffers - 1);
  if (value.form.has_value()) {
    kernels_.widen(block.frame.bytes(value.slot).data() + first, count, operand.scale.data(),
                   value.form->parameters.zero_point, values);
  } else {
    std::copy_n(block.frame.floats(value.slot).data() + first, count, values);
  }
  for (size_t pixel = 0; pixel < num_pixels; ++pixel) {
    float* to = buffer + pixel * padded_;
    if (value.walk == Walk::kChannel) {
      std::copy_n(values, padded_, to);
    } else {
      std::fill_n(to, padded_, values[value.walk == Walk::kPixel ? pixel * kPaddedOne : 0]);
    }
  }
  return buffer;
}

void WideChain::Activate(const Activation& activation, const float* x, size_t count, float* y) const {
  constexpr float kMost = std::numeric_limits<float>::infinity();
  switch (activation.kind) {
    case Activation::Kind::kRelu:
      return kernels_.clip(x, count, 0, kMost, y);
    case Activation::Kind::kClip:
      return kernels_.clip(x, count, activation.alpha, activation.beta, y);
    case Activation::Kind::kLeakyRelu:
      return kernels_.leaky(x, count, activation.alpha, y);
    case Activation::Kind::kHardSigmoid:
      return kernels_.hard_sigmoid(x, count, activation.alpha, activation.beta, y);
    case Activation::Kind::kSigmoid:
      return kernels_.sigmoid(x, count, 1, y);
    default:
      return quantization::Activate(activation, std::span(x, count), std::span(y, count));
  }
}

void WideChain::Apply(const Block& block, const Function& function, const float* x, float* y) const {
  Activation activation = function.activation;
  bool is_gate = function.is_gate;
  if (activation.kind == Activation::Kind::kHardSwish && !is_gate) {
    activation = {Activation::Kind::kHardSigmoid, 1.0F / 6, 0.5F};
    is_gate = true;
  } else if (activation.kind == Activation::Kind::kSwish && !is_gate) {
    activation = {Activation::Kind::kSigmoid};
    is_gate = true;
  }
  if (!is_gate) {
    Activate(activation, x, block.count, y);
    return;
  }
  float* gate = Buffer(block, 2);
  Activate(activation, x, block.count, gate);
  kernels_.multiply(x, gate, block.count, y);
}

void WideChain::Apply(const Block& block, const PreparedAffine& affine, const float* x, float* y) const {
  kernels_.affine(x, block.count, affine.factor.data(), affine.shift.data(), y);
}

void WideChain::Apply(const Block& block, const PreparedPair& pair, const float* x, float* y) const {
  const float* other = Load(block, pair.other, Buffer(block, 2));
  const float* left = pair.is_reversed ? other : x;
  const float* right = pair.is_reversed ? x : other;
  const auto kernel = pair.kind == BinaryKind::kAdd   ? kernels_.add
                      : pair.kind == BinaryKind::kSub ? kernels_.subtract
                                                      : kernels_.multiply;
  kernel(left, right, block.count, y);
}

void WideChain::Run(ArenaFrame& frame, size_t begin, size_t end, std::span<float> scratch) const {
  SHOJI_CHECK(scratch.size() >= scratch_floats());
  const size_t pixels = block_ / padded_;
  for (size_t pixel = begin; pixel < end; pixel += pixels) {
    const Block block = {frame, pixel, std::min(pixels, end - pixel) * padded_, scratch};
    const float* x = Load(block, first_, Buffer(block, 0));
    size_t next = 1;  // of the two buffers that take turns
    for (const PreparedLink& link : links_) {
      float* y = Buffer(block, next);
      std::visit([&](const auto& kind) { Apply(block, kind, x, y); }, link);
      x = y;
      next = 1 - next;
    }
    Store(frame, pixel, x, block.count);
  }
}

void WideChain::Store(ArenaFrame& frame, size_t pixel, const float* x, size_t count) const {
  const size_t at = pixel * padded_;
  if (result_.wide.has_value()) {
    std::copy_n(x, count, frame.floats(*result_.wide).data() + at);
  }
  if (result_.bytes.has_value()) {
    kernels_.narrow(x, count, inverse_scale_.data(), result_.clamp, frame.bytes(*result_.bytes).data() + at);
  }
}

}  // namespace shoji::quantization
