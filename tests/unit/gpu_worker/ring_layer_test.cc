// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/ring_layer.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;
using testing::ClearLayer;
using testing::DenseLayer;
using ::testing::HasSubstr;
using testing::SmallLayer;

absl::StatusOr<RingLayer> Parse(const pb::LinearLayer& layer) {
  return ParseRingLayer(AsBytes(layer.SerializeAsString()));
}

TEST(RingLayerTest, ReadsAMaskedConvolution) {
  const auto layer = Parse(SmallLayer());
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->ring, kernels::ring::Ring::k32);
  EXPECT_EQ(layer->num_limbs, 4U);
  EXPECT_EQ(layer->padding, 0);
  EXPECT_EQ(layer->geometry.group, 1);
  EXPECT_EQ(layer->geometry.window.strides, (kernels::Extents{2, 1}));
  EXPECT_EQ(layer->weights().size(), 7U * 5 * 3 * 3);
  EXPECT_EQ(layer->weights()[0], -125);
  EXPECT_EQ(layer->InputShape(), Shape({6, 4, 64})) << "4 positions of 8 bytes, padded to 64";
  EXPECT_EQ(layer->OutputShape(), Shape({3, 4 * 8 * 4}));
  EXPECT_EQ(*MacsOf(*layer), 16U * 8 * 9 * 3 * 4 * 4) << "7 outputs and 5 inputs, in whole vectors and steps";
}

TEST(RingLayerTest, ReadsAConvolutionOfClearValues) {
  const auto layer = Parse(ClearLayer());
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->num_limbs, 1U);
  EXPECT_EQ(layer->padding, 17);
  EXPECT_EQ(layer->InputShape(), Shape({6, 1, 64}));
  EXPECT_EQ(layer->OutputShape(), Shape({3, 4 * 8 * 3}));
}

TEST(RingLayerTest, ReadsADenseLayer) {
  const auto layer = Parse(DenseLayer(10));
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->InputShape(), Shape({1, 3, 128}));
  EXPECT_EQ(layer->OutputShape(), Shape({1, 10 * 16 * 3}));
}

TEST(RingLayerTest, RefusesBytesThatAreNoMessage) {
  EXPECT_TRUE(absl::IsInvalidArgument(ParseRingLayer(AsBytes("\x7f\xff\xff")).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseRingLayer({}).status())) << "every field is 0";
}

struct Mistake {
  std::string says;
  std::function<void(pb::LinearLayer&)> make;
};

TEST(RingLayerTest, RefusesEveryInconsistencyAndSaysWhichItIs) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  const std::vector<Mistake> mistakes = {
      {"ring_bits 16", [](pb::LinearLayer& l) { l.set_ring_bits(16); }},
      {"ring_bits 0", [](pb::LinearLayer& l) { l.set_ring_bits(0); }},
      {"num_limbs 3", [](pb::LinearLayer& l) { l.set_num_limbs(3); }},
      {"num_limbs 0", [](pb::LinearLayer& l) { l.set_num_limbs(0); }},
      {"num_limbs 4", [](pb::LinearLayer& l) { l.set_ring_bits(24); }},
      {"padding 1", [](pb::LinearLayer& l) { l.set_padding(1); }},
      {"padding 256", [](pb::LinearLayer& l) { l = ClearLayer(), l.set_padding(256); }},
      {"in_channels 0", [](pb::LinearLayer& l) { l.set_in_channels(0); }},
      {"out_channels 0", [](pb::LinearLayer& l) { l.set_out_channels(0); }},
      {"group 0", [](pb::LinearLayer& l) { l.set_group(0); }},
      {"in_height 0", [](pb::LinearLayer& l) { l.set_in_height(0); }},
      {"in_width 0", [](pb::LinearLayer& l) { l.set_in_width(0); }},
      {"out_height 0", [](pb::LinearLayer& l) { l.set_out_height(0); }},
      {"out_width 0", [](pb::LinearLayer& l) { l.set_out_width(0); }},
      {"in_channels 18446744073709551615", [](pb::LinearLayer& l) { l.set_in_channels(kHuge); }},
      {"in_height 9223372036854775808", [](pb::LinearLayer& l) { l.set_in_height(uint64_t{1} << 63); }},
      {"5 in_channels in 2 groups", [](pb::LinearLayer& l) { l.set_group(2); }},
      {"kernel 0", [](pb::LinearLayer& l) { l.set_kernel(0, 0); }},
      {"strides 0", [](pb::LinearLayer& l) { l.set_strides(1, 0); }},
      {"dilations 0", [](pb::LinearLayer& l) { l.set_dilations(0, 0); }},
      {"pads 18446744073709551615", [](pb::LinearLayer& l) { l.set_pads(3, kHuge); }},
      {"3 values of kernel", [](pb::LinearLayer& l) { l.add_kernel(1); }},
      {"0 values of strides", [](pb::LinearLayer& l) { l.clear_strides(); }},
      {"3 values of dilations", [](pb::LinearLayer& l) { l.add_dilations(1); }},
      {"5 values of pads", [](pb::LinearLayer& l) { l.add_pads(0); }},
      {"bytes of weights", [](pb::LinearLayer& l) { l.mutable_weights()->push_back('\0'); }},
      {"bytes of weights", [](pb::LinearLayer& l) { l.mutable_weights()->pop_back(); }},
      {"bytes of weights", [](pb::LinearLayer& l) { l.set_out_channels(8); }},
      {"outputs", [](pb::LinearLayer& l) { l.set_out_height(4); }},
      {"outputs", [](pb::LinearLayer& l) { l.set_in_width(5); }},
      {"covers", [](pb::LinearLayer& l) { l.set_dilations(0, 9); }},
      {"", [](pb::LinearLayer& l) { l.set_in_height(0x7fffffff), l.set_in_width(0x7fffffff); }},
      {"", [](pb::LinearLayer& l) { l.set_out_height(0x7fffffff), l.set_out_width(0x7fffffff); }},
  };
  for (const Mistake& mistake : mistakes) {
    pb::LinearLayer layer = SmallLayer();
    mistake.make(layer);
    const absl::Status status = Parse(layer).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << mistake.says << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(mistake.says));
  }
}

TEST(RingLayerTest, RefusesTensorsThatOnlyTheirPaddingMakesTooLarge) {
  // 2^39 elements in planes of one byte each, which take 64.
  pb::LinearLayer layer = DenseLayer(1);
  layer.set_in_channels(1);
  layer.set_out_channels(1);
  layer.set_weights("w");
  layer.set_in_height(0x7fffffff);
  layer.set_out_height(1);
  layer.set_strides(0, 0x7fffffff);
  EXPECT_TRUE(Parse(layer).ok()) << "2^31 rows of 3 planes of 64 bytes";
  layer.set_in_width(256);
  layer.set_strides(1, 256);
  layer.set_out_width(1);
  const absl::Status status = Parse(layer).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("input of more than 1099511627776 bytes"));
}

}  // namespace
}  // namespace shoji::accelerator
