// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Every reference model under every ready policy that is for it, client to answer, with the product's own processes.
// Where a policy computes in float32 the answer is the reference's; where it masks or checks, the bits are those of
// int8 in the enclave, cut at the same place.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/cluster.h"
#include "tests/support/crafted_files.h"
#include "tests/support/raw_client.h"
#include "tests/support/reference_data.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using testing::CommandResult;
using testing::ReferenceCase;
using testing::ReferenceModel;

constexpr auto kPatience = std::chrono::minutes(10);
constexpr size_t kCasesOfAModel = 3;

const std::vector<std::string> kPolicies = {"enclave-only", "slalom", "slalom-integrity", "origami", "layer-partition",
                                            "ennclave",     "open"};

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// The policy that ships. It waits for a pad, so that an accelerator is sure to be asked, and has few made.
std::string PolicyFor(const ReferenceModel& model, const std::string& name) {
  const std::string own = model.policies + "/" + name;
  const bool has_own = std::filesystem::exists(std::string(SHOJI_SOURCE_DIR) + "/config/policies/" + own + ".yaml");
  return Replaced(Replaced(testing::ReadyPolicy(has_own ? own : name), "on_empty: enclave", "on_empty: wait"),
                  "requests: 64", "requests: 2");
}

// The same with the enclave in place of what is masked or checked.
std::string InTheEnclave(const std::string& policy) {
  return Replaced(Replaced(policy, "place: blinded, verify: true", "place: enclave, precision: int8"),
                  "place: verified", "place: enclave, precision: int8");
}

size_t Best(std::span<const float> scores) {
  return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

class PoliciesTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!testing::HasReferenceData()) {
      GTEST_SKIP() << "../shared/data is not there";
    }
    model_ = testing::ReferenceModelAt(GetParam());
    model_.cases.resize(std::min(model_.cases.size(), kCasesOfAModel));
    ASSERT_TRUE(
        WriteFileAtomically(dir_.File("preprocessing.yaml"), AsBytes(testing::ToYaml(model_.preprocessing))).ok());
    Calibrate();
    Serve();
  }

  // Ranges from the pictures that the data has, or from the cases themselves.
  void Calibrate() {
    std::string pictures = model_.pictures;
    if (pictures.empty()) {
      pictures = dir_.File("pictures");
      std::filesystem::create_directory(pictures);
      for (size_t i = 0; i < model_.cases.size(); ++i) {
        const Bytes bmp = testing::GrayBmp(model_.preprocessing.crop_width, model_.cases[i].pixels);
        ASSERT_TRUE(WriteFileAtomically(pictures + "/" + std::to_string(i) + ".bmp", bmp).ok());
      }
    }
    const CommandResult made =
        testing::RunCommand({testing::BinDir() + "/shoji-model", "calibrate", "--model", model_.onnx, "--images",
                             pictures, "--preprocessing", dir_.File("preprocessing.yaml"), "--method", "minmax",
                             "--limit", "4", "--output", dir_.File("ranges.yaml")},
                            kPatience);
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  void Serve() {
    ClusterOptions options;
    options.num_accelerators = 2;
    for (const std::string& name : kPolicies) {
      Add(options, name, PolicyFor(model_, name));
    }
    for (const std::string name : {"slalom", "origami"}) {
      Add(options, name + "-inside", InTheEnclave(PolicyFor(model_, name)));
    }
    options.accelerator_yaml = "quotas: {models: 1000}\n";
    options.start_timeout = kPatience;
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    client_ = std::make_unique<testing::RawClient>(cluster_->address());
    ASSERT_TRUE(client_->Attest("enclave-only").ok());
  }
  void Add(ClusterOptions& options, const std::string& name, const std::string& policy) const {
    // A model with raw inputs as cases takes no pictures, but the same ranges.
    const bool pictures = !model_.cases[0].pixels.empty();
    options.models.push_back(
        {name, model_.onnx, "", pictures ? dir_.File("preprocessing.yaml") : "", policy, dir_.File("ranges.yaml")});
  }

  // The answer of the model served as `name`; empty after a failed expectation.
  std::vector<float> Answer(const std::string& name, const ReferenceCase& reference) {
    const bool picture = !reference.pixels.empty();
    const auto request = client_->Seal(picture ? channel::RequestKind::kPicture : channel::RequestKind::kTensors,
                                       picture ? reference.pixels : reference.tensor, name);
    EXPECT_TRUE(request.ok()) << request.status();
    const auto sealed = client_->Send(*request);
    EXPECT_TRUE(sealed.ok()) << name << ": " << sealed.status();
    if (!sealed.ok()) {
      return {};
    }
    const auto plaintext = client_->Open(*request, *sealed);
    EXPECT_TRUE(plaintext.ok()) << plaintext.status();
    const auto view = channel::ParseAnswer(plaintext->Expose(), reference.expected.size() * sizeof(float));
    EXPECT_TRUE(view.ok() && view->status.ok()) << name << ": an error instead of an answer";
    std::vector<float> scores(reference.expected.size());
    std::memcpy(scores.data(), view->body.data(), view->body.size());
    return scores;
  }

  const testing::TempDir dir_;
  ReferenceModel model_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<testing::RawClient> client_;
};

TEST_P(PoliciesTest, EveryReadyPolicyGivesTheReferenceOrTheBitsOfTheEnclave) {
  for (const ReferenceCase& reference : model_.cases) {
    SCOPED_TRACE(model_.name + " " + reference.name);
    for (const std::string name : {"enclave-only", "layer-partition", "ennclave", "open"}) {
      const std::vector<float> answer = Answer(name, reference);
      EXPECT_EQ(testing::FirstMismatch(answer, reference.expected), "") << name;
      EXPECT_EQ(Best(answer), Best(reference.expected)) << name;
    }
    const std::vector<float> inside = Answer("slalom-inside", reference);
    EXPECT_EQ(Answer("slalom", reference), inside) << "slalom";
    EXPECT_EQ(Answer("slalom-integrity", reference), inside) << "slalom-integrity";
    EXPECT_EQ(Answer("origami", reference), Answer("origami-inside", reference)) << "origami";
    // int8 is int8: not the float32 answer in other words.
    EXPECT_NE(inside, Answer("enclave-only", reference));
  }
  // Every layer was computed outside, and every check passed.
  EXPECT_EQ(cluster_->enclave().Log().find("check_failed"), std::string::npos);
  EXPECT_EQ(cluster_->enclave().Log().find("quarantined"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Models, PoliciesTest, ::testing::Range(size_t{0}, testing::kNumReferenceModels));

}  // namespace
}  // namespace shoji
