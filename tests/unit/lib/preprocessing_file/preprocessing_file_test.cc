// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/preprocessing_file/preprocessing_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/process.h"

namespace shoji::preprocessing_file {
namespace {

using ::testing::HasSubstr;

std::string ErrorFor(const std::string& yaml) {
  const testing::TempDir dir;
  const std::string path = dir.File("p.yaml");
  EXPECT_TRUE(WriteFileAtomically(path, AsBytes(yaml)).ok());
  return std::string(LoadPreprocessing(path).status().message());
}

constexpr char kGood[] =
    "resize: 32\ncrop: 32\nchannels: rgb\nscale: 1\nmean: [0, 0, 0]\nstd: [1, 1, 1]\nlayout: nchw\n";

TEST(PreprocessingFileTest, ReadsTheBuiltInModelsFile) {
  const auto read = LoadPreprocessing(std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.preprocessing.yaml");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->crop_width, 32U);
  EXPECT_EQ(read->mean.size(), 3U);
  EXPECT_EQ(ErrorFor(kGood), "");
}

TEST(PreprocessingFileTest, NamesFileLineAndKeyOfWhatIsWrong) {
  EXPECT_THAT(ErrorFor(std::string(kGood) + "crops: 3\n"), HasSubstr("p.yaml:8"));
  EXPECT_THAT(ErrorFor("resize: big\n" + std::string(kGood).substr(11)), HasSubstr("'resize'"));
  EXPECT_THAT(ErrorFor("crop: 32\n"), HasSubstr("resize"));
  EXPECT_THAT(ErrorFor("resize: 32\ncrop: 32\nchannels: gray\nmean: [0, 0, 0]\nstd: [1]\nlayout: nchw\n"),
              HasSubstr("mean"));
}

TEST(PreprocessingFileTest, NamesAFileThatIsMissing) {
  EXPECT_THAT(std::string(LoadPreprocessing("/nowhere/p.yaml").status().message()), HasSubstr("/nowhere/p.yaml"));
}

}  // namespace
}  // namespace shoji::preprocessing_file
