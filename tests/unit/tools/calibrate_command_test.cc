// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs the real shoji-model binary on a small network and pictures made here.

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "lib/graph/onnx_import.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::tools {
namespace {

using shoji::testing::CommandResult;
using shoji::testing::RunCommand;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// An 8x8 picture of one colour and one odd pixel, as BMP.
Bytes Picture(uint8_t blue, uint8_t green, uint8_t red) {
  constexpr size_t kHeader = 54;
  constexpr size_t kSide = 8;
  Bytes file(kHeader + kSide * kSide * 3);
  const auto put = [&file](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) {
      file[at + i] = static_cast<uint8_t>(value >> (8 * i));
    }
  };
  file[0] = 'B';
  file[1] = 'M';
  put(2, static_cast<uint32_t>(file.size()));
  put(10, kHeader);
  put(14, 40);
  put(18, kSide);
  put(22, kSide);
  put(26, 1 | 24U << 16);  // one plane, 24 bits a pixel
  for (size_t i = kHeader; i < file.size(); i += 3) {
    file[i] = blue;
    file[i + 1] = green;
    file[i + 2] = red;
  }
  file[kHeader] = static_cast<uint8_t>(blue ^ 0xFF);
  return file;
}

constexpr char kPreprocessing[] =
    "resize: 8\ncrop: 8\nchannels: rgb\nscale: 0.0078125\nmean: [1, 1, 1]\nstd: [1, 1, 1]\nlayout: nchw\n";

class CalibrateCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("small.onnx", shoji::testing::SmallResNet());
    Write("p.yaml", AsBytes(kPreprocessing));
    std::filesystem::create_directories(folder_.File("pictures/deeper"));
    for (int i = 0; i < 12; ++i) {
      const auto shade = static_cast<uint8_t>(20 * i);
      const std::string name = (i % 2 == 0 ? "pictures/" : "pictures/deeper/") + std::to_string(i) + ".bmp";
      Write(name, Picture(shade, static_cast<uint8_t>(255 - shade), static_cast<uint8_t>(shade / 2)));
    }
    Write("pictures/readme.txt", AsBytes("no picture"));
  }

  void Write(const std::string& name, ByteSpan content) const {
    ASSERT_TRUE(WriteFileAtomically(folder_.File(name), content).ok());
  }
  CommandResult Calibrate(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = {SHOJI_MODEL_BINARY, "calibrate",
                                     "--model",          folder_.File("small.onnx"),
                                     "--images",         folder_.File("pictures"),
                                     "--preprocessing",  folder_.File("p.yaml")};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunCommand(argv);
  }
  ranges_file::RangesFile Ranges(const std::string& name = "small.ranges.yaml") const {
    const auto file = ranges_file::LoadRanges(folder_.File(name));
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *file : ranges_file::RangesFile();
  }
  bool HasRanges() const { return std::filesystem::exists(folder_.File("small.ranges.yaml")); }

  const shoji::testing::TempDir folder_;
};

TEST_F(CalibrateCommandTest, RangesOfWhatLayersReadLieBesideTheModel) {
  const CommandResult result = Calibrate();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("small.ranges.yaml: 9 ranges from 12 pictures (mse)\n"));
  EXPECT_THAT(result.err, AllOf(HasSubstr("pass 1 of 3: 12 of 12\n"), HasSubstr("pass 3 of 3: 12 of 12\n")));
  const ranges_file::RangesFile file = Ranges();
  EXPECT_EQ(file.model, digest::Sha256(shoji::testing::SmallResNet()));
  EXPECT_EQ(file.num_images, 12U);
  const auto graph = graph::ImportOnnx(shoji::testing::SmallResNet());
  ASSERT_TRUE(graph.ok());
  for (const graph::Node& node : graph->nodes) {
    if (node.op == graph::Op::kConv || node.op == graph::Op::kGemm) {
      EXPECT_TRUE(file.ranges.contains(graph->values[node.inputs[0]].name)) << node.name;
    }
  }
  EXPECT_TRUE(file.ranges.contains("input"));
  EXPECT_EQ(file.ranges.at("stem_relu_out").min, 0);
}

TEST_F(CalibrateCommandTest, ExtremesAreThoseOfThePictures) {
  const CommandResult result = Calibrate({"--method", "minmax"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("pass 1 of 1: 12 of 12\n"), Not(HasSubstr("pass 2"))));
  const ranges_file::RangesFile file = Ranges();
  EXPECT_EQ(file.method, quantization::CalibrationMethod::kMinMax);
  // From byte 0 to byte 255 of (byte / 128 - 1).
  EXPECT_EQ(file.ranges.at("input"), (quantization::Range{-1, 255.0F / 128 - 1}));
}

TEST_F(CalibrateCommandTest, LimitTakesPicturesFromEverywhere) {
  const CommandResult result =
      Calibrate({"--method", "percentile", "--limit", "4", "--output", folder_.File("elsewhere.yaml")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Ranges("elsewhere.yaml").num_images, 4U);
  EXPECT_EQ(Ranges("elsewhere.yaml").method, quantization::CalibrationMethod::kPercentile);
  EXPECT_FALSE(HasRanges());
}

TEST_F(CalibrateCommandTest, DamagedPictureIsNamedAndSkipped) {
  Bytes damaged = Picture(1, 2, 3);
  damaged.resize(80);
  Write("pictures/damaged.bmp", damaged);
  const CommandResult result = Calibrate();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("skipped: "), HasSubstr("damaged.bmp")));
  EXPECT_THAT(result.out, HasSubstr("from 12 pictures (mse), 1 skipped"));
  EXPECT_EQ(Ranges().num_images, 12U);
}

TEST_F(CalibrateCommandTest, TooManyDamagedPicturesAreAnError) {
  Write("pictures/damaged1.png", AsBytes("no"));
  Write("pictures/damaged2.jpg", AsBytes("no"));
  const CommandResult result = Calibrate();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("2 of 14 pictures cannot be decoded"));
  EXPECT_FALSE(HasRanges());
}

TEST_F(CalibrateCommandTest, FolderWithoutPicturesIsNamed) {
  std::filesystem::create_directories(folder_.File("empty"));
  const CommandResult empty = Calibrate({"--images", folder_.File("empty")});
  EXPECT_EQ(empty.exit_code, 2) << "an option may be given once";
  const auto run = [&](const std::string& images) {
    return RunCommand({SHOJI_MODEL_BINARY, "calibrate", "--model", folder_.File("small.onnx"), "--images",
                       folder_.File(images), "--preprocessing", folder_.File("p.yaml")});
  };
  EXPECT_EQ(run("empty").exit_code, 1);
  EXPECT_THAT(run("empty").err, AllOf(HasSubstr("no pictures"), HasSubstr("empty")));
  EXPECT_EQ(run("nowhere").exit_code, 1);
  EXPECT_THAT(run("nowhere").err, AllOf(HasSubstr("cannot list"), HasSubstr("nowhere")));
}

TEST_F(CalibrateCommandTest, PreprocessingThatDoesNotFitTheModelIsRefused) {
  Write("p.yaml", AsBytes("resize: 9\ncrop: 9\nchannels: rgb\nmean: [1, 1, 1]\nstd: [1, 1, 1]\nlayout: nchw\n"));
  const CommandResult result = Calibrate();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("small.onnx"), HasSubstr("[`N`,3,8,8]"), HasSubstr("[1,3,9,9]")));
}

TEST_F(CalibrateCommandTest, ThePreprocessingSaysTheShapeOfADynamicInput) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("x", {-1, -1, -1, -1}).Weight("w", {2, 3, 3, 3}).Node("Conv", {"x", "w"}, {"y"}).Output("y");
  Write("small.onnx", builder.Build());
  const CommandResult result = Calibrate();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(Ranges().ranges.contains("x"));
}

TEST_F(CalibrateCommandTest, ModelWithTwoInputsIsRefused) {
  Write("small.onnx", shoji::testing::OnnxBuilder()
                          .Input("a", {1, 3, 8, 8})
                          .Input("b", {1, 3, 8, 8})
                          .Node("Add", {"a", "b"}, {"c"})
                          .Output("c")
                          .Build());
  const CommandResult result = Calibrate();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("takes 2 inputs"));
}

TEST_F(CalibrateCommandTest, CorruptFilesAreNamed) {
  Write("small.onnx", AsBytes("not a model"));
  const CommandResult result = Calibrate();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("small.onnx: not an ONNX file"));
  Write("p.yaml", AsBytes("resiez: 8\n"));
  EXPECT_THAT(Calibrate().err, HasSubstr("p.yaml:1"));
}

TEST_F(CalibrateCommandTest, OutputThatCannotBeWrittenIsNamed) {
  const CommandResult result = Calibrate({"--output", folder_.File("nowhere/r.yaml")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("nowhere/r.yaml"));
}

TEST_F(CalibrateCommandTest, WrongUsageExitsWithTwo) {
  EXPECT_EQ(RunCommand({SHOJI_MODEL_BINARY, "calibrate"}).exit_code, 2);
  EXPECT_EQ(Calibrate({"--method", "best"}).exit_code, 2);
  EXPECT_EQ(Calibrate({"--limit", "0"}).exit_code, 2);
}

}  // namespace
}  // namespace shoji::tools
