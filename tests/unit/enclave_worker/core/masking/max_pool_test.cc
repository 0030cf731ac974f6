// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/masking/layer_codec.h"
#include "tests/unit/enclave_worker/core/masking/masked_run.h"

namespace shoji::enclave {
namespace {

kernels::PoolGeometry RandomPool(Random& random) {
  while (true) {
    kernels::PoolGeometry pool{.kind = kernels::PoolKind::kMax,
                               .channels = Between(random, 1, 150),
                               .input = {Between(random, 1, 9), Between(random, 1, 33)},
                               .output = {},
                               .window = {}};
    kernels::Window& window = pool.window;
    window.kernel = {Between(random, 1, 4), Between(random, 1, 4)};
    window.strides = {Between(random, 1, 3), Between(random, 1, 3)};
    window.dilations = {Between(random, 1, 2), Between(random, 1, 2)};
    window.pads = {Between(random, 0, window.kernel[0] - 1), Between(random, 0, window.kernel[1] - 1), 0, 0};
    for (size_t axis = 0; axis < 2; ++axis) {
      const int64_t covered = pool.input[axis] + window.pads[axis] - window.Span(axis);
      pool.output[axis] = covered < 0 ? 0 : covered / window.strides[axis] + 1 + Between(random, 0, 1);
    }
    if (pool.output[0] > 0 && pool.output[1] > 0) {
      return pool;
    }
  }
}

// The input rows of the window of output row `h` that exist.
std::vector<int64_t> RowsOfWindow(const kernels::PoolGeometry& pool, int64_t h) {
  std::vector<int64_t> rows;
  for (int64_t k = 0; k < pool.window.kernel[0]; ++k) {
    const int64_t row = h * pool.window.strides[0] - pool.window.pads[0] + k * pool.window.dilations[0];
    if (row >= 0 && row < pool.input[0]) {
      rows.push_back(row);
    }
  }
  return rows;
}

TEST(MaxPoolTest, EveryOutputIsTheLargestOfItsWindow) {
  Random random(1);
  for (int n = 0; n < 500; ++n) {
    const kernels::PoolGeometry pool = RandomPool(random);
    const size_t channels = kernels::ring::PaddedChannels(pool.channels);
    const size_t row_bytes = kernels::ring::ActivationRowBytes(pool.input[1], pool.channels);
    const std::vector<uint8_t> q = RandomBytes(random, row_bytes * static_cast<size_t>(pool.input[0]));
    const int64_t h = Between(random, 0, pool.output[0] - 1);
    std::vector<std::span<const uint8_t>> rows;
    for (const int64_t row : RowsOfWindow(pool, h)) {
      rows.push_back(std::span(q).subspan(static_cast<size_t>(row) * row_bytes, row_bytes));
    }
    for (const CodecIsa isa : CodecIsas()) {
      std::vector<uint8_t> out(kernels::ring::ActivationRowBytes(pool.output[1], pool.channels), 77);
      MaxPoolRow(pool, rows, out, isa);
      for (int64_t w = 0; w < pool.output[1]; ++w) {
        for (size_t c = 0; c < channels; ++c) {
          uint8_t expected = 0;
          for (const std::span<const uint8_t>& row : rows) {
            for (int64_t k = 0; k < pool.window.kernel[1]; ++k) {
              const int64_t column = w * pool.window.strides[1] - pool.window.pads[1] + k * pool.window.dilations[1];
              if (column >= 0 && column < pool.input[1]) {
                expected = std::max(expected, row[static_cast<size_t>(column) * channels + c]);
              }
            }
          }
          ASSERT_EQ(out[static_cast<size_t>(w) * channels + c], expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoji::enclave
