// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "enclave_worker/core/verification/challenge.h"
#include "enclave_worker/core/verification/challenge_tables.h"
#include "enclave_worker/core/verification/field.h"
#include "lib/base/check.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::enclave {
namespace {

constexpr size_t kSumLanes = 8;

// Where every lane's number goes below 2^53, and stays the same mod p.
void Normalize(uint64_t* low, uint64_t* high, size_t num_lanes) {
  for (size_t i = 0; i < num_lanes; ++i) {
    low[i] = field::Combine(low[i], high[i]);
    high[i] = 0;
  }
}

}  // namespace

bool IsSupported(SumIsa isa) {
  return isa == SumIsa::kPortable || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                                      __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vnni"));
}
SumIsa BestSumIsa() { return IsSupported(SumIsa::kAvx512) ? SumIsa::kAvx512 : SumIsa::kPortable; }

OutputSum::OutputSum(const Challenge& challenge)
    : challenge_(&challenge), low_(challenge.tables().num_lanes), high_(challenge.tables().num_lanes) {}

void OutputSum::Reserve(size_t num_terms) {
  SHOJI_CHECK(num_terms <= kMaxTerms);
  if (num_terms_ + num_terms > kMaxTerms) {
    Normalize(low_.data(), high_.data(), low_.size());
    num_terms_ = 0;
  }
  num_terms_ += num_terms;
}

void OutputSum::AddValue(uint64_t value) { value_ = field::Add(value_, value); }

void OutputSum::Add(const OutputSum& other) {
  SHOJI_CHECK(challenge_ == other.challenge_);
  AddValue(other.Value());
}

uint64_t OutputSum::Value() const {
  const Challenge::Tables& tables = challenge_->tables();
  uint64_t value = value_;
  for (size_t i = 0; i < low_.size(); ++i) {
    const uint64_t lane = field::Combine(low_[i], high_[i]);
    value = field::Add(value, tables.positions_first ? field::Multiply(lane, tables.s[i]) : lane);
  }
  return value;
}

InputSum::InputSum(const Challenge& challenge, SumIsa isa) : challenge_(&challenge), isa_(isa) {
  SHOJI_CHECK(IsSupported(isa));
  if (isa == SumIsa::kAvx512) {
    const Challenge::Tables& tables = challenge.tables();
    lanes_ = AlignedArray<uint64_t>(2 * kSumLanes);
    accumulators_ = AlignedArray<int32_t>(tables.rows.taps.size() * tables.long_runs.size() *
                                          tables.coefficient_stride * row_kernels::kNumDigits);
    touched_.resize(tables.rows.taps.size());
  }
}

void InputSum::AddRow(int64_t row, std::span<const uint8_t> q) {
  const kernels::ConvGeometry& geometry = challenge_->layer().geometry;
  SHOJI_CHECK(row >= 0 && row < geometry.input[0]);
  SHOJI_CHECK(q.size() == kernels::ring::ActivationRowBytes(geometry.input[1], geometry.in_channels));
  if (isa_ == SumIsa::kAvx512) {
    AddRowAvx512(static_cast<size_t>(row), q.data());
  } else {
    AddRowPortable(static_cast<size_t>(row), q.data());
  }
}

void InputSum::AddRowPortable(size_t row, const uint8_t* q) {
  const Challenge::Tables& tables = challenge_->tables();
  const size_t channels = kernels::ring::PaddedChannels(challenge_->layer().geometry.in_channels);
  const size_t row_class = tables.rows.class_of[row];
  uint64_t sum = 0;
  for (size_t w = 0; w < tables.column_t.size(); ++w) {
    const uint64_t* const coefficients = tables.CoefficientsOf(row_class, tables.columns.class_of[w]);
    field::Wide dot = 0;
    for (size_t c = 0; c < channels; ++c) {
      dot += coefficients[c] * q[w * channels + c];  // a factor is below 2^52, the other below 2^8
    }
    sum = field::Add(sum, field::Multiply(tables.column_t[w], field::Reduce(dot)));
  }
  value_ = field::Add(value_, field::Multiply(tables.row_t[row], sum));
}

void InputSum::AddRowAvx512(size_t row, const uint8_t* q) {
  const Challenge::Tables& tables = challenge_->tables();
  const size_t channels = kernels::ring::PaddedChannels(challenge_->layer().geometry.in_channels);
  const size_t row_class = tables.rows.class_of[row];
  if (tables.rows.taps[row_class].empty()) {
    return;  // no output reads this row
  }
  if (num_positions_ + row_kernels::kMaxRunPositions > row_kernels::kMaxPositions) {
    value_ = ValueOfAccumulators();
    std::fill_n(accumulators_.data(), accumulators_.size(), 0);
    std::fill(touched_.begin(), touched_.end(), uint8_t{0});
    num_positions_ = 0;
  }
  size_t longest = 0;
  for (const row_kernels::LongRun& run : tables.long_runs) {
    longest = std::max(longest, run.count);
  }
  num_positions_ += longest;
  touched_[row_class] = 1;

  row_kernels::InputRow in{.q = q,
                           .channels = channels,
                           .runs = tables.long_runs.data(),
                           .num_runs = tables.long_runs.size(),
                           .digits = tables.digits.data() + row * tables.steps_per_row * row_kernels::kDigitStride,
                           .accumulators = accumulators_.data() + row_class * tables.long_runs.size() *
                                                                      tables.coefficient_stride *
                                                                      row_kernels::kNumDigits,
                           .low = lanes_.data(),
                           .high = lanes_.data() + kSumLanes};
  constexpr size_t kBatch = 64;
  row_kernels::ShortPosition batch[kBatch];
  size_t done = 0;
  do {
    size_t n = 0;
    for (; n < kBatch && done < tables.singles.size(); ++n, ++done) {
      const Challenge::Tables::Single& single = tables.singles[done];
      batch[n] = {.offset = static_cast<size_t>(single.column) * channels,
                  .coefficients = tables.CoefficientsOf(row_class, single.column_class),
                  .weight = field::Multiply(tables.row_t[row], tables.column_t[static_cast<size_t>(single.column)])};
    }
    in.positions = batch;
    in.num_positions = n;
    row_kernels::AddInputRowAvx512(in);
    Normalize(in.low, in.high, n == 0 ? 0 : kSumLanes);
    in.num_runs = 0;  // once is enough
  } while (done < tables.singles.size());
  OPENSSL_cleanse(batch, sizeof(batch));
}

void InputSum::Add(const InputSum& other) {
  SHOJI_CHECK(challenge_ == other.challenge_);
  value_ = field::Add(value_, other.Value());
}

uint64_t InputSum::Value() const {
  uint64_t value = ValueOfAccumulators();
  for (size_t i = 0; i < lanes_.size() / 2; ++i) {
    value = field::Add(value, field::Combine(lanes_[i], lanes_[kSumLanes + i]));
  }
  return value;
}

uint64_t InputSum::ValueOfAccumulators() const {
  uint64_t value = value_;
  for (size_t r = 0; r < touched_.size(); ++r) {
    for (size_t run = 0; touched_[r] != 0 && run < challenge_->tables().long_runs.size(); ++run) {
      value = field::Add(value, ValueOfRun(r, run));
    }
  }
  return value;
}

uint64_t InputSum::ValueOfRun(size_t row_class, size_t run) const {
  const Challenge::Tables& tables = challenge_->tables();
  const uint64_t* const coefficients = tables.CoefficientsOf(row_class, tables.long_run_class[run]);
  const int32_t* a = accumulators_.data() +
                     (row_class * tables.long_runs.size() + run) * tables.coefficient_stride * row_kernels::kNumDigits;
  field::Wide sum = 0;  // of numbers below 2^104
  for (size_t block = 0; block < tables.coefficient_stride; block += row_kernels::kBlockChannels) {
    for (size_t half_quarter = 0; half_quarter < 4; ++half_quarter, a += 16 * row_kernels::kNumDigits) {
      for (size_t lane = 0; lane < 16; ++lane) {
        const auto digit = [&](size_t d) { return static_cast<int64_t>(a[16 * d + lane]); };
        const int64_t low = digit(0) + digit(1) * (1 << 8) + digit(2) * (1 << 16) + digit(3) * (1 << 24);
        const int64_t high = digit(4) + digit(5) * (1 << 8) + digit(6) * (1 << 16);
        // Both are below 2^57 in size; 2^57 * p is 0 mod p and makes the sum positive.
        constexpr field::Wide kPositive = static_cast<field::Wide>(field::kPrime) << 57;
        const field::Wide x = kPositive + static_cast<field::Wide>(low) + (static_cast<field::Wide>(high) << 32);
        const size_t channel = block + row_kernels::ChannelOfAccumulator(half_quarter / 2, half_quarter % 2, lane);
        sum += static_cast<field::Wide>(field::Reduce(x)) * coefficients[channel];
      }
    }
  }
  return field::Reduce(sum);
}

}  // namespace shoji::enclave
