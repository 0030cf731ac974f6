// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The policies that ship, against every network that they are for: the built-in model, the reference models, and the
// full-size networks of bench/make_networks.py; the latter two where they are there.
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/model_file.h"
#include "lib/partition/layers.h"
#include "lib/partition/plan.h"
#include "lib/policy_file/policy_file.h"

namespace shoji::policy_file {
namespace {

using partition::Placement;
using partition::ResolvedPlan;
using ::testing::ElementsAre;

const std::string kRoot = std::string(SHOJI_SOURCE_DIR) + "/";
const std::string kData = "build/testdata/models/";
const std::string kMade = "build/networks/";

struct Network {
  std::string file;
  std::string folder;  // of config/policies; empty: the files at its top
  Shape origami;       // the features at the cuts
  Shape layer_partition;
  int64_t head = 1;  // layers of the classifier
};

std::vector<Network> Networks() {
  return {
      {"models/cifar10_resnet.onnx", "", Shape({1, 64, 16, 16}), Shape({1, 16, 32, 32})},
      {kData + "cifar10_resnet20.onnx", "cifar10_resnet20", Shape({1, 32, 16, 16}), Shape({1, 16, 32, 32})},
      {kData + "cifar10_resnet8_mlperftiny.onnx", "cifar10_resnet8", Shape({1, 32, 16, 16}), Shape({1, 16, 32, 32})},
      {kData + "vgg8_cifar10.onnx", "vgg8", Shape({1, 64, 8, 8}), Shape({1, 32, 16, 16}), 2},
      {kData + "vnncomp_cifar_resnet_4b.onnx", "vnncomp_cifar_resnet", Shape({1, 32, 8, 8}), Shape({1, 32, 8, 8}), 2},
      {kData + "mnist_winml.onnx", "mnist", Shape({1, 16, 4, 4}), Shape({1, 8, 14, 14})},
      {kData + "resnet18_pqf.onnx", "resnet18", Shape({1, 64, 56, 56}), Shape({1, 64, 56, 56})},
      {kData + "squeezenet1_0_deepcomp.onnx", "squeezenet", Shape({1, 256, 27, 27}), Shape({1, 128, 55, 55})},
      {kData + "squeezenet1_1_winml.onnx", "squeezenet", Shape({1, 128, 27, 27}), Shape({1, 128, 55, 55})},
      {kData + "mobilenet_v1_025_224.onnx", "mobilenet_v1", Shape({1, 32, 56, 56}), Shape({1, 16, 112, 112})},
      {kData + "mobilenet_v2_100_224.onnx", "mobilenet_v2", Shape({1, 24, 56, 56}), Shape({1, 16, 112, 112})},
      {kData + "mobilenet_v3_small_224.onnx", "mobilenet_v3_small", Shape({1, 24, 28, 28}), Shape({1, 16, 56, 56}), 2},
      {kData + "efficientnet_b0_SYNTH.onnx", "efficientnet_b0", Shape({1, 24, 56, 56}), Shape({1, 16, 112, 112})},
      {kMade + "vgg16.onnx", "vgg16", Shape({1, 128, 56, 56}), Shape({1, 64, 112, 112}), 3},
      {kMade + "vgg19.onnx", "vgg19", Shape({1, 128, 56, 56}), Shape({1, 64, 112, 112}), 3},
      {kMade + "resnet50.onnx", "resnet50", Shape({1, 256, 56, 56}), Shape({1, 256, 56, 56})},
      {kMade + "bn/resnet50.onnx", "resnet50", Shape({1, 256, 56, 56}), Shape({1, 256, 56, 56})},
      {kMade + "resnet152.onnx", "resnet152", Shape({1, 256, 56, 56}), Shape({1, 256, 56, 56})},
      {kMade + "mobilenet_v1.onnx", "mobilenet_v1", Shape({1, 128, 56, 56}), Shape({1, 64, 112, 112})},
      {kMade + "mobilenet_v2.onnx", "mobilenet_v2", Shape({1, 24, 56, 56}), Shape({1, 16, 112, 112})},
      {kMade + "bn/mobilenet_v2.onnx", "mobilenet_v2", Shape({1, 24, 56, 56}), Shape({1, 16, 112, 112})},
      {kMade + "efficientnet_b0.onnx", "efficientnet_b0", Shape({1, 24, 56, 56}), Shape({1, 16, 112, 112})},
  };
}

class ReadyPoliciesTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    network_ = Networks()[GetParam()];
    if (!std::filesystem::exists(kRoot + network_.file)) {
      GTEST_SKIP() << network_.file << " is not there";
    }
    absl::StatusOr<graph::ImportedModel> model = graph::ImportModelFile(kRoot + network_.file);
    ASSERT_TRUE(model.ok()) << model.status();
    graph_ = std::move(model->graph);
  }

  // Of the network's folder where that has it.
  ResolvedPlan Resolve(const std::string& name) const {
    const std::string all = kRoot + "config/policies/";
    const std::string own = all + network_.folder + "/" + name + ".yaml";
    const absl::StatusOr<partition::PartitionPolicy> policy =
        LoadPolicy(std::filesystem::exists(own) ? own : all + name + ".yaml");
    EXPECT_TRUE(policy.ok()) << policy.status();
    absl::StatusOr<ResolvedPlan> plan =
        partition::Resolve(partition::ForModel(*policy, "cifar10_resnet"), graph_, {{.name = "local"}});
    EXPECT_TRUE(plan.ok()) << network_.file << ", " << name << ": " << plan.status();
    return plan.ok() ? *std::move(plan) : ResolvedPlan();
  }

  void CheckPoliciesOfOneSegment() const;
  void CheckThatSlalomIsTheDefault() const;
  void CheckOrigami() const;
  void CheckLayerPartition() const;
  void CheckEnnclave() const;

  Network network_;
  graph::Graph graph_;
};

std::vector<Placement> Places(const ResolvedPlan& plan) {
  std::vector<Placement> places;
  for (const partition::Segment& segment : plan.segments) {
    places.push_back(segment.place);
  }
  return places;
}

void ReadyPoliciesTest::CheckPoliciesOfOneSegment() const {
  for (const auto& [name, place, opened] :
       {std::tuple("enclave-only", Placement::kEnclave, false), std::tuple("slalom", Placement::kBlinded, false),
        std::tuple("slalom-integrity", Placement::kVerified, true), std::tuple("open", Placement::kOpen, true)}) {
    const ResolvedPlan plan = Resolve(name);
    EXPECT_THAT(Places(plan), ElementsAre(place)) << name;
    EXPECT_EQ(plan.result_opened, opened) << name;
  }
}

void ReadyPoliciesTest::CheckThatSlalomIsTheDefault() const {
  const ResolvedPlan plan =
      partition::Resolve(partition::DefaultPolicy("cifar10_resnet"), graph_, {{.name = "local"}}).value();
  EXPECT_EQ(Resolve("slalom").digest, plan.digest);
}

void ReadyPoliciesTest::CheckOrigami() const {
  const ResolvedPlan plan = Resolve("origami");
  ASSERT_THAT(Places(plan), ElementsAre(Placement::kBlinded, Placement::kOpen));
  EXPECT_TRUE(plan.segments[0].verify);
  EXPECT_TRUE(plan.result_opened);
  ASSERT_EQ(plan.segments[1].inputs.size(), 1U);
  EXPECT_EQ(plan.segments[1].inputs[0].shape, network_.origami);
}

void ReadyPoliciesTest::CheckLayerPartition() const {
  const ResolvedPlan plan = Resolve("layer-partition");
  ASSERT_THAT(Places(plan), ElementsAre(Placement::kEnclave, Placement::kOpen));
  EXPECT_TRUE(plan.result_opened);
  ASSERT_EQ(plan.segments[1].inputs.size(), 1U);
  EXPECT_EQ(plan.segments[1].inputs[0].shape, network_.layer_partition);
}

void ReadyPoliciesTest::CheckEnnclave() const {
  const ResolvedPlan plan = Resolve("ennclave");
  ASSERT_THAT(Places(plan), ElementsAre(Placement::kOpen, Placement::kEnclave));
  EXPECT_FALSE(plan.segments[0].confidential);
  EXPECT_TRUE(plan.segments[1].confidential);
  EXPECT_FALSE(plan.result_opened);
  EXPECT_EQ(plan.segments[1].first_node, partition::FirstOfLastLayers(graph_, network_.head).value());
}

// One test a network, which is read once: the largest have 575 MB.
TEST_P(ReadyPoliciesTest, DoWithTheNetworkWhatTheySay) {
  CheckPoliciesOfOneSegment();
  CheckThatSlalomIsTheDefault();
  CheckOrigami();
  CheckLayerPartition();
  CheckEnnclave();
}

std::string NameOf(const ::testing::TestParamInfo<size_t>& info) {
  std::string name = Networks()[info.param].file;
  name = name.substr(0, name.rfind('.'));
  for (const std::string& folder : {kData, kMade, std::string("models/")}) {
    name = name.starts_with(folder) ? name.substr(folder.size()) : name;
  }
  for (char& c : name) {
    c = c == '/' || c == '.' ? '_' : c;
  }
  return name + (info.param >= 13 ? "_made" : "");
}

INSTANTIATE_TEST_SUITE_P(Networks, ReadyPoliciesTest, ::testing::Range(size_t{0}, Networks().size()), NameOf);

TEST(ReadyPolicyFilesTest, EveryFileIsForANetworkThatIsTried) {
  std::map<std::string, int> folders;
  for (const Network& network : Networks()) {
    ++folders[network.folder];
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot + "config/policies")) {
    if (entry.path().extension() != ".yaml") {
      continue;
    }
    EXPECT_TRUE(LoadPolicy(entry.path().string()).ok()) << LoadPolicy(entry.path().string()).status();
    const std::string folder =
        std::filesystem::relative(entry.path().parent_path(), kRoot + "config/policies").string();
    EXPECT_TRUE(folders.contains(folder == "." ? "" : folder)) << entry.path();
  }
}

}  // namespace
}  // namespace shoji::policy_file
