// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/linear_runner.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/ring/layout.h"
#include "lib/quantization/requantize.h"

namespace shoji::quantization {
namespace {

namespace ring = kernels::ring;

// The sums of all layers are computed in the wide ring: one limb is exact in either, and its words are 32-bit integers.
constexpr ring::Ring kRing = ring::Ring::k32;
// Rows are computed and requantized in chunks whose words stay in the cache.
constexpr size_t kChunkBytes = size_t{512} << 10;
// Factors are repeated to at least this many elements.
constexpr size_t kLeastPeriod = 256;

size_t Aligned(size_t size) { return (size + 63) / 64 * 64; }

}  // namespace

PoolLoop PoolLoopOf(const kernels::PoolGeometry& geometry) {
  PoolLoop loop;
  for (size_t axis = 0; axis < 2; ++axis) {
    loop.input[axis] = geometry.input[axis];
    loop.output[axis] = geometry.output[axis];
    loop.kernel[axis] = geometry.window.kernel[axis];
    loop.strides[axis] = geometry.window.strides[axis];
    loop.dilations[axis] = geometry.window.dilations[axis];
    loop.pads[axis] = geometry.window.pads[axis];
  }
  loop.channels = static_cast<int64_t>(ring::PaddedChannels(geometry.channels));
  return loop;
}

LinearRunner::LinearRunner(const LinearLayer& layer, ring::Isa isa) : layer_(layer), bytes_(ByteKernelsFor(isa)) {}

absl::StatusOr<std::unique_ptr<LinearRunner>> LinearRunner::Create(const LinearLayer& layer,
                                                                   const std::optional<kernels::PoolGeometry>& max_pool,
                                                                   const CompileOptions& options) {
  std::unique_ptr<LinearRunner> runner(new LinearRunner(layer, options.isa));
  ASSIGN_OR_RETURN(runner->kernel_,
                   ring::LinearKernel::Create(layer.geometry, layer.weights, options.isa, options.num_threads));
  if (max_pool.has_value()) {
    runner->pool_ = PoolLoopOf(*max_pool);
  }
  runner->SetFactors();
  runner->SetScratch(max_pool.has_value());
  return runner;
}

void LinearRunner::SetFactors() {
  const size_t channels = layer_.bias.size();
  is_narrow_ = true;
  for (size_t c = 0; c < channels; ++c) {
    weight_sums_.push_back(SumOfWeights(layer_, c) * layer_.input_zero_point);
    is_narrow_ = is_narrow_ && layer_.lo[c] + layer_.bias[c] >= std::numeric_limits<int32_t>::min() &&
                 layer_.hi[c] + layer_.bias[c] <= std::numeric_limits<int32_t>::max();
  }
  const size_t padded = ring::PaddedChannels(layer_.geometry.out_channels);
  const size_t repeats = (kLeastPeriod + padded - 1) / padded;
  offsets_.assign(padded * repeats, 0);
  multipliers_.assign(padded * repeats, 0);
  for (size_t i = 0; i < offsets_.size(); ++i) {
    const size_t c = i % padded;
    if (c < channels) {
      // Modulo 2^32; used only where the sum fits.
      offsets_[i] = static_cast<int32_t>(static_cast<uint32_t>(layer_.bias[c] - weight_sums_[c]));
      multipliers_[i] = layer_.multiplier[c];
    }
  }
  factors_.period = offsets_.size();
  factors_.offset = offsets_.data();
  factors_.multiplier = multipliers_.data();
}

void LinearRunner::SetScratch(bool has_pool) {
  const kernels::ConvGeometry& g = layer_.geometry;
  const size_t row_words = ring::WordRowBytes(g, kRing);
  rows_per_chunk_ = std::clamp<int64_t>(static_cast<int64_t>(kChunkBytes / row_words), 1, g.output[0]);
  const bool pads_rows =
      ring::PlaneBytes(g.input[1], g.in_channels) != ring::ActivationRowBytes(g.input[1], g.in_channels);
  scratch_.kernel = pads_rows ? Aligned(ring::LimbBytes(g, 1)) : 0;
  scratch_.words = scratch_.kernel + Aligned(kernel_->scratch_bytes(1));
  scratch_.bytes = scratch_.words + Aligned(row_words * static_cast<size_t>(rows_per_chunk_));
  scratch_.total = scratch_.bytes;
  if (has_pool) {
    scratch_.total += static_cast<size_t>(g.output[0]) * ring::ActivationRowBytes(g.output[1], g.out_channels);
  }
}

size_t LinearRunner::scratch_bytes() const { return scratch_.total; }

ring::LinearInput LinearRunner::KernelInput(std::span<const uint8_t> input, std::span<uint8_t> scratch) const {
  const kernels::ConvGeometry& g = layer_.geometry;
  ring::LinearInput limbs;
  limbs.limbs = input;
  limbs.padding = layer_.input_zero_point;
  SHOJI_CHECK(scratch.size() >= scratch_.total);
  if (scratch_.kernel != scratch_.input) {
    const size_t from = ring::ActivationRowBytes(g.input[1], g.in_channels);
    const size_t to = ring::LimbRowBytes(g, 1);
    for (size_t row = 0; row < static_cast<size_t>(g.input[0]); ++row) {
      std::memcpy(scratch.data() + row * to, input.data() + row * from, from);
    }
    limbs.limbs = scratch.subspan(0, ring::LimbBytes(g, 1));
  }
  return limbs;
}

template <typename Consume>
void LinearRunner::ForChunks(std::span<const uint8_t> input, std::span<uint8_t> scratch, const Consume& consume) const {
  const kernels::ConvGeometry& g = layer_.geometry;
  const ring::LinearInput limbs = KernelInput(input, scratch);
  const std::span<uint8_t> kernel_scratch = scratch.subspan(scratch_.kernel, kernel_->scratch_bytes(1));
  for (int64_t begin = 0; begin < g.output[0]; begin += rows_per_chunk_) {
    const ring::RowRange rows = {begin, std::min(begin + rows_per_chunk_, g.output[0])};
    const std::span<uint8_t> words =
        scratch.subspan(scratch_.words, ring::WordRowBytes(g, kRing) * static_cast<size_t>(rows.end - rows.begin));
    kernel_->Run(kRing, limbs, rows, words, kernel_scratch);
    consume(rows, std::span(reinterpret_cast<const uint32_t*>(words.data()), words.size() / sizeof(uint32_t)));
  }
}

// a + bias, from a modulo 2^32 before the zero point is taken off: the one number in [lo, lo + 2^32) that is congruent.
int64_t LinearRunner::SumOf(uint32_t word, size_t channel) const {
  const int64_t lo = layer_.lo[channel];
  const auto above = static_cast<uint32_t>(word - static_cast<uint32_t>(weight_sums_[channel] + lo));
  return lo + int64_t{above} + layer_.bias[channel];
}

void LinearRunner::ToBytes(std::span<const uint32_t> words, uint8_t* out) const {
  if (is_narrow_) {
    bytes_.requantize_words(words.data(), words.size(), factors_,
                            {layer_.output_zero_point, layer_.output_min, layer_.output_max}, out);
    return;
  }
  const size_t padded = ring::PaddedChannels(layer_.geometry.out_channels);
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t c = i % padded;
    if (c < layer_.bias.size()) {
      out[i] = Requantize(SumOf(words[i], c), layer_.multiplier[c], layer_.output_zero_point, layer_.output_min,
                          layer_.output_max);
    }
  }
}

void LinearRunner::ToFloats(std::span<const uint32_t> words, float* out) const {
  if (is_narrow_) {
    bytes_.scale_words(words.data(), words.size(), factors_, out);
    return;
  }
  const size_t padded = ring::PaddedChannels(layer_.geometry.out_channels);
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t c = i % padded;
    out[i] = c < layer_.bias.size() ? static_cast<float>(SumOf(words[i], c)) * layer_.multiplier[c] : 0;
  }
}

void LinearRunner::Run(std::span<const uint8_t> input, std::span<uint8_t> output, std::span<uint8_t> scratch) const {
  SHOJI_CHECK(layer_.quantized_output);
  const size_t row = ring::ActivationRowBytes(layer_.geometry.output[1], layer_.geometry.out_channels);
  uint8_t* bytes = BytesOf(output, scratch);
  ForChunks(input, scratch, [&](ring::RowRange rows, std::span<const uint32_t> words) {
    ToBytes(words, bytes + static_cast<size_t>(rows.begin) * row);
  });
  Finish(output, scratch);
}

// Where the layer's own result goes.
uint8_t* LinearRunner::BytesOf(std::span<uint8_t> output, std::span<uint8_t> scratch) const {
  return pool_.has_value() ? scratch.data() + scratch_.bytes : output.data();
}

void LinearRunner::Finish(std::span<uint8_t> output, std::span<uint8_t> scratch) const {
  if (pool_.has_value()) {
    bytes_.max_pool(*pool_, 0, pool_->output[0], scratch.data() + scratch_.bytes, output.data());
  }
}

std::span<const uint32_t> LinearRunner::AllWords(std::span<uint8_t> scratch) const {
  const std::span<uint8_t> words = scratch.subspan(scratch_.words, ring::WordsBytes(layer_.geometry, kRing));
  return {reinterpret_cast<const uint32_t*>(words.data()), words.size() / sizeof(uint32_t)};
}

template <typename Value>
void LinearRunner::RunKernels(std::span<const BatchRun<Value>> runs) const {
  SHOJI_CHECK(RunsBatches());
  std::vector<ring::LinearKernel::BatchRun> kernel_runs;
  kernel_runs.reserve(runs.size());
  for (const BatchRun<Value>& run : runs) {
    const ring::LinearInput input = KernelInput(run.input, run.scratch);
    kernel_runs.push_back({input, run.scratch.subspan(scratch_.words, ring::WordsBytes(layer_.geometry, kRing)),
                           run.scratch.subspan(scratch_.kernel, kernel_->scratch_bytes(1))});
  }
  kernel_->RunBatch(kRing, kernel_runs);
}

void LinearRunner::RunBatch(std::span<const BatchRun<uint8_t>> runs) const {
  SHOJI_CHECK(layer_.quantized_output);
  RunKernels(runs);
  for (const BatchRun<uint8_t>& run : runs) {
    ToBytes(AllWords(run.scratch), BytesOf(run.output, run.scratch));
    Finish(run.output, run.scratch);
  }
}

void LinearRunner::RunBatch(std::span<const BatchRun<float>> runs) const {
  SHOJI_CHECK(!layer_.quantized_output);
  RunKernels(runs);
  for (const BatchRun<float>& run : runs) {
    ToFloats(AllWords(run.scratch), run.output.data());
  }
}

void LinearRunner::Run(std::span<const uint8_t> input, std::span<float> output, std::span<uint8_t> scratch,
                       const OnPixels& on_pixels) const {
  SHOJI_CHECK(!layer_.quantized_output);
  const size_t padded = ring::PaddedChannels(layer_.geometry.out_channels);
  const auto width = static_cast<size_t>(layer_.geometry.output[1]);
  ForChunks(input, scratch, [&](ring::RowRange rows, std::span<const uint32_t> words) {
    const size_t begin = static_cast<size_t>(rows.begin) * width;
    ToFloats(words, output.data() + begin * padded);
    if (on_pixels) {
      on_pixels(begin, static_cast<size_t>(rows.end) * width);
    }
  });
}

}  // namespace shoji::quantization
