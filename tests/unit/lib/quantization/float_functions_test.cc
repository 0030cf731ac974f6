// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/float_functions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/reference/elementwise.h"

namespace shoji::quantization {
namespace {

using Kind = kernels::Activation::Kind;

TEST(FloatFunctionsTest, ExpAgreesWithTheLibrarys) {
  for (double x = -700; x < 700; x += 0.37) {
    EXPECT_NEAR(Exp(x) / std::exp(x), 1, 4e-15) << x;
  }
  EXPECT_EQ(Exp(0), 1);
}

TEST(FloatFunctionsTest, ExpOfWhatIsOutOfRangeIsFinite) {
  EXPECT_EQ(Exp(-1e300), 0);
  EXPECT_EQ(Exp(-std::numeric_limits<double>::infinity()), 0);
  EXPECT_TRUE(std::isfinite(Exp(std::numeric_limits<double>::infinity())));
}

TEST(FloatFunctionsTest, LogAgreesWithTheLibrarys) {
  for (double x = 1e-300; x < 1e300; x *= 1.7) {
    EXPECT_NEAR(Log(x), std::log(x), 1e-15 * std::max(100.0, std::abs(std::log(x)))) << x;
  }
  for (double x = 0.9; x < 1.1; x += 0.0037) {
    EXPECT_NEAR(Log(x), std::log(x), 1e-16) << x;
  }
  EXPECT_EQ(Log(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(Log(std::numeric_limits<double>::infinity()), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(Log(-1)));
}

TEST(FloatFunctionsTest, ErfAgreesWithTheLibrarys) {
  for (double x = -8; x < 8; x += 0.037) {
    EXPECT_NEAR(Erf(x), std::erf(x), 1e-14) << x;
  }
  EXPECT_EQ(Erf(std::numeric_limits<double>::infinity()), 1);
  EXPECT_TRUE(std::isnan(Erf(std::numeric_limits<double>::quiet_NaN())));
}

TEST(FloatFunctionsTest, ActivationsAgreeWithTheReferenceKernels) {
  std::vector<float> x;
  for (int i = -400; i <= 400; ++i) {
    x.push_back(static_cast<float>(i) * 0.03F);
  }
  x.push_back(1e-6F);
  x.push_back(-1e-6F);
  for (const Kind kind : {Kind::kRelu,
                          Kind::kLeakyRelu,
                          Kind::kSigmoid,
                          Kind::kHardSigmoid,
                          Kind::kHardSwish,
                          Kind::kTanh,
                          Kind::kClip,
                          Kind::kSwish,
                          Kind::kElu,
                          Kind::kSelu,
                          Kind::kThresholdedRelu,
                          Kind::kSoftplus,
                          Kind::kSoftsign,
                          Kind::kErf,
                          Kind::kAbs,
                          Kind::kNeg,
                          Kind::kExp,
                          Kind::kFloor,
                          Kind::kCeil,
                          Kind::kRound,
                          Kind::kSign}) {
    const kernels::Activation activation = {kind, kind == Kind::kClip ? -1.5F : 0.2F, 0.5F};
    std::vector<float> expected(x.size());
    std::vector<float> actual(x.size());
    kernels::reference::Activate(activation, x, expected);
    Activate(activation, x, actual);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], 1e-6F + 1e-6F * std::abs(expected[i]))
          << "kind " << static_cast<int>(kind) << " at " << x[i];
    }
  }
}

TEST(FloatFunctionsTest, SoftmaxAgreesWithTheReferenceKernel) {
  std::vector<float> x;
  for (int i = 0; i < 30; ++i) {
    x.push_back(static_cast<float>((i * 7) % 30) - 10);
  }
  const kernels::AxisView view = {2, 5, 3};
  std::vector<float> expected(x.size());
  std::vector<float> actual(x.size());
  kernels::reference::Softmax(view, x, expected);
  Softmax(view, x, actual);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-6F) << i;
  }
}

}  // namespace
}  // namespace shoji::quantization
