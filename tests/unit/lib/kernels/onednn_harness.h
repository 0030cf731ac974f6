// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs a oneDNN primitive on row-major data, and compares results.
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/onednn/layout.h"
#include "lib/kernels/onednn/movement.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::kernels {

using Values = std::vector<float>;

inline Values RandomValues(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  Values out(count);
  for (float& value : out) {
    value = uniform(generator);
  }
  return out;
}

inline void ExpectClose(std::span<const float> actual, std::span<const float> expected, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 1e-4F + 1e-4F * std::abs(expected[i])) << what << " at " << i;
  }
}

class OneDnnHarness {
 public:
  OneDnnHarness() : threads_(1), engine_(*onednn::Engine::Create()) {}

  const onednn::Engine& engine() const { return *engine_; }

  static onednn::Layout Plain(std::vector<int64_t> dims) { return *onednn::Layout::Plain(dims); }

  // A layout with channels in blocks of 16 or 8, as convolutions choose it: what a reorder to `tag` makes.
  static onednn::Layout Blocked(const std::vector<int64_t>& dims, dnnl_format_tag_t tag);

  Values Reorder(const Values& from, const onednn::Layout& from_layout, const onednn::Layout& to_layout) const {
    Values out(to_layout.size_bytes() / sizeof(float));
    const auto reorder = onednn::MakeReorder(engine(), from_layout, to_layout);
    EXPECT_TRUE(reorder.ok()) << reorder.status();
    const float* input = from.data();
    EXPECT_TRUE(onednn::RunOnce(engine(), *reorder, {&input, 1}, out.data()).ok());
    return out;
  }

  // `inputs` are row-major in their extents; so is what comes back. `output` is what the output memory holds before.
  Values Run(const onednn::Primitive& primitive, const std::vector<Values>& inputs, const Values& output = {}) const {
    std::vector<Values> placed;
    std::vector<const float*> pointers;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const onednn::Layout& layout = primitive.inputs()[i].layout;
      placed.push_back(Reorder(inputs[i], Plain(layout.dims()), layout));
    }
    for (const Values& values : placed) {
      pointers.push_back(values.data());
    }
    const onednn::Layout& layout = primitive.output().layout;
    Values out(layout.size_bytes() / sizeof(float));
    if (!output.empty()) {
      out = Reorder(output, Plain(layout.dims()), layout);
    }
    const absl::Status status = onednn::RunOnce(engine(), primitive, pointers, out.data());
    EXPECT_TRUE(status.ok()) << status;
    return Reorder(out, layout, Plain(layout.dims()));
  }

 private:
  onednn::ScopedThreads threads_;
  std::unique_ptr<onednn::Engine> engine_;
};

inline onednn::Layout OneDnnHarness::Blocked(const std::vector<int64_t>& dims, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t desc = {};
  EXPECT_EQ(dnnl_memory_desc_init_by_tag(&desc, static_cast<int>(dims.size()), dims.data(), dnnl_f32, tag),
            dnnl_success);
  return onednn::Layout(desc);
}

}  // namespace shoji::kernels
