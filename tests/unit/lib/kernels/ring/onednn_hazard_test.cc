// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A program of its own: the limit on oneDNN's instructions must be set before a process first uses oneDNN.
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/kernels/ring/limb_runner.h"

namespace shoji::kernels::ring {
namespace {

using Desc = dnnl::memory::desc;
using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

// oneDNN's u8 * s8 -> s32 convolution, its first choice of code for the CPU.
absl::StatusOr<std::vector<int32_t>> OneDnnLayer(const ConvGeometry& g, std::span<const int8_t> weights,
                                                 std::span<const uint8_t> x) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const dnnl::memory::dims x_dims = {1, g.in_channels, g.input[0], g.input[1]};
  const dnnl::memory::dims y_dims = {1, g.out_channels, g.output[0], g.output[1]};
  dnnl::memory::dims w_dims = {g.out_channels / g.group, g.in_channels / g.group, g.window.kernel[0],
                               g.window.kernel[1]};
  if (g.group > 1) {
    w_dims.insert(w_dims.begin(), g.group);
  }
  const dnnl::convolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, Desc(x_dims, Type::u8, Tag::nhwc),
      Desc(w_dims, Type::s8, Tag::any), Desc(y_dims, Type::s32, Tag::nhwc), {g.window.strides[0], g.window.strides[1]},
      {g.window.dilations[0] - 1, g.window.dilations[1] - 1}, {0, 0}, {0, 0});
  const dnnl::convolution_forward::primitive_desc primitive(desc, engine);
  std::vector<int8_t> w_copy(weights.begin(), weights.end());
  std::vector<uint8_t> x_copy(x.begin(), x.end());
  std::vector<int32_t> out(static_cast<size_t>(g.output[0] * g.output[1] * g.out_channels));
  dnnl::memory plain(Desc(w_dims, Type::s8, g.group > 1 ? Tag::goihw : Tag::oihw), engine, w_copy.data());
  dnnl::memory w(primitive.weights_desc(), engine);
  dnnl::reorder(plain, w).execute(stream, plain, w);
  dnnl::convolution_forward(primitive).execute(
      stream, {{DNNL_ARG_SRC, dnnl::memory(primitive.src_desc(), engine, x_copy.data())},
               {DNNL_ARG_WEIGHTS, w},
               {DNNL_ARG_DST, dnnl::memory(primitive.dst_desc(), engine, out.data())}});
  stream.wait();
  return out;
}

TEST(OneDnnHazardTest, TheSelfTestCatchesOneDnnsInt8LayersWithoutVnni) {
  ASSERT_EQ(dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2), dnnl::status::success);
  const absl::Status status = TestKernel("onednn", LimbRunner(&OneDnnLayer));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("the result is wrong"));
  // Not for the way in which the test calls it: small numbers, which cannot saturate, come out right.
  ConvGeometry g;
  g.in_channels = 5;
  g.out_channels = 6;
  g.input = {3, 4};
  g.output = {3, 4};
  const std::vector<uint8_t> limbs(LimbBytes(g, 1), 3);
  const std::vector<int8_t> weights(30, -2);
  const auto words = LimbRunner(&OneDnnLayer)(g, weights, Ring::k32, {limbs, 1, 0});
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_THAT(std::vector<uint8_t>(words->begin(), words->begin() + 4), testing::ElementsAre(0xE2, 0xFF, 0xFF, 0xFF));
}

}  // namespace
}  // namespace shoji::kernels::ring
