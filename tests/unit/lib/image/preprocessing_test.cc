// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/preprocessing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "lib/image/resize.h"
#include "tests/unit/lib/image/vectors.h"

namespace shoji::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Preprocessing ImageNet() {
  Preprocessing p;
  p.resize_shorter_side = 256;
  p.crop_width = 224;
  p.crop_height = 224;
  p.channels = Channels::kRgb;
  p.scale = 0.00392156862745098F;
  p.mean = {0.485F, 0.456F, 0.406F};
  p.std = {0.229F, 0.224F, 0.225F};
  return p;
}

Preprocessing Tiny(Channels channels, Layout layout) {
  Preprocessing p;
  p.resize_shorter_side = 1;
  p.crop_width = 1;
  p.crop_height = 1;
  p.channels = channels;
  p.mean.assign(p.num_channels(), 0);
  p.std.assign(p.num_channels(), 1);
  p.layout = layout;
  return p;
}

Image OnePixel(uint8_t red, uint8_t green, uint8_t blue) {
  Image image(1, 1, 3);
  image.mutable_pixels()[0] = red;
  image.mutable_pixels()[1] = green;
  image.mutable_pixels()[2] = blue;
  return image;
}

TEST(ToPixelsTest, ScalesAndCropsBitForBitAsPillowAndTorchvision) {
  for (const auto& golden : ReadGoldens("crop")) {
    const std::string name = golden.at("file");
    SCOPED_TRACE(golden.dump());
    const Bytes file = ReadVector(name);
    Preprocessing p;
    p.resize_shorter_side = golden.at("shorter");
    p.crop_width = golden.at("width");
    p.crop_height = golden.at("height");
    for (const auto& [channels, key] : {std::pair(Channels::kRgb, "rgb"), std::pair(Channels::kGray, "gray")}) {
      absl::StatusOr<Image> image = Decode(file, name);
      ASSERT_TRUE(image.ok()) << image.status();
      p.channels = channels;
      const Tensor pixels = ToPixels(*image, p);
      EXPECT_EQ(pixels.size_bytes(), p.num_pixel_bytes());
      EXPECT_EQ(HexSha256(pixels.bytes()), golden.at(key));
    }
  }
}

TEST(ToPixelsTest, OrdersTheChannelsAsTheModelWants) {
  const auto pixels = [](Channels channels) { return ToPixels(OnePixel(10, 20, 30), Tiny(channels, Layout::kNchw)); };
  EXPECT_THAT(pixels(Channels::kRgb).values<uint8_t>(), ElementsAre(10, 20, 30));
  EXPECT_THAT(pixels(Channels::kBgr).values<uint8_t>(), ElementsAre(30, 20, 10));
  EXPECT_THAT(pixels(Channels::kGray).values<uint8_t>(), ElementsAre(18));
}

TEST(ToPixelsTest, GivesAColourModelThreeEqualChannelsOfAGrayPicture) {
  Image gray(1, 1, 1);
  gray.mutable_pixels()[0] = 77;
  EXPECT_THAT(ToPixels(gray, Tiny(Channels::kBgr, Layout::kNchw)).values<uint8_t>(), ElementsAre(77, 77, 77));
}

TEST(ToPixelsTest, CostsLittleForAnExtremelyThinPicture) {
  Preprocessing p = ImageNet();
  const Tensor pixels = ToPixels(Image(1, kMaxSide, 3), p);  // scaled whole, it would have two thousand million pixels
  EXPECT_EQ(pixels.shape(), Shape({224, 224, 3}));
}

TEST(ResizeTest, RoundsTheLongerSideDown) {
  EXPECT_EQ(ScaledSize(Image(500, 333, 3), 256).width, 384U);
  EXPECT_EQ(ScaledSize(Image(333, 500, 3), 256).height, 384U);
  EXPECT_EQ(ScaledSize(Image(3, 7, 3), 2).height, 4U);
}

TEST(ResizeTest, RoundsHalfAMarginToEven) {
  for (const auto& [margin, offset] : {std::pair(0U, 0U), {1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 2}, {7, 4}}) {
    EXPECT_EQ(CentralRegion({10 + margin, 10}, {10, 10}).left, offset) << margin;
  }
}

TEST(NormalizeTest, ComputesInFloat32AndLaysOutAsAsked) {
  Preprocessing p;
  p.resize_shorter_side = 2;
  p.crop_width = 2;
  p.crop_height = 1;
  p.scale = 0.5F;
  p.mean = {1, 2, 3};
  p.std = {2, 4, 8};
  const Bytes pixels = {10, 20, 30, 40, 50, 60};
  absl::StatusOr<Tensor> planar = Normalize(pixels, p);
  ASSERT_TRUE(planar.ok()) << planar.status();
  EXPECT_EQ(planar->shape(), Shape({1, 3, 1, 2}));
  EXPECT_THAT(planar->values<float>(), ElementsAre(2.F, 9.5F, 2.F, 5.75F, 1.5F, 3.375F));
  p.layout = Layout::kNhwc;
  absl::StatusOr<Tensor> interleaved = Normalize(pixels, p);
  ASSERT_TRUE(interleaved.ok()) << interleaved.status();
  EXPECT_EQ(interleaved->shape(), Shape({1, 1, 2, 3}));
  EXPECT_THAT(interleaved->values<float>(), ElementsAre(2.F, 2.F, 1.5F, 9.5F, 5.75F, 3.375F));
}

TEST(NormalizeTest, RefusesPixelsOfAnotherLength) {
  const Preprocessing p = Tiny(Channels::kGray, Layout::kNchw);
  EXPECT_EQ(Normalize(Bytes(2), p).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Normalize({}, p).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PreprocessingTest, SurvivesSerialization) {
  Preprocessing p = ImageNet();
  p.channels = Channels::kBgr;
  p.layout = Layout::kNhwc;
  const absl::StatusOr<Preprocessing> back = ParsePreprocessing(Serialize(p));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, p);
}

TEST(PreprocessingTest, ValidationNamesWhatIsWrong) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto error = [](auto change) {
    Preprocessing p = ImageNet();
    change(p);
    EXPECT_EQ(ParsePreprocessing(Serialize(p)).status(), Validate(p));
    return std::string(Validate(p).message());
  };
  EXPECT_EQ(error([](Preprocessing&) {}), "");
  EXPECT_THAT(error([](Preprocessing& p) { p.crop_width = 0; }), HasSubstr("no pixels"));
  EXPECT_THAT(error([](Preprocessing& p) { p.crop_height = 257; }), HasSubstr("larger than what resize leaves (256)"));
  EXPECT_THAT(error([](Preprocessing& p) { p.resize_shorter_side = 100000; }), HasSubstr("more than 8192"));
  EXPECT_THAT(error([](Preprocessing& p) { p.mean.pop_back(); }), HasSubstr("need 3 values"));
  EXPECT_THAT(error([](Preprocessing& p) { p.channels = Channels::kGray; }), HasSubstr("need 1 values"));
  EXPECT_THAT(error([](Preprocessing& p) { p.std[1] = 0; }), HasSubstr("zero"));
  EXPECT_THAT(error([=](Preprocessing& p) { p.scale = infinity; }), HasSubstr("not a finite number"));
  EXPECT_THAT(error([](Preprocessing& p) { p.mean[2] = std::nanf(""); }), HasSubstr("not finite"));
  EXPECT_THAT(error([](Preprocessing& p) { p.std[2] = 1e-45F; }), HasSubstr("not finite"));
}

TEST(PreprocessingTest, RefusesEveryTruncationAndSurvivesEveryFlippedBit) {
  const Bytes whole = Serialize(ImageNet());
  for (size_t len = 0; len < whole.size(); ++len) {
    EXPECT_FALSE(ParsePreprocessing(ByteSpan(whole).first(len)).ok()) << len;
  }
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    const absl::StatusOr<Preprocessing> parsed = ParsePreprocessing(flipped);
    if (parsed.ok()) {
      EXPECT_TRUE(Validate(*parsed).ok());
    }
  }
  EXPECT_FALSE(ParsePreprocessing(Bytes(5000, 0xff)).ok());
}

// Real photographs and the inputs that a Python program (Pillow, NumPy) made of them, where they are at hand.
struct Reference {
  const char* name;
  Preprocessing preprocessing;
};

std::vector<Reference> References() {
  Preprocessing raw = ImageNet();
  raw.scale = 1;
  raw.mean = {0, 0, 0};
  raw.std = {1, 1, 1};
  Preprocessing tf = raw;
  tf.mean = tf.std = {127.5F, 127.5F, 127.5F};
  Preprocessing bgr = raw;
  bgr.channels = Channels::kBgr;
  bgr.mean = {104, 117, 123};
  Preprocessing bgr227 = bgr;
  bgr227.crop_width = bgr227.crop_height = 227;
  return {{"224_imnet", ImageNet()}, {"224_raw", raw}, {"224_tf", tf}, {"224_bgr104", bgr}, {"227_bgr104", bgr227}};
}

constexpr char kData[] = SHOJI_SOURCE_DIR "/build/testdata/";

absl::StatusOr<Image> DecodeReference(const std::string& path) {
  absl::StatusOr<Bytes> file = ReadFile(kData + path, 1 << 24);
  if (!file.ok()) {
    return file.status();
  }
  return Decode(*file, path);
}

float LargestDifference(std::span<const float> got, ByteSpan want) {
  SHOJI_CHECK(got.size_bytes() == want.size());
  std::vector<float> expected(got.size());
  std::memcpy(expected.data(), want.data(), want.size());
  float largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(got[i] - expected[i]));
  }
  return largest;
}

TEST(ReferenceInputTest, PhotographsBecomeTheReferenceInputs) {
  size_t num_compared = 0;
  for (const Reference& reference : References()) {
    for (const std::string photo : {"coral_parrot", "dusty_banana_0", "shicai_cat"}) {
      SCOPED_TRACE(std::string(reference.name) + " " + photo);
      absl::StatusOr<Image> image = DecodeReference("images/photos/" + photo + ".jpg");
      const absl::StatusOr<Bytes> want =
          ReadFile(std::string(kData) + "ref/input." + reference.name + "." + photo + ".f32", 1 << 24);
      if (!image.ok() || !want.ok()) {
        continue;
      }
      const Preprocessing& p = reference.preprocessing;
      absl::StatusOr<Tensor> input = Normalize(ToPixels(*image, p).bytes(), p);
      ASSERT_TRUE(input.ok()) << input.status();
      // One unit in the last place of values up to 4: the reference rounds its constants at other points.
      EXPECT_LE(LargestDifference(input->values<float>(), *want), p.scale == 1 ? 0 : 1e-6F);
      ++num_compared;
    }
  }
  if (num_compared == 0) {
    GTEST_SKIP() << "no evaluation data in " << kData;
  }
}

TEST(ReferenceInputTest, PhotographsOfEveryFormatBecomeTheReferenceCropsToTheBit) {
  size_t num_compared = 0;
  for (const std::string photo : {"coral_bird.bmp", "coral_hot_dog.jpg", "coral_parrot.jpg", "dusty_airplane_0.jpg",
                                  "dusty_bird_2.jpg", "dusty_jellyfish.jpg", "tflsup_sparrow.png"}) {
    SCOPED_TRACE(photo);
    absl::StatusOr<Image> image = DecodeReference("images/photos/" + photo);
    const absl::StatusOr<Image> crop =
        DecodeReference("images/photos_crop224/" + photo.substr(0, photo.find('.')) + ".png");
    if (!image.ok() || !crop.ok()) {
      continue;
    }
    EXPECT_EQ(HexSha256(ToPixels(*image, ImageNet()).bytes()), HexSha256(crop->pixels()));
    ++num_compared;
  }
  if (num_compared == 0) {
    GTEST_SKIP() << "no evaluation data in " << kData;
  }
}

}  // namespace
}  // namespace shoji::image
