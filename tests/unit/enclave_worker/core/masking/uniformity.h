// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Statistics on masked words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/kernels/ring/layout.h"

namespace shoji::enclave {

// The probability that a chi-square variable with `degrees` degrees of freedom is at least `statistic`.
double ChiSquareTail(double statistic, double degrees);
// That of counts at least this uneven, if all cells are equally likely.
double UniformityPValue(std::span<const uint64_t> counts);

// Masks at least `num_words` values that are all `constant` and gives the p-value of each limb's bytes, then that of
// the top 12 bits of the words.
std::vector<double> PValuesOfMaskedWords(kernels::ring::Ring ring, uint8_t constant, size_t num_words);

}  // namespace shoji::enclave
