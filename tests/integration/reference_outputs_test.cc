// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Every reference model through the whole path, client to answer, under enclave-only, open, and cuts in two: enclave
// before, open behind. The CIFAR-10 and MNIST models are cut at every node, the ImageNet models at some.
#include <algorithm>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/graph/onnx_import.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/reference_data.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterModel;
using testing::ClusterOptions;
using testing::ReferenceCase;
using testing::ReferenceModel;

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return out + "\"";
}

constexpr size_t kCutsOfALargeModel = 6;

// The policies to try: a name for each, and its segments; with at most `max_cuts` cuts, at equal distances.
std::vector<std::pair<std::string, std::string>> PoliciesFor(const std::string& onnx, size_t max_cuts) {
  const absl::StatusOr<Bytes> bytes = ReadFile(onnx, size_t{1} << 28);
  EXPECT_TRUE(bytes.ok());
  const absl::StatusOr<graph::Graph> graph = graph::ImportOnnx(*bytes);
  EXPECT_TRUE(graph.ok()) << graph.status();
  std::vector<std::pair<std::string, std::string>> out = {{"enclave", "  - {from: input, place: enclave}\n"},
                                                          {"open", "  - {from: input, place: open}\n"}};
  const size_t num_cuts = std::min(max_cuts, graph->nodes.size() - 1);
  for (size_t cut = 1; cut <= num_cuts; ++cut) {
    const size_t i = cut * graph->nodes.size() / (num_cuts + 1);
    out.emplace_back("cut" + std::to_string(i), "  - {from: input, place: enclave}\n  - {from: " +
                                                    Quoted(graph->nodes[i].name) + ", place: open}\n");
  }
  return out;
}

// One reference case against one served model.
std::string Check(testing::RawClient& client, const std::string& model, const ReferenceCase& reference) {
  const bool picture = !reference.pixels.empty();
  const auto request = client.Seal(picture ? channel::RequestKind::kPicture : channel::RequestKind::kTensors,
                                   picture ? reference.pixels : reference.tensor, model);
  if (!request.ok()) {
    return request.status().ToString();
  }
  const auto answer = client.Send(*request);
  if (!answer.ok()) {
    return answer.status().ToString();
  }
  const auto plaintext = client.Open(*request, *answer);
  if (!plaintext.ok()) {
    return plaintext.status().ToString();
  }
  const auto view = channel::ParseAnswer(plaintext->Expose(), reference.expected.size() * sizeof(float));
  if (!view.ok() || !view->status.ok()) {
    return "the answer is an error";
  }
  return testing::FirstMismatch({reinterpret_cast<const float*>(view->body.data()), reference.expected.size()},
                                reference.expected);
}

class ReferenceOutputsTest : public ::testing::TestWithParam<size_t> {};

TEST_P(ReferenceOutputsTest, AgreeUnderEnclaveOnlyOpenAndCuts) {
  if (!testing::HasReferenceData()) {
    GTEST_SKIP() << "../shared/data is not there";
  }
  const bool small = GetParam() < testing::kNumSmallReferenceModels;
  const ReferenceModel model = testing::ReferenceModelAt(GetParam());
  const testing::TempDir dir;
  const std::string preprocessing = dir.File("preprocessing.yaml");
  ASSERT_TRUE(WriteFileAtomically(preprocessing, AsBytes(testing::ToYaml(model.preprocessing))).ok());
  ClusterOptions options;
  for (const auto& [name, segments] : PoliciesFor(model.onnx, small ? SIZE_MAX : kCutsOfALargeModel)) {
    options.models.push_back(
        {name, model.onnx, "", small ? preprocessing : "", "model: " + name + "\nsegments:\n" + segments});
  }
  options.accelerator_yaml = "quotas: {models: 1000}\n";
  options.start_timeout = std::chrono::minutes(5);
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("enclave").ok());
  ASSERT_GE(options.models.size(), 8U);
  ASSERT_GE(model.cases.size(), small ? 20U : 3U);
  for (const ClusterModel& served : options.models) {
    for (const ReferenceCase& reference : model.cases) {
      const std::string mismatch = Check(client, served.name, reference);
      ASSERT_EQ(mismatch, "") << model.name << " " << reference.name << " under\n" << served.policy;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ReferenceOutputsTest, ::testing::Range(size_t{0}, testing::kNumReferenceModels));

}  // namespace
}  // namespace shoji
