// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/received_rows.h"

#include <algorithm>
#include <vector>

#include "lib/crypto/plaintext_bytes.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::enclave {

using kernels::ring::ActivationRowBytes;
using kernels::ring::WordRowBytes;

ReceivedRows::ReceivedRows(const quantization::LinearStep& step, const LayerCodec& codec, ByteSpan words,
                           ByteSpan pad_words, quantization::Frame& frame)
    : step_(step),
      codec_(codec),
      words_(words),
      pad_words_(pad_words),
      frame_(frame),
      word_row_bytes_(WordRowBytes(step.layer.geometry, step.layer.ring)),
      layer_row_bytes_(ActivationRowBytes(step.layer.geometry.output[1], step.layer.geometry.out_channels)) {}

int64_t ReceivedRows::num_rows() const {
  return step_.max_pool.has_value() ? step_.max_pool->output[0] : step_.layer.geometry.output[0];
}

size_t ReceivedRows::values_per_row() const {
  return layer_row_bytes_ * static_cast<size_t>(step_.layer.geometry.output[0]) / static_cast<size_t>(num_rows());
}

template <typename Value>
void ReceivedRows::Unmask(int64_t row, std::span<OutputSum> checks, std::span<Value> out) const {
  const size_t at = static_cast<size_t>(row) * word_row_bytes_;
  const LayerCodec::UnmaskInput in = {words_.subspan(at, word_row_bytes_),
                                      pad_words_.empty() ? pad_words_ : pad_words_.subspan(at, word_row_bytes_)};
  codec_.UnmaskRow(in, row, checks.empty() ? nullptr : checks.data(), out);
  // A layer that is checked twice: the row lies in the enclave's own memory and is read again.
  for (size_t i = 1; i < checks.size(); ++i) {
    codec_.UnmaskRow(in, row, &checks[i], out);
  }
}

void ReceivedRows::Receive(int64_t begin, int64_t end, std::span<OutputSum> checks, const OnRow& on_row) const {
  if (!step_.layer.quantized_output) {
    ReceiveFloats(begin, end, checks);
    return;
  }
  if (step_.max_pool.has_value()) {
    ReceivePooled(begin, end, checks, on_row);
    return;
  }
  const std::span<uint8_t> out = frame_.bytes(step_.output);
  for (int64_t row = begin; row < end; ++row) {
    const std::span<uint8_t> values = out.subspan(static_cast<size_t>(row) * layer_row_bytes_, layer_row_bytes_);
    Unmask(row, checks, values);
    on_row(row, values);
  }
}

void ReceivedRows::ReceivePooled(int64_t begin, int64_t end, std::span<OutputSum> checks, const OnRow& on_row) const {
  const kernels::PoolGeometry& pool = *step_.max_pool;
  const kernels::Window& window = pool.window;
  const int64_t height = pool.input[0];
  const auto first_of = [&](int64_t out_row) {
    return std::clamp<int64_t>(out_row * window.strides[0] - window.pads[0], 0, height);
  };
  // Rows of the answer from `unmasked` on are this band's to check up to `own_end`; those of the next band that its
  // windows reach into are unmasked once more, there, and checked there.
  int64_t unmasked = begin == 0 ? 0 : first_of(begin);
  const int64_t own_end = end == pool.output[0] ? height : first_of(end);
  // The last rows unmasked, as many as a window spans.
  const int64_t span = window.Span(0);
  crypto::PlaintextBytes recent(static_cast<size_t>(span) * layer_row_bytes_);
  const auto recent_row = [&](int64_t row) {
    return recent.ExposeMutable().subspan(static_cast<size_t>(row % span) * layer_row_bytes_, layer_row_bytes_);
  };
  const auto unmask_until = [&](int64_t limit) {
    for (; unmasked < limit; ++unmasked) {
      Unmask(unmasked, unmasked < own_end ? checks : std::span<OutputSum>(), recent_row(unmasked));
    }
  };
  const size_t out_row_bytes = ActivationRowBytes(pool.output[1], pool.channels);
  const std::span<uint8_t> out = frame_.bytes(step_.output);
  std::vector<std::span<const uint8_t>> rows;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t top = row * window.strides[0] - window.pads[0];
    unmask_until(std::min(height, top + span));
    rows.clear();
    for (int64_t tap = 0; tap < window.kernel[0]; ++tap) {
      const int64_t at = top + tap * window.dilations[0];
      if (at >= 0 && at < height) {
        rows.push_back(recent_row(at));
      }
    }
    const std::span<uint8_t> values = out.subspan(static_cast<size_t>(row) * out_row_bytes, out_row_bytes);
    MaxPoolRow(pool, rows, values, BestCodecIsa());
    on_row(row, values);
  }
  unmask_until(own_end);  // rows that no window reaches
}

void ReceivedRows::ReceiveFloats(int64_t begin, int64_t end, std::span<OutputSum> checks) const {
  const kernels::ConvGeometry& geometry = step_.layer.geometry;
  const auto channels = static_cast<size_t>(geometry.out_channels);
  const size_t padded = kernels::ring::PaddedChannels(geometry.out_channels);
  const auto width = static_cast<size_t>(geometry.output[1]);
  const std::span<float> out = frame_.floats(step_.output);
  crypto::PlaintextBytes line(width * channels * sizeof(float));
  for (int64_t row = begin; row < end; ++row) {
    const std::span<float> values(reinterpret_cast<float*>(line.ExposeMutable().data()), width * channels);
    Unmask(row, checks, values);
    for (size_t x = 0; x < width; ++x) {
      float* const pixel = out.data() + (static_cast<size_t>(row) * width + x) * padded;
      std::copy_n(values.data() + x * channels, channels, pixel);
      std::fill(pixel + channels, pixel + padded, 0.0F);
    }
  }
}

}  // namespace shoji::enclave
