// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/verification/challenge.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <openssl/crypto.h>

#include "enclave_worker/core/verification/challenge_tables.h"
#include "enclave_worker/core/verification/field.h"
#include "lib/base/check.h"
#include "lib/crypto/random.h"

namespace shoji::enclave {
namespace {

using kernels::ConvGeometry;
using quantization::LinearLayer;

// A run shorter than this is summed position by position.
constexpr int64_t kMinLongRun = 6;

// Fills `out` with elements of the field, uniform, by rejection: what is thrown away says nothing about what is kept.
void DrawElements(std::span<uint64_t> out) {
  constexpr size_t kChunk = 256;
  size_t filled = 0;
  while (filled < out.size()) {
    const crypto::SecretBytes random = crypto::RandomSecret(kChunk * sizeof(uint64_t));
    for (size_t i = 0; i < kChunk && filled < out.size(); ++i) {
      uint64_t value = 0;
      std::memcpy(&value, random.Expose().data() + i * sizeof(value), sizeof(value));
      value &= field::kLowMask;
      if (value < field::kPrime) {
        out[filled++] = value;
      }
    }
  }
}

uint64_t DrawNonZero() {
  uint64_t value = 0;
  while (value == 0) {
    DrawElements({&value, 1});
  }
  return value;
}

// base^0 ... base^(n - 1).
AlignedArray<uint64_t> Powers(uint64_t base, int64_t n) {
  AlignedArray<uint64_t> out(static_cast<size_t>(n));
  uint64_t power = 1;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = power;
    power = field::Multiply(power, base);
  }
  return out;
}

uint64_t SignedPower(uint64_t base, int64_t exponent) {
  const uint64_t power = field::Power(base, static_cast<uint64_t>(exponent < 0 ? -exponent : exponent));
  return exponent < 0 ? field::Inverse(power) : power;
}

uint64_t SumOf(const AlignedArray<uint64_t>& elements) {
  uint64_t sum = 0;
  for (size_t i = 0; i < elements.size(); ++i) {
    sum = field::Add(sum, elements[i]);
  }
  return sum;
}

// sum over output channels of s_c w(c, ...), for every [input channel][kernel position]: s in two halves of 26 bits, so
// that plain 64-bit sums hold 2^30 products.
AlignedArray<uint64_t> SumOfWeights(const LinearLayer& layer, std::span<const uint64_t> s) {
  const ConvGeometry& geometry = layer.geometry;
  const auto groups = static_cast<size_t>(geometry.group);
  const auto taps = static_cast<size_t>(geometry.window.kernel[0] * geometry.window.kernel[1]);
  const size_t row = static_cast<size_t>(geometry.in_channels) / groups * taps;
  const size_t outputs = static_cast<size_t>(geometry.out_channels) / groups;
  SHOJI_CHECK(layer.weights.size() == static_cast<size_t>(geometry.out_channels) * row);
  AlignedArray<uint64_t> out(static_cast<size_t>(geometry.in_channels) * taps);
  AlignedArray<int64_t> low(row);
  AlignedArray<int64_t> high(row);
  for (size_t g = 0; g < groups; ++g) {
    std::fill_n(low.data(), row, 0);
    std::fill_n(high.data(), row, 0);
    for (size_t c = g * outputs; c < (g + 1) * outputs; ++c) {
      const int8_t* const weights = layer.weights.data() + c * row;
      const auto s_low = static_cast<int64_t>(s[c] & ((uint64_t{1} << 26) - 1));
      const auto s_high = static_cast<int64_t>(s[c] >> 26);
      for (size_t i = 0; i < row; ++i) {
        low[i] += s_low * weights[i];
        high[i] += s_high * weights[i];
      }
    }
    for (size_t i = 0; i < row; ++i) {
      out[g * row + i] =
          field::Add(field::FromSigned(low[i]), field::Multiply(field::FromSigned(high[i]), uint64_t{1} << 26));
    }
  }
  return out;
}

void FillOutput(const LinearLayer& layer, std::span<const uint64_t> s, Challenge::Tables& tables) {
  const ConvGeometry& geometry = layer.geometry;
  const size_t padded = kernels::ring::PaddedChannels(geometry.out_channels);
  tables.positions_first = padded <= Challenge::Tables::kMaxPositionsFirst;
  tables.num_lanes = tables.positions_first ? RoundUp(padded, 16) : 8;
  tables.s = AlignedArray<uint64_t>(RoundUp(padded, row_kernels::kBlockChannels));
  uint64_t lo_sum = 0;
  for (size_t c = 0; c < s.size(); ++c) {
    tables.s[LaneOf(c)] = s[c];
    lo_sum = field::Add(lo_sum, field::Multiply(s[c], field::FromSigned(layer.lo[c])));
  }
  const AlignedArray<uint64_t> rows = Powers(tables.alpha, geometry.output[0]);
  const AlignedArray<uint64_t> columns = Powers(tables.beta, geometry.output[1]);
  tables.output_t = AlignedArray<uint64_t>(rows.size() * columns.size());
  for (size_t h = 0; h < rows.size(); ++h) {
    for (size_t w = 0; w < columns.size(); ++w) {
      tables.output_t[h * columns.size() + w] = field::Multiply(rows[h], columns[w]);
    }
  }
  tables.output_constant = field::Multiply(lo_sum, field::Multiply(SumOf(rows), SumOf(columns)));
}

// weight^floor(i / stride) for every position i of an input axis.
AlignedArray<uint64_t> InputWeights(uint64_t base, int64_t extent, int64_t stride) {
  const AlignedArray<uint64_t> powers = Powers(base, (extent + stride - 1) / stride);
  AlignedArray<uint64_t> out(static_cast<size_t>(extent));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = powers[i / static_cast<size_t>(stride)];
  }
  return out;
}

// Adds to `out` (one a channel) what kernel position (a, b) contributes to its class.
void AddTap(const ConvGeometry& geometry, const AlignedArray<uint64_t>& weight_sums, size_t kernel_position,
            uint64_t factor, uint64_t* out) {
  const auto taps = static_cast<size_t>(geometry.window.kernel[0] * geometry.window.kernel[1]);
  for (size_t c = 0; c < static_cast<size_t>(geometry.in_channels); ++c) {
    out[c] = field::Add(out[c], field::Multiply(factor, weight_sums[c * taps + kernel_position]));
  }
}

void FillCoefficients(const LinearLayer& layer, const AlignedArray<uint64_t>& weight_sums, Challenge::Tables& tables) {
  const ConvGeometry& geometry = layer.geometry;
  tables.rows = ClassifyAxis(geometry, 0);
  tables.columns = ClassifyAxis(geometry, 1);
  tables.row_t = InputWeights(tables.alpha, geometry.input[0], geometry.window.strides[0]);
  tables.column_t = InputWeights(tables.beta, geometry.input[1], geometry.window.strides[1]);
  tables.coefficient_stride = RoundUp(kernels::ring::PaddedChannels(geometry.in_channels), row_kernels::kBlockChannels);
  const size_t num_columns = tables.columns.taps.size();
  tables.coefficients = AlignedArray<uint64_t>(tables.rows.taps.size() * num_columns * tables.coefficient_stride);
  for (size_t r = 0; r < tables.rows.taps.size(); ++r) {
    for (size_t c = 0; c < num_columns; ++c) {
      uint64_t* const out = tables.coefficients.data() + (r * num_columns + c) * tables.coefficient_stride;
      for (const Tap& a : tables.rows.taps[r]) {
        for (const Tap& b : tables.columns.taps[c]) {
          const uint64_t factor =
              field::Multiply(SignedPower(tables.alpha, a.exponent), SignedPower(tables.beta, b.exponent));
          AddTap(geometry, weight_sums, static_cast<size_t>(a.kernel * geometry.window.kernel[1] + b.kernel), factor,
                 out);
        }
      }
    }
  }
}

// For each class, the sum of the weights of its positions.
std::vector<uint64_t> WeightOfClasses(const AxisClasses& classes, const AlignedArray<uint64_t>& weights) {
  std::vector<uint64_t> out(classes.taps.size(), 0);
  for (size_t i = 0; i < weights.size(); ++i) {
    out[classes.class_of[i]] = field::Add(out[classes.class_of[i]], weights[i]);
  }
  return out;
}

uint64_t InputConstant(const Challenge::Tables& tables, uint8_t zero_point) {
  std::vector<uint64_t> rows = WeightOfClasses(tables.rows, tables.row_t);
  std::vector<uint64_t> columns = WeightOfClasses(tables.columns, tables.column_t);
  uint64_t total = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < columns.size(); ++c) {
      const uint64_t* const coefficients = tables.CoefficientsOf(r, c);
      uint64_t sum = 0;
      for (size_t i = 0; i < tables.coefficient_stride; ++i) {
        sum = field::Add(sum, coefficients[i]);
      }
      total = field::Add(total, field::Multiply(sum, field::Multiply(rows[r], columns[c])));
    }
  }
  OPENSSL_cleanse(rows.data(), rows.size() * sizeof(uint64_t));
  OPENSSL_cleanse(columns.data(), columns.size() * sizeof(uint64_t));
  return field::Multiply(total, zero_point);
}

void FindRuns(const ConvGeometry& geometry, Challenge::Tables& tables) {
  const size_t channels = kernels::ring::PaddedChannels(geometry.in_channels);
  for (const ClassRun& run : tables.columns.runs) {
    for (int64_t begin = 0; begin < run.count;) {
      const int64_t count = std::min<int64_t>(run.count - begin, row_kernels::kMaxRunPositions);
      const int64_t first = run.first + begin * run.step;
      if (count >= kMinLongRun) {
        tables.long_runs.push_back({.first = static_cast<size_t>(first) * channels,
                                    .step = static_cast<size_t>(run.step) * channels,
                                    .count = static_cast<size_t>(count)});
        tables.long_run_class.push_back(run.class_index);
        tables.steps_per_row +=
            RoundUp(static_cast<size_t>(count), row_kernels::kStepPositions) / row_kernels::kStepPositions;
      } else {
        for (int64_t i = 0; i < count; ++i) {
          tables.singles.push_back({.column = first + i * run.step, .column_class = run.class_index});
        }
      }
      begin += count;
    }
  }
}

// The digits of `weight`, each into byte `position` of its word.
void PutDigits(uint64_t weight, size_t position, uint32_t* words) {
  // Balanced: p / 2 and more stands for a negative number. By mask, not by branch.
  const uint64_t is_large = 0 - ((field::kPrime / 2 - weight) >> 63);
  auto rest = static_cast<int64_t>(weight - (field::kPrime & is_large));
  for (size_t d = 0; d < row_kernels::kNumDigits; ++d) {
    const auto digit = static_cast<int8_t>(rest & 0xFF);
    rest = (rest - digit) >> 8;
    words[d] |= static_cast<uint32_t>(static_cast<uint8_t>(digit)) << (8 * position);
  }
}

// The digits of one row, run after run. Positions that the last step of a run lacks keep weight 0.
void FillDigitsOfRow(const ConvGeometry& geometry, uint64_t row_weight, const Challenge::Tables& tables,
                     uint32_t* words) {
  const size_t channels = kernels::ring::PaddedChannels(geometry.in_channels);
  for (const row_kernels::LongRun& run : tables.long_runs) {
    for (size_t i = 0; i < run.count; ++i) {
      const uint64_t weight = field::Multiply(row_weight, tables.column_t[(run.first + i * run.step) / channels]);
      PutDigits(weight, i % row_kernels::kStepPositions,
                words + i / row_kernels::kStepPositions * row_kernels::kDigitStride);
    }
    words += RoundUp(run.count, row_kernels::kStepPositions) / row_kernels::kStepPositions * row_kernels::kDigitStride;
  }
}

void FillDigits(const ConvGeometry& geometry, Challenge::Tables& tables) {
  const size_t stride = tables.steps_per_row * row_kernels::kDigitStride;
  tables.digits = AlignedArray<uint32_t>(tables.row_t.size() * stride);
  for (size_t h = 0; h < tables.row_t.size(); ++h) {
    FillDigitsOfRow(geometry, tables.row_t[h], tables, tables.digits.data() + h * stride);
  }
}

}  // namespace

Challenge::Challenge(const LinearLayer& layer) : layer_(layer), tables_(std::make_unique<Tables>()) {}

Challenge::~Challenge() {
  OPENSSL_cleanse(&tables_->alpha, sizeof(tables_->alpha));
  OPENSSL_cleanse(&tables_->beta, sizeof(tables_->beta));
}

std::unique_ptr<const Challenge> Challenge::Draw(const LinearLayer& layer) {
  AlignedArray<uint64_t> s(static_cast<size_t>(layer.geometry.out_channels));
  DrawElements({s.data(), s.size()});
  return FromSecrets(layer, {s.data(), s.size()}, DrawNonZero(), DrawNonZero());
}

std::unique_ptr<const Challenge> Challenge::FromSecrets(const LinearLayer& layer, std::span<const uint64_t> s,
                                                        uint64_t alpha, uint64_t beta) {
  const ConvGeometry& geometry = layer.geometry;
  SHOJI_CHECK(s.size() == static_cast<size_t>(geometry.out_channels) && layer.lo.size() == s.size());
  SHOJI_CHECK(geometry.batch == 1 && alpha != 0 && beta != 0);
  std::unique_ptr<Challenge> challenge(new Challenge(layer));
  Tables& tables = *challenge->tables_;
  tables.alpha = alpha;
  tables.beta = beta;
  FillOutput(layer, s, tables);
  FillCoefficients(layer, SumOfWeights(layer, s), tables);
  tables.input_constant = InputConstant(tables, layer.input_zero_point);
  FindRuns(geometry, tables);
  FillDigits(geometry, tables);
  return challenge;
}

bool Challenge::Verify(const OutputSum& output, const InputSum& input) const {
  const uint64_t left = field::Add(output.Value(), tables_->output_constant);
  const uint64_t right = field::Subtract(input.Value(), tables_->input_constant);
  return left == right;
}

}  // namespace shoji::enclave
