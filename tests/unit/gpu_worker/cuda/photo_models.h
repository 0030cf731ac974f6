// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The ImageNet classifiers of the evaluation data, which tests/run.sh unpacks into build/testdata, with the photos'
// tensors and what onnxruntime made of them.
#pragma once

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "lib/base/file.h"

namespace shoji::accelerator::open_segment {

struct PhotoModel {
  const char* name = nullptr;
  const char* input = nullptr;  // of the recorded inputs
};
inline constexpr PhotoModel kPhotoModels[] = {
    {"resnet18_pqf", "224_imnet"},          {"squeezenet1_0_deepcomp", "227_bgr104"},
    {"squeezenet1_1_winml", "224_bgr104"},  {"mobilenet_v1_025_224", "224_tf"},
    {"mobilenet_v2_100_224", "224_tf"},     {"mobilenet_v3_small_224", "224_raw"},
    {"efficientnet_b0_SYNTH", "224_imnet"},
};

inline std::string NameOfModel(const ::testing::TestParamInfo<PhotoModel>& test) { return test.param.name; }

// SHOJI_DATA in the environment stands for that folder.
inline std::filesystem::path PhotoModelFolder() {
  const char* const data = std::getenv("SHOJI_DATA");
  return data != nullptr ? std::filesystem::path(data) : std::filesystem::path(SHOJI_SOURCE_DIR) / "build" / "testdata";
}
inline std::filesystem::path FileOf(const PhotoModel& model) {
  return PhotoModelFolder() / "models" / (std::string(model.name) + ".onnx");
}

inline Bytes ReadWhole(const std::filesystem::path& path) {
  absl::StatusOr<Bytes> bytes = ReadFile(path.string(), size_t{1} << 28);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *std::move(bytes) : Bytes();
}

inline std::vector<float> ReadFloats(const std::filesystem::path& path) {
  const Bytes bytes = ReadWhole(path);
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

inline Bytes OnnxOf(const PhotoModel& model) { return ReadWhole(FileOf(model)); }

struct Photo {
  std::vector<float> input;
  std::vector<float> expected;
};
inline Photo PhotoOf(const PhotoModel& model, const std::string& photo) {
  const std::filesystem::path folder = PhotoModelFolder() / "ref";
  return {ReadFloats(folder / ("input." + std::string(model.input) + "." + photo + ".f32")),
          ReadFloats(folder / (std::string(model.name) + "." + photo + ".out.f32"))};
}

// Within the tolerance that the data's README states.
inline void ExpectReference(std::span<const float> actual, std::span<const float> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 1e-3F + 1e-3F * std::abs(expected[i])) << "at " << i;
  }
}

}  // namespace shoji::accelerator::open_segment
