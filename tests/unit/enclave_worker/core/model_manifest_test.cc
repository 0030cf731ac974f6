// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an enclave states of a model, from what it really loaded: a small residual network under many policies.
#include <functional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enclave_worker/core/enclave.h"
#include "enclave_worker/core/model.h"
#include "lib/digest/sha2.h"
#include "lib/graph/onnx_import.h"
#include "lib/policy_file/policy_file.h"
#include "lib/quantization/calibrate.h"
#include "tests/support/fake_clock.h"
#include "tests/support/in_process_accelerator.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/enclave_worker/core/model_surroundings.h"

namespace shoji::enclave {
namespace {

using ::testing::ElementsAre;
using testing::InProcessAccelerator;
using ::testing::IsEmpty;

const std::string kOpenFromBlock = "segments: [{from: input, place: enclave}, {from: block1_conv1, place: open}]\n";

const std::string kName = "m";
const std::string kAccelerator = "acc";

class ModelManifestTest : public ::testing::Test {
 protected:
  ModelManifestTest() : onnx_(testing::SmallResNet()) {
    auto calibrator =
        quantization::Calibrator::Create(*graph::ImportOnnx(onnx_), quantization::CalibrationMethod::kMinMax);
    Tensor input(DataType::kFloat32, Shape({1, 3, 8, 8}));
    std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same every time
    for (float& value : input.mutable_values<float>()) {
      value = std::uniform_real_distribution<float>(-2, 2)(random);
    }
    EXPECT_TRUE((*calibrator)->Observe({&input}).ok());
    ranges_ = *(*calibrator)->Finish();
  }

  static std::vector<AcceleratorRegistry::Member> OneAccelerator() {
    std::vector<AcceleratorRegistry::Member> members;
    AcceleratorRegistry::Member& member = members.emplace_back();
    member.accelerator = std::make_unique<InProcessAccelerator>(kAccelerator);
    member.identity.name = kAccelerator;
    member.identity.operator_name = kAccelerator;
    member.identity.address = kAccelerator;
    return members;
  }

  ModelSource Source(const std::string& policy) const {
    ModelSource source;
    source.name = kName;
    source.model.graph = *graph::ImportOnnx(onnx_);
    source.model.digest = digest::Sha256(onnx_);
    source.policy = *policy_file::ParsePolicy("model: m\n" + policy, "policy");
    source.ranges = ranges_;
    return source;
  }
  static sealed_model::Terms TermsOf(const std::vector<std::string>& confidential) {
    sealed_model::Terms terms;
    terms.confidential = {sealed_model::ConfidentialNodes::Extent::kListed, confidential};
    terms.queries_per_release = 1;
    return terms;
  }
  std::unique_ptr<Model> Load(ModelSource source) {
    auto model = Model::Create(std::move(source), surroundings_.context);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? *std::move(model) : nullptr;
  }
  attest::ModelManifest ManifestOf(const std::string& policy) { return Load(Source(policy))->manifest(); }

  const testing::FakeClock clock_;
  const Bytes onnx_;
  quantization::ActivationRanges ranges_;
  ModelSurroundings surroundings_{clock_, OneAccelerator()};
};

TEST_F(ModelManifestTest, NamesTheNodesBeforeWhichNothingIsOpened) {
  EXPECT_THAT(ManifestOf(kOpenFromBlock).unopened_before,
              ElementsAre("stem_conv", "stem_bn", "stem_relu", "block1_conv1"));
  EXPECT_THAT(ManifestOf("segments: [{from: input, place: blinded}, {from: stem_relu, place: verified}, "
                         "{from: pool, place: enclave}]\n")
                  .unopened_before,
              ElementsAre("stem_conv", "stem_bn", "stem_relu"))
      << "what is verified is seen, too";
}

TEST_F(ModelManifestTest, NamesNoNodeWhereNothingIsOpenedAndOnlyTheFirstWhereAllIs) {
  EXPECT_THAT(ManifestOf("segments: [{from: input, place: enclave}]\n").unopened_before, IsEmpty());
  EXPECT_THAT(ManifestOf("segments: [{from: input, place: blinded}]\n").unopened_before, IsEmpty());
  EXPECT_THAT(ManifestOf("segments: [{from: input, place: open}]\n").unopened_before, ElementsAre("stem_conv"));
}

TEST_F(ModelManifestTest, OfASealedModelNamesNoNodeThatIsConfidential) {
  const std::string policy =
      "segments: [{from: input, place: enclave}, {from: stem_bn, place: enclave}, {from: block1_conv1, place: open}]\n";
  EXPECT_THAT(ManifestOf(policy).unopened_before, ElementsAre("stem_conv", "stem_bn", "stem_relu", "block1_conv1"));
  ModelSource source = Source(policy);
  source.sealed = {.sealed_digest = {7}, .terms = TermsOf({"stem_conv"}), .budget = std::make_shared<QueryBudget>()};
  const std::unique_ptr<Model> sealed = Load(std::move(source));
  ASSERT_NE(sealed, nullptr);
  EXPECT_THAT(sealed->manifest().unopened_before, ElementsAre("stem_bn", "stem_relu", "block1_conv1"));
  EXPECT_EQ(sealed->manifest().model_digest[0], 7) << "the digest of what is sealed would let anybody test a guess";
}

TEST_F(ModelManifestTest, SaysVerifiedOnlyWhereEveryAnswerOfAnAcceleratorIsChecked) {
  EXPECT_TRUE(ManifestOf("segments: [{from: input, place: enclave}]\n").all_verified);
  EXPECT_TRUE(ManifestOf("segments: [{from: input, place: blinded}]\n").all_verified);
  EXPECT_TRUE(ManifestOf("segments: [{from: input, place: verified}]\n").all_verified);
  EXPECT_FALSE(ManifestOf("segments: [{from: input, place: blinded, verify: false}]\n").all_verified);
  EXPECT_FALSE(ManifestOf(kOpenFromBlock).all_verified);
  EXPECT_FALSE(ManifestOf("segments: [{from: input, place: blinded}, {from: fc, place: open}]\n").all_verified);
}

TEST_F(ModelManifestTest, ItsDigestsFollowWhatIsLoaded) {
  const attest::ModelManifest first = ManifestOf(kOpenFromBlock);
  EXPECT_EQ(first.model_digest, digest::Sha256(onnx_));
  EXPECT_EQ(ManifestOf(kOpenFromBlock).plan_digest, first.plan_digest);
  EXPECT_NE(ManifestOf("segments: [{from: input, place: enclave}]\n").plan_digest, first.plan_digest);
  ModelSource source = Source(kOpenFromBlock);
  source.labels = ToBytes("a\nb\nc\nd\n");
  source.ranges->begin()->second.max += 1;
  const std::unique_ptr<Model> other = Load(std::move(source));
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->manifest().labels_digest, digest::Sha256(AsBytes("a\nb\nc\nd\n")));
  EXPECT_NE(other->manifest().calibration_digest, first.calibration_digest);
  EXPECT_EQ(other->manifest().plan_digest, first.plan_digest);
}

TEST_F(ModelManifestTest, AReloadStatesWhatIsServedFromThenOn) {
  const auto served = [&](const std::string& policy) {
    Served out;
    out.models.push_back(Load(Source(policy)));
    return out;
  };
  const auto enclave = *Enclave::Create({&clock_, {}, "test", nullptr}, served(kOpenFromBlock));
  const auto stated = [&] { return *attest::DecodeManifest(enclave->ClaimFor({}).manifest); };
  const attest::Manifest before = stated();
  EXPECT_FALSE(before.models.at(0).opened.empty());
  ASSERT_TRUE(
      enclave->Reload([&]() -> absl::StatusOr<Served> { return served("segments: [{from: input, place: enclave}]\n"); })
          .ok());
  const attest::Manifest after = stated();
  EXPECT_TRUE(after.models.at(0).opened.empty());
  EXPECT_TRUE(after.models.at(0).all_verified);
  EXPECT_NE(after.models.at(0).plan_digest, before.models.at(0).plan_digest);
  EXPECT_NE(after.hpke_public_key, before.hpke_public_key);
  EXPECT_EQ(enclave->ClaimFor({5}).report_data,
            attest::ReportDataFor(digest::Sha256(enclave->ClaimFor({}).manifest), {5}));
}

TEST_F(ModelManifestTest, AReloadThatChangesNothingOfItKeepsItAndServesWhatItLoaded) {
  const auto served = [&](ModelSource source) {
    Served out;
    out.models.push_back(Load(std::move(source)));
    return out;
  };
  const auto enclave = *Enclave::Create({&clock_, {}, "test", nullptr}, served(Source(kOpenFromBlock)));
  const Bytes manifest = enclave->ClaimFor({}).manifest;
  const auto reload = [&](const std::function<void(ModelSource&)>& change) {
    ModelSource source = Source(kOpenFromBlock);
    change(source);
    const std::shared_ptr<const Served> before = enclave->public_state().served;
    const auto reloaded = enclave->Reload([&]() -> absl::StatusOr<Served> { return served(std::move(source)); });
    EXPECT_TRUE(reloaded.ok()) << reloaded.status();
    EXPECT_NE(enclave->public_state().served, before) << "what was loaded is what runs";
    EXPECT_EQ(enclave->ClaimFor({}).manifest == manifest, *reloaded == Enclave::Reloaded::kManifestKept);
    return *reloaded;
  };
  EXPECT_EQ(reload([](ModelSource&) {}), Enclave::Reloaded::kManifestKept);
  EXPECT_EQ(reload([](ModelSource& s) { s.batching.max_batch = 4; }), Enclave::Reloaded::kManifestKept);
  EXPECT_EQ(enclave->public_state().key_ids.size(), 1U);
  EXPECT_TRUE(enclave->public_state().stale_key_ids.empty());
  // Every part that a client may hold on to.
  EXPECT_EQ(reload([](ModelSource& s) { s.labels = ToBytes("a\nb\nc\nd\n"); }), Enclave::Reloaded::kManifestRenewed);
  EXPECT_EQ(reload([](ModelSource& s) { s.ranges->begin()->second.max += 1; }), Enclave::Reloaded::kManifestRenewed);
  EXPECT_EQ(reload([](ModelSource& s) { s.model.digest[0] ^= 1; }), Enclave::Reloaded::kManifestRenewed);
  EXPECT_EQ(enclave->public_state().stale_key_ids.size(), 3U);
}

TEST_F(ModelManifestTest, IsTheSameInWhateverOrderTheModelsCame) {
  const auto served = [&](const std::vector<std::string>& names) {
    Served out;
    for (const std::string& name : names) {
      ModelSource source = Source(kOpenFromBlock);
      source.name = name;
      source.policy.model = name;
      out.models.push_back(Load(std::move(source)));
    }
    return out;
  };
  const auto enclave = *Enclave::Create({&clock_, {}, "test", nullptr}, served({"b", "a"}));
  const auto reloaded = enclave->Reload([&]() -> absl::StatusOr<Served> { return served({"a", "b"}); });
  ASSERT_TRUE(reloaded.ok()) << reloaded.status();
  EXPECT_EQ(*reloaded, Enclave::Reloaded::kManifestKept);
}

}  // namespace
}  // namespace shoji::enclave
