// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/masking_enclave_side.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/masking_ring.h"
#include "enclave_worker/core/masking/layer_codec.h"
#include "enclave_worker/core/verification/aligned_array.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::bench {
namespace {

namespace ring = kernels::ring;
using enclave::AlignedArray;
using quantization::LinearLayer;

double ThreadMillis() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

LinearLayer QuantizedLayer(const NetworkLayer& from, uint64_t seed, uint8_t zero_point) {
  LinearLayer layer;
  layer.name = from.name;
  layer.geometry = from.geometry;
  layer.weights = DrawWeights(from.geometry, seed);
  layer.input_zero_point = zero_point;
  layer.ring = RingOf(from.geometry, layer.weights);
  const size_t terms = layer.weights.size() / static_cast<size_t>(from.geometry.out_channels);
  for (size_t first = 0; first < layer.weights.size(); first += terms) {
    int64_t lo = 0;
    int64_t hi = 0;
    for (size_t i = 0; i < terms; ++i) {
      const int64_t w = layer.weights[first + i];
      lo += std::min(-w * zero_point, w * (255 - zero_point));
      hi += std::max(-w * zero_point, w * (255 - zero_point));
    }
    layer.lo.push_back(lo);
    layer.hi.push_back(hi);
    layer.bias.push_back(static_cast<int64_t>(first % 1000));
    // Keeps activations spread over the bytes, layer after layer.
    layer.multiplier.push_back(0.02F / std::sqrt(static_cast<float>(terms)));
  }
  return layer;
}

// One layer's data in an inference.
struct LayerState {
  LinearLayer layer;
  After after = After::kNothing;
  std::unique_ptr<const enclave::LayerCodec> codec;
  std::unique_ptr<const enclave::Challenge> challenge;
  AlignedArray<uint8_t> q;       // its input
  AlignedArray<uint8_t> masked;  // limbs
  AlignedArray<uint8_t> answer;  // words
  AlignedArray<uint8_t> pad;     // words
  // The next layer's input is this one's output (after pooling); if not, that input is other data of its size.
  bool feeds_next = false;
  kernels::PoolGeometry pool;  // where after is kReluMaxPool

  size_t q_row() const { return ring::ActivationRowBytes(layer.geometry.input[1], layer.geometry.in_channels); }
  size_t masked_row() const { return ring::LimbRowBytes(layer.geometry, ring::WordBytes(layer.ring)); }
  size_t word_row() const { return ring::WordRowBytes(layer.geometry, layer.ring); }
  size_t out_row() const { return ring::ActivationRowBytes(layer.geometry.output[1], layer.geometry.out_channels); }
};

kernels::PoolGeometry PoolAfter(const kernels::ConvGeometry& geometry, bool is_stem) {
  kernels::PoolGeometry pool;
  pool.channels = geometry.out_channels;
  pool.input = geometry.output;
  pool.window.strides = {2, 2};
  pool.window.kernel = {is_stem ? 3 : 2, is_stem ? 3 : 2};
  pool.window.pads = {is_stem, is_stem, is_stem, is_stem};
  pool.output = {geometry.output[0] / 2, geometry.output[1] / 2};
  return pool;
}

class Inference final : public EnclaveSide {
 public:
  absl::Status SetUp(const Network& network) {
    layers_.resize(network.layers.size());
    std::mt19937 random(5);
    for (size_t i = 0; i < layers_.size(); ++i) {
      LayerState& state = layers_[i];
      const NetworkLayer& from = network.layers[i];
      state.layer = QuantizedLayer(from, 1 + i, i == 0 ? 128 : 0);
      state.after = from.after;
      if (from.after == After::kReluMaxPool) {
        state.pool = PoolAfter(from.geometry, from.geometry.window.kernel[0] == 7);
      }
      state.codec = std::make_unique<enclave::LayerCodec>(state.layer, enclave::BestCodecIsa());
      const double before = ThreadMillis();
      state.challenge = enclave::Challenge::Draw(state.layer);
      challenge_millis_ += ThreadMillis() - before;
      const kernels::ConvGeometry& g = state.layer.geometry;
      state.q = AlignedArray<uint8_t>(state.q_row() * static_cast<size_t>(g.input[0]));
      std::generate_n(state.q.data(), state.q.size(), [&] { return static_cast<uint8_t>(random() >> 24); });
      state.masked = AlignedArray<uint8_t>(state.masked_row() * static_cast<size_t>(g.input[0]));
      state.answer = AlignedArray<uint8_t>(ring::WordsBytes(g, state.layer.ring));
      state.pad = AlignedArray<uint8_t>(ring::WordsBytes(g, state.layer.ring));
    }
    for (size_t i = 0; i + 1 < layers_.size(); ++i) {
      LayerState& state = layers_[i];
      const bool pooled = state.after == After::kReluMaxPool;
      const size_t out = pooled ? PooledRow(state) * static_cast<size_t>(state.pool.output[0])
                                : state.out_row() * static_cast<size_t>(state.layer.geometry.output[0]);
      state.feeds_next = state.after <= After::kReluMaxPool && out == layers_[i + 1].q.size();
    }
    return Answer();
  }

  absl::StatusOr<double> Run() override {
    const double before = ThreadMillis();
    auto sum = std::make_unique<enclave::InputSum>(*layers_[0].challenge);
    MaskRows(0, 0, layers_[0].layer.geometry.input[0], *sum);
    for (size_t i = 0; i < layers_.size(); ++i) {
      ASSIGN_OR_RETURN(sum, FinishLayer(i, *sum));
    }
    return ThreadMillis() - before;
  }

  double DrawPad() override {
    const double before = ThreadMillis();
    for (size_t i = 0; i < layers_.size(); ++i) {
      const LayerState& state = layers_[i];
      random_row_.resize(std::max(random_row_.size(), state.masked_row()));
      for (int64_t h = 0; h < state.layer.geometry.input[0]; ++h) {
        state.codec->RandomRow(key_, i, h, std::span(random_row_).first(state.masked_row()));
      }
    }
    return ThreadMillis() - before;
  }

  size_t pad_bytes() const override {
    size_t sum = 0;
    for (const LayerState& state : layers_) {
      sum += state.pad.size();
    }
    return sum;
  }
  size_t message_bytes() const override {
    size_t sum = pad_bytes();  // answers are as large
    for (const LayerState& state : layers_) {
      sum += state.masked.size();
    }
    return sum;
  }
  double challenge_millis() const override { return challenge_millis_; }

 private:
  static size_t PooledRow(const LayerState& state) {
    return ring::ActivationRowBytes(state.pool.output[1], state.pool.channels);
  }

  // Rows [begin, end) of layer i's input: masked, and summed for the check.
  void MaskRows(size_t i, int64_t begin, int64_t end, enclave::InputSum& sum) {
    LayerState& state = layers_[i];
    for (int64_t h = begin; h < end; ++h) {
      const auto row = static_cast<size_t>(h);
      const std::span<const uint8_t> q(state.q.data() + row * state.q_row(), state.q_row());
      state.codec->MaskRow(key_, i, h, q, {state.masked.data() + row * state.masked_row(), state.masked_row()});
      sum.AddRow(h, q);
    }
  }

  // Unmasks layer i, and masks what it makes for layer i + 1, whose sum it returns. `input` is the sum of layer i.
  absl::StatusOr<std::unique_ptr<enclave::InputSum>> FinishLayer(size_t i, const enclave::InputSum& input) {
    LayerState& state = layers_[i];
    const bool last = i + 1 == layers_.size();
    std::unique_ptr<enclave::InputSum> next;
    if (!last) {
      next = std::make_unique<enclave::InputSum>(*layers_[i + 1].challenge);
    }
    enclave::OutputSum output(*state.challenge);
    const size_t direct_rows = state.feeds_next && state.after != After::kReluMaxPool
                                   ? static_cast<size_t>(state.layer.geometry.output[0])
                                   : 0;
    scratch_.resize(std::max(scratch_.size(), state.out_row() * kRing));
    int64_t num_pooled = 0;
    int64_t num_masked = 0;
    for (int64_t h = 0; h < state.layer.geometry.output[0]; ++h) {
      const auto row = static_cast<size_t>(h);
      uint8_t* const q =
          direct_rows != 0 ? layers_[i + 1].q.data() + row * state.out_row() : RingRow(h, state.out_row());
      state.codec->UnmaskRow({.words = {state.answer.data() + row * state.word_row(), state.word_row()},
                              .pad_words = {state.pad.data() + row * state.word_row(), state.word_row()}},
                             h, &output, std::span<uint8_t>(q, state.out_row()));
      int64_t finished = h + 1;
      if (state.after == After::kReluMaxPool) {
        num_pooled = Pool(i, h, num_pooled);
        finished = num_pooled;
      }
      if (state.feeds_next) {
        num_masked = MaskFinished(i, finished, num_masked, *next);
      }
    }
    if (!last) {
      MaskRows(i + 1, num_masked, layers_[i + 1].layer.geometry.input[0], *next);
    }
    if (!state.challenge->Verify(output, input)) {
      return absl::InternalError(absl::StrCat("the check of ", state.layer.name, " fails"));
    }
    return next;
  }

  // As many input rows of layer i + 1 as `finished` rows of what feeds it fill.
  int64_t MaskFinished(size_t i, int64_t finished, int64_t num_masked, enclave::InputSum& sum) {
    const LayerState& state = layers_[i];
    const size_t row = state.after == After::kReluMaxPool ? PooledRow(state) : state.out_row();
    const auto end = static_cast<int64_t>(static_cast<size_t>(finished) * row / layers_[i + 1].q_row());
    MaskRows(i + 1, num_masked, end, sum);
    return end;
  }

  // Pools the windows that row `h` completes.
  int64_t Pool(size_t i, int64_t h, int64_t num_pooled) {
    LayerState& state = layers_[i];
    const kernels::PoolGeometry& pool = state.pool;
    for (; num_pooled < pool.output[0]; ++num_pooled) {
      const int64_t begin = num_pooled * 2 - pool.window.pads[0];
      const int64_t end = std::min(begin + pool.window.kernel[0], pool.input[0]);
      if (end > h + 1) {
        break;
      }
      std::span<const uint8_t> rows[3];
      size_t num_rows = 0;
      for (int64_t r = std::max<int64_t>(begin, 0); r < end; ++r) {
        rows[num_rows++] = {RingRow(r, state.out_row()), state.out_row()};
      }
      uint8_t* const out = state.feeds_next
                               ? layers_[i + 1].q.data() + static_cast<size_t>(num_pooled) * PooledRow(state)
                               : RingRow(0, state.out_row());
      enclave::MaxPoolRow(pool, std::span(rows).first(num_rows), {out, PooledRow(state)}, enclave::BestCodecIsa());
    }
    return num_pooled;
  }

  // Rows that are only needed until they are pooled, a few at a time.
  static constexpr size_t kRing = 4;
  uint8_t* RingRow(int64_t h, size_t row) { return scratch_.data() + static_cast<size_t>(h) % kRing * row; }

  // Fills in answers and pads, by running an inference with the ring kernels as the accelerator.
  absl::Status Answer() {
    auto sum = std::make_unique<enclave::InputSum>(*layers_[0].challenge);
    MaskRows(0, 0, layers_[0].layer.geometry.input[0], *sum);
    for (size_t i = 0; i < layers_.size(); ++i) {
      LayerState& state = layers_[i];
      const kernels::ConvGeometry& g = state.layer.geometry;
      ASSIGN_OR_RETURN(const auto kernel, ring::LinearKernel::Create(g, state.layer.weights, ring::BestIsa()));
      const size_t num_limbs = ring::WordBytes(state.layer.ring);
      std::vector<uint8_t> scratch(kernel->scratch_bytes(num_limbs));
      std::vector<uint8_t> random(state.masked.size());
      for (size_t h = 0; h < static_cast<size_t>(g.input[0]); ++h) {
        state.codec->RandomRow(key_, i, static_cast<int64_t>(h),
                               std::span(random).subspan(h * state.masked_row(), state.masked_row()));
      }
      kernel->Run(state.layer.ring, {.limbs = random, .num_limbs = num_limbs}, {0, g.output[0]},
                  {state.pad.data(), state.pad.size()}, scratch);
      kernel->Run(state.layer.ring, {.limbs = {state.masked.data(), state.masked.size()}, .num_limbs = num_limbs},
                  {0, g.output[0]}, {state.answer.data(), state.answer.size()}, scratch);
      ASSIGN_OR_RETURN(sum, FinishLayer(i, *sum));
    }
    return absl::OkStatus();
  }

  std::vector<LayerState> layers_;
  enclave::PadKey key_ = enclave::PadKey::Draw();
  std::vector<uint8_t> scratch_;
  std::vector<uint8_t> random_row_;
  double challenge_millis_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EnclaveSide>> EnclaveSide::Create(const Network& network) {
  auto inference = std::make_unique<Inference>();
  RETURN_IF_ERROR(inference->SetUp(network));
  return inference;
}

}  // namespace shoji::bench
