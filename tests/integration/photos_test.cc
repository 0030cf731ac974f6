// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What `shoji infer` says of photographs as JPEG files, against the classes that the reference runtime predicts.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/cluster.h"
#include "tests/support/process.h"
#include "tests/support/reference_data.h"

namespace shoji {
namespace {

using nlohmann::json;
using testing::Cluster;
using testing::CommandResult;

std::vector<std::string> Photos() {
  std::vector<std::string> out;
  for (const auto& entry :
       std::filesystem::directory_iterator(testing::ReferenceDataDir() + "/images/imagenet1k_256")) {
    out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// The classes that the reference runtime predicts for the photos, in order; empty for a model that was not evaluated.
std::vector<size_t> ExpectedClasses(const std::string& model) {
  const absl::StatusOr<Bytes> file =
      ReadFile(testing::ReferenceDataDir() + "/ref/imagenet500_eval.json", size_t{1} << 24);
  EXPECT_TRUE(file.ok()) << file.status();
  const json models = json::parse(file->begin(), file->end())["models"];
  return models.contains(model) ? models[model]["top1"].get<std::vector<size_t>>() : std::vector<size_t>();
}

class PhotosTest : public ::testing::TestWithParam<size_t> {};

TEST_P(PhotosTest, GetTheClassesOfTheReference) {
  if (!testing::HasReferenceData()) {
    GTEST_SKIP() << "../shared/data is not there";
  }
  const testing::ReferenceModel model = testing::ReferenceModelAt(GetParam());
  const std::vector<size_t> expected = ExpectedClasses(model.name);
  if (expected.empty()) {
    GTEST_SKIP() << "the reference data has no classes for " << model.name;
  }
  const testing::TempDir dir;
  const std::string preprocessing = dir.File("preprocessing.yaml");
  ASSERT_TRUE(WriteFileAtomically(preprocessing, AsBytes(testing::ToYaml(model.preprocessing))).ok());
  testing::ClusterOptions options;
  options.models = {
      {"photos", model.onnx, "", preprocessing, "model: photos\nsegments: [{from: input, place: enclave}]\n"}};
  const auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();

  std::vector<std::string> argv = {testing::BinDir() + "/shoji", "infer"};
  const std::vector<std::string> photos = Photos();
  ASSERT_EQ(photos.size(), expected.size());
  argv.insert(argv.end(), photos.begin(), photos.end());
  argv.insert(argv.end(),
              {"--server", (*cluster)->address(), "--plaintext", "--allow-simulated", "--simulated-key",
               (*cluster)->signer_public_key_file(), "--deadline", "60s", "--top", "1", "--output", "json"});
  const CommandResult classified = testing::RunCommand(argv, std::chrono::minutes(10));
  ASSERT_EQ(classified.exit_code, 0) << classified.err;

  std::istringstream lines(classified.out);
  std::string line;
  size_t num_answers = 0;
  size_t num_equal = 0;
  while (std::getline(lines, line)) {
    ASSERT_LT(num_answers, expected.size());
    const json answer = json::parse(line);
    EXPECT_EQ(answer["picture"], photos[num_answers]);
    const size_t found = answer["top"][0]["index"].get<size_t>();
    num_equal += found == expected[num_answers] + model.class_offset ? 1U : 0U;
    ++num_answers;
  }
  ASSERT_EQ(num_answers, expected.size());
  RecordProperty("equal", static_cast<int>(num_equal));
  EXPECT_GE(static_cast<double>(num_equal), 0.995 * static_cast<double>(expected.size()))
      << num_equal << " of " << expected.size();
}

INSTANTIATE_TEST_SUITE_P(Models, PhotosTest,
                         ::testing::Range(testing::kNumSmallReferenceModels, testing::kNumReferenceModels));

}  // namespace
}  // namespace shoji
