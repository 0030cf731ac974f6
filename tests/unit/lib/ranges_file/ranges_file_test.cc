// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/ranges_file/ranges_file.h"

#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/process.h"

namespace shoji::ranges_file {
namespace {

using quantization::CalibrationMethod;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kDigest(64, 'a');
const std::string kGood = "model: " + kDigest + "\nmethod: mse\nimages: 7\nranges:\n  conv_out: [-1, 2.5]\n";

std::string ErrorFor(const std::string& yaml) { return std::string(ParseRanges(yaml, "r.yaml").status().message()); }

TEST(RangesFileTest, ReadsEveryKey) {
  const auto file = ParseRanges(kGood, "r.yaml");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(HexEncode(file->model), kDigest);
  EXPECT_EQ(file->method, CalibrationMethod::kMeanSquaredError);
  EXPECT_EQ(file->num_images, 7U);
  EXPECT_EQ(file->ranges, (quantization::ActivationRanges{{"conv_out", {-1, 2.5F}}}));
}

TEST(RangesFileTest, WhatIsWrittenIsReadBackToTheBit) {
  RangesFile file;
  for (size_t i = 0; i < file.model.size(); ++i) {
    file.model[i] = static_cast<uint8_t>(i * 37);
  }
  file.num_images = 123;
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> exponent(-37, 38);
  for (int i = 0; i < 500; ++i) {
    file.ranges["value " + std::to_string(i)] = {-std::pow(10.0F, exponent(generator)),
                                                 std::pow(10.0F, exponent(generator))};
  }
  file.ranges["extremes"] = {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()};
  file.ranges["smallest"] = {-std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::denorm_min()};
  for (const char* name : {"/layer1/conv: 0", "a \"quoted\" \\ name", "tab\tand\nline", "# not a comment", "- item",
                           "null", "123", "{a: b}", "größe", "*alias", "&anchor", "!tag"}) {
    file.ranges[name] = {0, 1};
  }
  for (int i = 0; i < 20; ++i) {
    quantization::Range& range = file.ranges["channels " + std::to_string(i)];
    range = {-1, 2};
    for (int c = 0; c < i; ++c) {
      range.scales.push_back(std::uniform_real_distribution<float>(1e-3F, 1)(generator));
      range.correction.push_back(-std::pow(10.0F, exponent(generator)));
      range.rounding.push_back(static_cast<int8_t>(static_cast<int>(generator() % 3) - 1));
    }
  }
  for (const CalibrationMethod method :
       {CalibrationMethod::kMinMax, CalibrationMethod::kPercentile, CalibrationMethod::kMeanSquaredError}) {
    file.method = method;
    const testing::TempDir dir;
    ASSERT_TRUE(SaveRanges(dir.File("r.yaml"), file).ok());
    const auto back = LoadRanges(dir.File("r.yaml"));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->model, file.model);
    EXPECT_EQ(back->method, method);
    EXPECT_EQ(back->num_images, 123U);
    EXPECT_EQ(back->ranges, file.ranges);
  }
}

TEST(RangesFileTest, UnknownKeyIsNamedWithItsLine) {
  EXPECT_THAT(ErrorFor(kGood + "rages: {}\n"), AllOf(HasSubstr("r.yaml:6"), HasSubstr("ranges")));
}

TEST(RangesFileTest, MissingKeysAreNamed) {
  for (const char* key : {"model", "method", "images", "ranges"}) {
    std::string yaml = kGood;
    const size_t at = yaml.find(key);
    yaml.insert(at, "#");
    if (std::string(key) == "ranges") {
      yaml = yaml.substr(0, at);
    }
    EXPECT_THAT(ErrorFor(yaml), AllOf(HasSubstr("r.yaml"), HasSubstr(key))) << yaml;
  }
}

TEST(RangesFileTest, ValueThatIsGivenTwiceIsRefused) {
  EXPECT_THAT(ErrorFor(kGood + "  conv_out: [0, 1]\n"), AllOf(HasSubstr("r.yaml:6"), HasSubstr("conv_out")));
}

TEST(RangesFileTest, RangesMustBeTwoNumbersInOrder) {
  for (const char* bad : {"[1]", "[1, 2, 3]", "[2, 1]", "[a, 1]", "[0, .inf]", "[.nan, 1]", "[0, 1e39]", "1", "{}",
                          "[[0], 1]", "[0, ]"}) {
    const std::string error = ErrorFor(kGood + "  next: " + bad + "\n");
    EXPECT_THAT(error, AllOf(HasSubstr("r.yaml:6"), HasSubstr("next"))) << bad;
  }
}

TEST(RangesFileTest, ReadsWhatIsKnownOfChannels) {
  const auto file = ParseRanges(kGood +
                                    "  next:\n    range: [0, 1]\n    scales: \"1 0.5\"\n    correction: \"-1e-3 0\"\n"
                                    "    weights: 3\n    rounding: \"Ag==\"\n",
                                "r.yaml");
  ASSERT_TRUE(file.ok()) << file.status();
  quantization::Range expected = {0, 1};
  expected.scales = {1, 0.5F};
  expected.correction = {-1e-3F, 0};
  expected.rounding = {1, -1, -1};
  EXPECT_EQ(file->ranges.at("next"), expected);
}

TEST(RangesFileTest, ChannelDataIsChecked) {
  for (const auto& [field, value] : std::vector<std::pair<std::string, std::string>>{
           {"scales", "\"1 2\""},    // above 1
           {"scales", "\"1 0\""},    // not above 0
           {"scales", "\"1  1\""},   // two spaces
           {"scales", "\"1 1 \""},   // one at the end
           {"scales", "\"1 x\""},    // no number
           {"scales", "\"nan\""},    // likewise
           {"scales", "[1, 1]"},     // a list
           {"correction", "\"inf\""},
           {"rounding", "\"Ag==\""},  // the number of weights is missing
           {"skales", "\"1\""}}) {
    const std::string error = ErrorFor(kGood + "  next: {range: [0, 1], " + field + ": " + value + "}\n");
    EXPECT_THAT(error, AllOf(HasSubstr("r.yaml:6"), HasSubstr("next"))) << field << " " << value;
  }
  EXPECT_THAT(ErrorFor(kGood + "  next: {scales: \"1\"}\n"), AllOf(HasSubstr("r.yaml:6"), HasSubstr("range")));
}

TEST(RangesFileTest, RoundingThatIsNotPackedIsRefused) {
  for (const char* bad : {"Ag=", "Ag=A", "A===", "====", "8w==", "Ah==", "/w==", "AgAA", "Ag==Ag==", "A*=="}) {
    const std::string error =
        ErrorFor(kGood + "  next: {range: [0, 1], weights: 3, rounding: \"" + std::string(bad) + "\"}\n");
    EXPECT_THAT(error, AllOf(HasSubstr("r.yaml:6"), HasSubstr("rounding of 3 weights"))) << bad;
  }
}

TEST(RangesFileTest, EmptyRangesAreRefused) {
  EXPECT_THAT(ErrorFor("model: " + kDigest + "\nmethod: mse\nimages: 7\nranges: {}\n"),
              AllOf(HasSubstr("r.yaml:4"), HasSubstr("ranges")));
}

TEST(RangesFileTest, DigestMustBeOne) {
  for (const std::string& bad : {std::string("abc"), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'A'),
                                 std::string(64, 'g'), std::string("[]")}) {
    EXPECT_THAT(ErrorFor("model: " + bad + kGood.substr(kGood.find('\n'))),
                AllOf(HasSubstr("r.yaml:1"), HasSubstr("model")))
        << bad;
  }
}

TEST(RangesFileTest, MethodAndImagesAreChecked) {
  EXPECT_THAT(ErrorFor("model: " + kDigest + "\nmethod: best\nimages: 7\nranges: {a: [0, 1]}\n"),
              AllOf(HasSubstr("r.yaml:2"), HasSubstr("minmax")));
  EXPECT_THAT(ErrorFor("model: " + kDigest + "\nmethod: mse\nimages: 0\nranges: {a: [0, 1]}\n"),
              AllOf(HasSubstr("r.yaml:3"), HasSubstr("images")));
}

TEST(RangesFileTest, MissingFileIsNamed) {
  EXPECT_THAT(std::string(LoadRanges("/nowhere/r.yaml").status().message()), HasSubstr("/nowhere/r.yaml"));
}

TEST(RangesFileTest, RangesLieBesideTheModel) {
  EXPECT_EQ(RangesPathOf("models/vgg16.onnx"), "models/vgg16.ranges.yaml");
  EXPECT_EQ(RangesPathOf("a.onnx/model"), "a.onnx/model.ranges.yaml");
}

}  // namespace
}  // namespace shoji::ranges_file
