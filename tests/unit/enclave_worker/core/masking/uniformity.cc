// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/enclave_worker/core/masking/uniformity.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "enclave_worker/core/masking/layer_codec.h"

namespace shoji::enclave {
namespace {

// The regularized incomplete gamma functions P and Q = 1 - P (Numerical Recipes, section 6.2): P by its series, Q by
// its continued fraction in Lentz's form, each where it converges fast.
double GammaPBySeries(double a, double x) {
  double term = 1 / a;
  double sum = term;
  for (double n = a + 1; std::abs(term) > std::abs(sum) * 1e-16; n += 1) {
    term *= x / n;
    sum += term;
  }
  return sum * std::exp(-x + a * std::log(x) - std::lgamma(a));
}
double GammaQByFraction(double a, double x) {
  constexpr double kTiny = std::numeric_limits<double>::min() / 1e-16;
  double b = x + 1 - a;
  double c = 1 / kTiny;
  double d = 1 / b;
  double h = d;
  double change = 0;
  for (double i = 1; std::abs(change - 1) > 1e-15; i += 1) {
    const double numerator = -i * (i - a);
    b += 2;
    d = numerator * d + b;
    d = 1 / (std::abs(d) < kTiny ? kTiny : d);
    c = b + numerator / c;
    c = std::abs(c) < kTiny ? kTiny : c;
    change = d * c;
    h *= change;
  }
  return std::exp(-x + a * std::log(x) - std::lgamma(a)) * h;
}

constexpr int64_t kWidth = 4096;
constexpr int64_t kChannels = 64;
constexpr int kTopBits = 12;

}  // namespace

double ChiSquareTail(double statistic, double degrees) {
  const double a = degrees / 2;
  const double x = statistic / 2;
  if (x <= 0) {
    return 1;
  }
  return x < a + 1 ? 1 - GammaPBySeries(a, x) : GammaQByFraction(a, x);
}

double UniformityPValue(std::span<const uint64_t> counts) {
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), uint64_t{0}));
  const double expected = total / static_cast<double>(counts.size());
  double statistic = 0;
  for (const uint64_t count : counts) {
    const double difference = static_cast<double>(count) - expected;
    statistic += difference * difference / expected;
  }
  return ChiSquareTail(statistic, static_cast<double>(counts.size()) - 1);
}

std::vector<double> PValuesOfMaskedWords(kernels::ring::Ring ring, uint8_t constant, size_t num_words) {
  quantization::LinearLayer layer;
  layer.geometry = {
      .in_channels = kChannels, .out_channels = 1, .input = {1, kWidth}, .output = {1, kWidth}, .window = {}};
  layer.weights.assign(kChannels, 1);
  layer.input_zero_point = 128;
  layer.lo = {0};
  layer.hi = {0};
  layer.bias = {0};
  layer.multiplier = {1};
  layer.ring = ring;
  const LayerCodec codec(layer, BestCodecIsa());
  const size_t num_limbs = kernels::ring::WordBytes(ring);
  const size_t plane = kernels::ring::PlaneBytes(kWidth, kChannels);
  const std::vector<uint8_t> q(plane, constant);
  std::vector<uint8_t> out(num_limbs * plane);
  std::vector<std::vector<uint64_t>> bytes(num_limbs, std::vector<uint64_t>(256));
  std::vector<uint64_t> top(size_t{1} << kTopBits);
  for (size_t done = 0; done < num_words; done += plane) {
    codec.MaskRow(PadKey::Draw(), 0, 0, q, out);
    for (size_t i = 0; i < plane; ++i) {
      for (size_t l = 0; l < num_limbs; ++l) {
        ++bytes[l][out[l * plane + i]];
      }
      const uint32_t high = out[(num_limbs - 1) * plane + i];
      ++top[high << (kTopBits - 8) | out[(num_limbs - 2) * plane + i] >> (16 - kTopBits)];
    }
  }
  std::vector<double> p_values;
  for (const std::vector<uint64_t>& counts : bytes) {
    p_values.push_back(UniformityPValue(counts));
  }
  p_values.push_back(UniformityPValue(top));
  return p_values;
}

}  // namespace shoji::enclave
