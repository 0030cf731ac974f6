// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The master test: every placement of a quantized layer gives the same bits. Random models, policies and inputs; the
// accelerators are processes of their own, the enclave's core runs in this one. What a policy gives to accelerators,
// masked or checked, is compared with the same policy with those segments in the enclave, in int8.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "lib/policy_file/policy_file.h"
#include "tests/integration/core_fixture.h"
#include "tests/support/reference_data.h"

#ifndef SHOJI_MASTER_TRIPLES
#error "the number of (model, policy, input) triples"
#endif

namespace shoji::enclave {
namespace {

using partition::Placement;
using partition::Precision;

constexpr size_t kInputsPerPolicy = 2;
constexpr size_t kNumAccelerators = 3;

std::vector<std::string> ModelFiles() {
  std::vector<std::string> files = {std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.onnx"};
  if (testing::HasReferenceData()) {
    for (const auto& entry : std::filesystem::directory_iterator(testing::ReferenceDataDir() + "/models")) {
      if (entry.path().extension() == ".onnx") {
        files.push_back(entry.path().string());
      }
    }
  }
  std::sort(files.begin() + 1, files.end());
  return files;
}

partition::PartitionPolicy RandomPolicy(const NamedModel& model, std::mt19937& random) {
  partition::PartitionPolicy policy;
  policy.model = model.name;
  policy.masking.source = random() % 2 == 0 ? partition::MaskSource::kPads : partition::MaskSource::kShares;
  policy.masking.on_empty = partition::OnPoolEmpty::kWait;
  policy.masking.pool_requests = 2;
  std::set<size_t> starts = {0};
  for (size_t more = random() % 4; more > 0 && model.graph.nodes.size() > 1; --more) {
    starts.insert(1 + random() % (model.graph.nodes.size() - 1));
  }
  for (const size_t start : starts) {
    partition::SegmentPolicy& segment = policy.segments.emplace_back();
    if (start != 0) {
      segment.start = {partition::StartPoint::Kind::kAt, model.graph.nodes[start].name};
    }
    switch (random() % 8) {
      case 0:
        segment.place = Placement::kEnclave;
        break;
      case 1:
        segment.place = Placement::kEnclave;
        segment.precision = Precision::kInt8;
        break;
      case 2:
        segment.place = Placement::kOpen;
        break;
      case 3:
      case 4:
        segment.place = Placement::kVerified;
        break;
      default:
        segment.place = Placement::kBlinded;
        break;
    }
    if (segment.place == Placement::kVerified && random() % 2 == 0) {
      segment.accelerators = {"acc" + std::to_string(random() % kNumAccelerators)};
    }
  }
  return policy;
}

// The same with the enclave in place of accelerators wherever the layers are quantized.
partition::PartitionPolicy InTheEnclave(partition::PartitionPolicy policy) {
  for (partition::SegmentPolicy& segment : policy.segments) {
    if (segment.place == Placement::kBlinded || segment.place == Placement::kVerified) {
      segment.place = Placement::kEnclave;
      segment.precision = Precision::kInt8;
      segment.accelerators.clear();
    }
  }
  return policy;
}

using MasterTest = CoreFixture;

TEST_F(MasterTest, RequestsTogetherHaveTheBitsThatEachHasAloneUnderEveryReadyPolicy) {
  Start(std::vector<AcceleratorProcess>(kNumAccelerators), {});
  std::mt19937 random(20260708);  // NOLINT(cert-msc51-cpp): the same inputs in every run
  std::vector<std::string> files = ModelFiles();
  files.resize(std::min<size_t>(files.size(), 3));
  size_t num_policies = 0;
  for (const std::string& file : files) {
    const NamedModel model = ReadModel(file);
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < 8; ++i) {
      inputs.push_back(RandomInput(model.graph, random));
    }
    for (const auto& entry : std::filesystem::directory_iterator(std::string(SHOJI_SOURCE_DIR) + "/config/policies")) {
      if (entry.path().extension() != ".yaml") {
        continue;
      }
      SCOPED_TRACE(file + " under " + entry.path().filename().string());
      auto policy = policy_file::LoadPolicy(entry.path().string());
      ASSERT_TRUE(policy.ok()) << policy.status();
      std::unique_ptr<Model> loaded = LoadIfItFits(model, partition::ForModel(*std::move(policy), model.name));
      if (loaded == nullptr) {
        continue;  // a policy for networks of other layers
      }
      ++num_policies;
      std::vector<Bytes> alone;
      for (const Tensor& input : inputs) {
        alone.push_back(Answer(*loaded, input).value());
      }
      for (const size_t size : {size_t{2}, size_t{3}, size_t{8}}) {
        std::vector<Tensor> some;
        for (size_t i = 0; i < size; ++i) {
          some.push_back(inputs[i].Clone());
        }
        const std::vector<absl::StatusOr<Bytes>> together = AnswerTogether(*loaded, some);
        for (size_t i = 0; i < size; ++i) {
          ASSERT_TRUE(together[i].ok()) << together[i].status();
          ASSERT_EQ(*together[i], alone[i]) << "request " << i << " of " << size;
        }
      }
    }
  }
  EXPECT_GE(num_policies, 4U);
  EXPECT_EQ(NumEvents(), 0U);
}

TEST_F(MasterTest, BlindedAndVerifiedGiveTheBitsOfTheEnclave) {
  Start(std::vector<AcceleratorProcess>(kNumAccelerators), {});
  std::vector<NamedModel> models;
  for (const std::string& file : ModelFiles()) {
    models.push_back(ReadModel(file));
  }
  std::mt19937 random(20260707);  // NOLINT(cert-msc51-cpp): the same triples in every run
  size_t num_offloaded = 0;
  for (size_t done = 0; done < SHOJI_MASTER_TRIPLES;) {
    const NamedModel& model = models[(done / kInputsPerPolicy) % models.size()];
    const partition::PartitionPolicy policy = RandomPolicy(model, random);
    SCOPED_TRACE(Describe(policy));
    const std::unique_ptr<Model> offloaded = Load(model, policy);
    const std::unique_ptr<Model> inside = Load(model, InTheEnclave(policy));
    ASSERT_TRUE(offloaded != nullptr && inside != nullptr);
    num_offloaded += offloaded->plan().digest == inside->plan().digest ? 0 : kInputsPerPolicy;
    std::vector<Tensor> inputs;
    std::vector<Bytes> alone;
    for (size_t i = 0; i < kInputsPerPolicy; ++i, ++done) {
      const Tensor& input = inputs.emplace_back(RandomInput(model.graph, random));
      const absl::StatusOr<Bytes> expected = Answer(*inside, input);
      const absl::StatusOr<Bytes> answer = Answer(*offloaded, input);
      ASSERT_TRUE(expected.ok()) << expected.status();
      ASSERT_TRUE(answer.ok()) << answer.status();
      ASSERT_EQ(*answer, *expected);
      alone.push_back(*answer);
    }
    const std::vector<absl::StatusOr<Bytes>> together = AnswerTogether(*offloaded, inputs);
    for (size_t i = 0; i < together.size(); ++i) {
      ASSERT_TRUE(together[i].ok()) << together[i].status();
      ASSERT_EQ(*together[i], alone[i]) << "in a batch";
    }
  }
  std::cout << models.size() << " models, " << SHOJI_MASTER_TRIPLES << " triples, " << num_offloaded
            << " with offloaded layers\n";
  EXPECT_GT(2 * num_offloaded, SHOJI_MASTER_TRIPLES);
  EXPECT_EQ(NumEvents(), 0U) << "every offloaded layer must have been answered, and rightly";
}

}  // namespace
}  // namespace shoji::enclave
