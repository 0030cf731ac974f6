// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/weight_rounding.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>

namespace shoji::quantization {
namespace {

// Added to every variance, as a part of their mean; more where few examples do not tell all inputs apart.
constexpr double kDamping = 0.01;
constexpr double kDampingOfFew = 0.5;

// A square matrix, row-major.
class Matrix {
 public:
  explicit Matrix(size_t size) : size_(size), values_(size * size) {}
  size_t size() const { return size_; }
  double* row(size_t i) { return values_.data() + i * size_; }
  const double* row(size_t i) const { return values_.data() + i * size_; }

 private:
  size_t size_;
  std::vector<double> values_;
};

// The lower triangle L with L L^T = `a`, which is symmetric and positive definite.
Matrix CholeskyOf(const Matrix& a) {
  const size_t n = a.size();
  Matrix lower(n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      const double* const left = lower.row(i);
      const double* const right = lower.row(j);
      double sum = a.row(i)[j];
      for (size_t k = 0; k < j; ++k) {
        sum -= left[k] * right[k];
      }
      lower.row(i)[j] = i == j ? std::sqrt(sum) : sum / lower.row(j)[j];
    }
  }
  return lower;
}

// The inverse of `lower`'s square, L L^T.
Matrix InverseOfSquare(const Matrix& lower) {
  const size_t n = lower.size();
  // By rows: the columns of the inverse of L.
  Matrix columns(n);
  for (size_t c = 0; c < n; ++c) {
    double* const x = columns.row(c);
    for (size_t i = c; i < n; ++i) {
      double sum = i == c ? 1 : 0;
      const double* const row = lower.row(i);
      for (size_t k = c; k < i; ++k) {
        sum -= row[k] * x[k];
      }
      x[i] = sum / row[i];
    }
  }
  Matrix inverse(n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (size_t k = i; k < n; ++k) {
        sum += columns.row(i)[k] * columns.row(j)[k];
      }
      inverse.row(i)[j] = inverse.row(j)[i] = sum;
    }
  }
  return inverse;
}

// How the weights of one block are rounded: in which order, and how far each error moves the weights after it.
struct Plan {
  std::vector<size_t> order;
  Matrix feedback;  // [i][j]: of the i-th weight's error, on the j-th, i < j
};

Plan PlanOf(const LayerStatistics::Block& block, size_t num_samples) {
  const size_t n = block.size;
  const auto count = static_cast<double>(num_samples);
  std::vector<double> mean(n);
  for (size_t i = 0; i < n; ++i) {
    mean[i] = block.sums[i] / count;
  }
  const auto covariance = [&](size_t i, size_t j) { return block.products[i * n + j] / count - mean[i] * mean[j]; };
  double power = 0;
  for (size_t i = 0; i < n; ++i) {
    power += covariance(i, i) / static_cast<double>(n);
  }
  Plan plan = {std::vector<size_t>(n), Matrix(n)};
  std::iota(plan.order.begin(), plan.order.end(), size_t{0});
  // Those that weigh most go first, while there are many left to make good for them.
  std::stable_sort(plan.order.begin(), plan.order.end(),
                   [&](size_t a, size_t b) { return covariance(a, a) > covariance(b, b); });
  Matrix ordered(n);
  const double damping = (kDamping + kDampingOfFew * static_cast<double>(n) / count) * power + 1e-6;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      ordered.row(i)[j] = covariance(plan.order[i], plan.order[j]) + (i == j ? damping : 0);
    }
  }
  // With the inverse as L L^T, fixing the i-th weight at an error moves the j-th by -error * L_ji / L_ii.
  const Matrix lower = CholeskyOf(InverseOfSquare(CholeskyOf(ordered)));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) {
      plan.feedback.row(i)[j] = lower.row(j)[i] / lower.row(i)[i];
    }
  }
  return plan;
}

// Rounds the weights of one output channel in one block; `weights` are in units of a step.
void RoundBlock(const Plan& plan, std::span<const double> weights, std::span<int8_t> out) {
  constexpr double kMaxWeight = 127;
  std::vector<double> moved;
  for (const size_t at : plan.order) {
    moved.push_back(weights[at]);
  }
  for (size_t i = 0; i < moved.size(); ++i) {
    const double nearest = std::nearbyint(weights[plan.order[i]]);
    const double low = std::max(nearest - 1, -kMaxWeight);
    const double high = std::min(nearest + 1, kMaxWeight);
    const double rounded = std::min(std::max(std::nearbyint(moved[i]), low), high);
    out[plan.order[i]] = static_cast<int8_t>(rounded - nearest);
    const double error = moved[i] - rounded;
    const double* const feedback = plan.feedback.row(i);
    for (size_t j = i + 1; j < moved.size(); ++j) {
      moved[j] -= error * feedback[j];
    }
  }
}

}  // namespace

std::vector<int8_t> RoundWeights(const LinearNode& layer, const ByteTensor& input, const LayerStatistics& statistics) {
  const size_t per_channel = layer.per_channel;
  const size_t out_per_group = layer.factor.size() / statistics.blocks().size();
  std::vector<int8_t> rounding(layer.factor.size() * per_channel);
  std::vector<std::vector<double>> weights;
  for (size_t o = 0; o < layer.factor.size(); ++o) {
    weights.push_back(WeightsInSteps(layer, input, o));
  }
  for (size_t group = 0; group < statistics.blocks().size(); ++group) {
    for (const LayerStatistics::Block& block : statistics.blocks()[group]) {
      const Plan plan = PlanOf(block, statistics.num_samples());
      for (size_t o = group * out_per_group; o < (group + 1) * out_per_group; ++o) {
        RoundBlock(plan, std::span(weights[o]).subspan(block.first, block.size),
                   std::span(rounding).subspan(o * per_channel + block.first, block.size));
      }
    }
  }
  return rounding;
}

}  // namespace shoji::quantization
