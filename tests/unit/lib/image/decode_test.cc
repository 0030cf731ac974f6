// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/decode.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/image/vectors.h"

namespace shoji::image {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOfDecoding(ByteSpan file) {
  const absl::StatusOr<Image> image = Decode(file, "holiday.png");
  if (image.ok()) {
    return "OK";
  }
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(image.status().message());
}

void PutBigEndian32(Bytes& file, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) {
    file[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
  }
}

TEST(DecodeTest, GivesThePixelsThatPillowGivesForEveryForm) {
  for (const auto& golden : ReadGoldens("decode")) {
    const std::string name = golden.at("file");
    SCOPED_TRACE(name);
    absl::StatusOr<Image> image = Decode(ReadVector(name), name);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->width(), golden.at("width"));
    EXPECT_EQ(image->height(), golden.at("height"));
    EXPECT_EQ(image->num_channels(), 3U);
    EXPECT_EQ(HexSha256(image->pixels()), golden.at("rgb"));
    const Image gray = ToGray(*image);
    EXPECT_EQ(gray.num_channels(), 1U);
    EXPECT_EQ(HexSha256(gray.pixels()), golden.at("gray"));
  }
}

TEST(DecodeTest, RefusesAFileThatIsNotAPictureAndNamesIt) {
  EXPECT_THAT(ErrorOfDecoding(AsBytes("GIF89a, or anything else")),
              AllOf(StartsWith("holiday.png: "), HasSubstr("not a picture")));
  EXPECT_EQ(ErrorOfDecoding({}), "holiday.png: the file is empty");
}

TEST(DecodeTest, RefusesAPngOfNoPixelsOrOfTooManyBeforeAllocating) {
  Bytes png = ReadVector("rgb8.png");
  PutBigEndian32(png, 16, 0);
  PutBigEndian32(png, 20, 0);
  EXPECT_EQ(ErrorOfDecoding(png), "holiday.png: the picture has no pixels: its size is 0x0");
  PutBigEndian32(png, 16, 60000);
  PutBigEndian32(png, 20, 60000);
  EXPECT_EQ(
      ErrorOfDecoding(png),
      "holiday.png: the picture is too large: its size is 60000x60000; at most 32768 a side and 67108864 pixels are "
      "accepted");
  PutBigEndian32(png, 16, 0xffffffff);
  PutBigEndian32(png, 20, 0xffffffff);
  EXPECT_THAT(ErrorOfDecoding(png), HasSubstr("too large"));
}

TEST(DecodeTest, RefusesAJpegOfNoPixelsOrOfTooManyBeforeAllocating) {
  Bytes jpeg = ReadVector("rgb444.jpg");
  const Bytes marker = {0xff, 0xc0};
  const auto frame = std::search(jpeg.begin(), jpeg.end(), marker.begin(), marker.end());
  ASSERT_NE(frame, jpeg.end());
  const auto size_at = static_cast<size_t>(frame - jpeg.begin()) + 5;
  PutBigEndian32(jpeg, size_at, 60000U << 16 | 60000U);
  EXPECT_THAT(ErrorOfDecoding(jpeg), HasSubstr("too large: its size is 60000x60000"));
  PutBigEndian32(jpeg, size_at, 0);
  EXPECT_THAT(ErrorOfDecoding(jpeg), AllOf(StartsWith("holiday.png: not a whole JPEG file"), HasSubstr("Empty")));
}

TEST(DecodeTest, RefusesABmpOfNoPixelsOrOfTooManyBeforeAllocating) {
  Bytes bmp = ReadVector("rgb24.bmp");
  std::fill(bmp.begin() + 18, bmp.begin() + 26, uint8_t{0});
  EXPECT_THAT(ErrorOfDecoding(bmp), HasSubstr("its size is 0x0"));
  for (const size_t at : {size_t{18}, size_t{22}}) {
    bmp[at] = 0x60;
    bmp[at + 1] = 0xea;
  }
  EXPECT_THAT(ErrorOfDecoding(bmp), HasSubstr("too large: its size is 60000x60000"));
  bmp[25] = 0x80;  // the most negative height that 32 bits hold
  bmp[22] = bmp[23] = 0;
  EXPECT_THAT(ErrorOfDecoding(bmp), HasSubstr("too large"));
}

TEST(DecodeTest, RefusesEveryFileThatIsCutShort) {
  for (const auto& golden : ReadGoldens("decode")) {
    const std::string name = golden.at("file");
    const Bytes whole = ReadVector(name);
    for (size_t len = 0; len < whole.size(); len += len < 200 ? 1 : 97) {
      EXPECT_FALSE(Decode(ByteSpan(whole).first(len), name).ok()) << name << " cut to " << len;
    }
    EXPECT_FALSE(Decode(ByteSpan(whole).first(whole.size() - 1), name).ok()) << name;
  }
}

TEST(DecodeTest, SaysThatATruncatedFileIsCutShort) {
  const Bytes png = ReadVector("rgb8.png");
  EXPECT_EQ(ErrorOfDecoding(ByteSpan(png).first(970)), "holiday.png: not a whole PNG file: the file is cut short");
  const Bytes bmp = ReadVector("rgb24.bmp");
  EXPECT_EQ(ErrorOfDecoding(ByteSpan(bmp).first(970)), "holiday.png: not a whole BMP file: the file is cut short");
  const Bytes jpeg = ReadVector("rgb444.jpg");
  EXPECT_THAT(ErrorOfDecoding(ByteSpan(jpeg).first(970)), HasSubstr("not a whole JPEG file: "));
}

TEST(DecodeTest, RefusesAPngWhosePixelsFailTheirChecksum) {
  Bytes png = ReadVector("rgb8.png");
  png[png.size() - 30] ^= 1;
  EXPECT_THAT(ErrorOfDecoding(png), HasSubstr("not a whole PNG file"));
}

// The decoders are C libraries that are fed whatever a user points at; the sanitizers watch them here.
TEST(DecodeTest, SurvivesRandomDamage) {
  std::mt19937 random(20260101);
  for (const auto& golden : ReadGoldens("decode")) {
    const std::string name = golden.at("file");
    const Bytes whole = ReadVector(name);
    for (int round = 0; round < 150; ++round) {
      Bytes damaged = whole;
      const size_t num_changes = 1 + random() % 8;
      const size_t limit = round % 2 == 0 ? damaged.size() : std::min<size_t>(damaged.size(), 160);
      for (size_t i = 0; i < num_changes; ++i) {
        damaged[random() % limit] = static_cast<uint8_t>(random());
      }
      const absl::StatusOr<Image> image = Decode(damaged, name);
      if (!image.ok()) {
        EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
  }
}

TEST(DecodeTest, ReadsTheBuiltInModelsPhotographs) {
  for (const char* name : {"bird.jpg", "cat.png"}) {
    const absl::StatusOr<Bytes> file = ReadFile(std::string(SHOJI_SOURCE_DIR "/models/photos/") + name, 1 << 24);
    if (!file.ok()) {
      GTEST_SKIP() << file.status();
    }
    const absl::StatusOr<Image> image = Decode(*file, name);
    EXPECT_TRUE(image.ok()) << image.status();
  }
}

}  // namespace
}  // namespace shoji::image
