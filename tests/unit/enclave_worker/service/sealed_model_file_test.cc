// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/sealed_model_file.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "lib/sealed_model/open.h"
#include "lib/sealed_model/seal.h"
#include "tests/support/external_weights.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::enclave {
namespace {

using sealed_model::ConfidentialNodes;
using sealed_model::Content;
using sealed_model::PartKind;
using Extent = ConfidentialNodes::Extent;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SealedModelFileTest : public ::testing::Test {
 protected:
  SealedModelFileTest() { Seal({}); }

  // Seals the small network, with `ranges` (YAML) unless empty.
  void Seal(const ConfidentialNodes& confidential, const std::string& ranges = "") {
    SpanSource model(onnx_);
    SpanSource ranges_source(AsBytes(ranges));
    std::vector<Content> contents;
    if (!ranges.empty()) {
      contents.push_back({PartKind::kRanges, ranges_source});
    }
    contents.push_back({PartKind::kModel, model});
    sealed_model::Terms terms;
    terms.confidential = confidential;
    terms.queries_per_release = 4;
    SealContents(terms, contents);
  }
  void SealContents(const sealed_model::Terms& terms, const std::vector<Content>& contents) {
    ASSERT_TRUE(sealed_model::Seal(terms, owner_, contents, config_.file).ok());
    const auto file = sealed_model::SealedFile::Open(config_.file);
    digest_ = file->digest();
    key_.emplace(*file->KeyFrom(owner_));
  }
  void Policy(const std::string& segments) {
    config_.policy = dir_.File("policy.yaml");
    ASSERT_TRUE(WriteFileAtomically(config_.policy, AsBytes("model: small\nsegments: " + segments + "\n")).ok());
  }
  std::string DescribeError() const { return std::string(DescribeSealedModel(config_).status().message()); }
  absl::StatusOr<ModelSource> Load() const {
    const absl::StatusOr<DescribedModel> described = DescribeSealedModel(config_);
    return described.ok()
               ? LoadSealedModelSource(config_, described->beside, digest_, *key_, std::make_shared<QueryBudget>())
               : described.status();
  }
  std::string LoadError() const { return std::string(Load().status().message()); }

  const testing::TempDir dir_;
  const Bytes onnx_ = testing::SmallResNet();
  const sealed_model::OwnerKey owner_ = sealed_model::NewOwnerKey();
  ModelConfig config_ = {.where = "enclave.yaml:3",
                         .name = "small",
                         .file = dir_.File("small.sealed"),
                         .labels = "",
                         .preprocessing = "",
                         .policy = "",
                         .ranges = "",
                         .batching = {}};
  digest::Sha256Digest digest_ = {};
  std::optional<sealed_model::FileKey> key_;
};

TEST_F(SealedModelFileTest, DescribesWhatIsKnownWithoutTheKey) {
  Policy("[{from: input, place: enclave}, {from: fc, place: enclave, confidential: true}]");
  const auto model = DescribeSealedModel(config_);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->awaited.manifest.name, "small");
  EXPECT_EQ(model->awaited.manifest.sealed_digest, digest_);
  EXPECT_EQ(model->awaited.header_tag, sealed_model::HeaderTagOf(*key_));
  ASSERT_EQ(model->awaited.manifest.plan.size(), 2U);
  EXPECT_EQ(model->awaited.manifest.plan[0].place, "enclave");
  EXPECT_THAT(model->awaited.manifest.plan[1].start, HasSubstr("fc"));
  EXPECT_TRUE(model->awaited.manifest.plan[1].confidential);
}

TEST_F(SealedModelFileTest, OpensTheModelWithItsKeyAndKeepsItInTheEnclaveByDefault) {
  const auto source = Load();
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->model.digest, digest::Sha256(onnx_));
  EXPECT_FALSE(source->model.graph.nodes.empty());
  EXPECT_EQ(source->sealed->sealed_digest, digest_);
  EXPECT_EQ(source->sealed->terms.queries_per_release, 4U);
  ASSERT_EQ(source->policy.segments.size(), 1U);
  EXPECT_EQ(source->policy.segments[0].place, partition::Placement::kEnclave);
  EXPECT_TRUE(source->policy.segments[0].confidential);
}

TEST_F(SealedModelFileTest, APolicyThatCannotFitIsRefusedWithoutTheKey) {
  Policy("[{from: input, place: open}, {from: fc, place: enclave}]");
  EXPECT_THAT(DescribeError(), AllOf(HasSubstr("enclave.yaml:3"), HasSubstr("keeps the whole model confidential"),
                                     HasSubstr("segment 1"), HasSubstr("`open`")));
  Seal({Extent::kFrom, {"fc"}});
  EXPECT_TRUE(DescribeSealedModel(config_).ok());
  Policy("[{from: input, place: enclave}, {from: fc, place: blinded}]");
  EXPECT_THAT(DescribeError(), AllOf(HasSubstr("segment 2"), HasSubstr("`blinded`")));
  Seal({Extent::kListed, {"stem_conv"}});
  EXPECT_TRUE(DescribeSealedModel(config_).ok());
  Policy("[{from: input, place: verified}]");
  EXPECT_THAT(DescribeError(), HasSubstr("no segment of its policy is in the enclave"));
}

TEST_F(SealedModelFileTest, WhatItsOwnerWasShownIsWhatRunsWhateverTheFilesSayMeanwhile) {
  Seal({Extent::kFrom, {"fc"}});
  Policy("[{from: input, place: enclave}]");
  const auto described = DescribeSealedModel(config_);
  ASSERT_TRUE(described.ok()) << described.status();
  Policy("[{from: input, place: open}, {from: fc, place: enclave}]");
  const auto source =
      LoadSealedModelSource(config_, described->beside, digest_, *key_, std::make_shared<QueryBudget>());
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_EQ(source->policy.segments.size(), 1U);
  EXPECT_EQ(source->policy.segments[0].place, partition::Placement::kEnclave);
}

TEST_F(SealedModelFileTest, AnotherFileThanTheReleasedOneIsRefused) {
  const auto old_digest = digest_;
  Seal({});
  digest_ = old_digest;
  EXPECT_THAT(LoadError(), HasSubstr("is another file"));
}

TEST_F(SealedModelFileTest, AWrongKeyAnAlteredChunkAndAPlainFileAreRefused) {
  key_->ExposeMutable()[0] ^= 1;
  EXPECT_EQ(Load().status().code(), absl::StatusCode::kPermissionDenied);
  key_->ExposeMutable()[0] ^= 1;
  Bytes file = *ReadFile(config_.file, size_t{1} << 26);
  file.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomically(config_.file, file).ok());
  digest_ = digest::Sha256(file);
  EXPECT_THAT(LoadError(), AllOf(HasSubstr("model small"), HasSubstr("was altered")));
  ASSERT_TRUE(WriteFileAtomically(config_.file, onnx_).ok());
  EXPECT_THAT(DescribeError(), HasSubstr("is not a sealed model"));
}

std::string RangesOf(const Bytes& onnx) {
  return "model: " + HexEncode(digest::Sha256(onnx)) + "\nmethod: mse\nimages: 1\nranges:\n  \"logits\": [0, 1]\n";
}

TEST_F(SealedModelFileTest, RangesComeOutOfTheSealedFile) {
  Seal({}, RangesOf(onnx_));
  const auto source = Load();
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_TRUE(source->ranges.has_value());
  EXPECT_EQ(source->ranges->size(), 1U);
}

TEST_F(SealedModelFileTest, RangesOfAnotherModelAndMissingOnesAreRefused) {
  Seal({}, RangesOf(Bytes{1}));
  EXPECT_THAT(LoadError(), HasSubstr("those of another one"));
  Seal({});
  Policy("[{from: input, place: enclave, precision: int8}]");
  EXPECT_THAT(LoadError(), AllOf(HasSubstr("needs calibrated ranges"), HasSubstr("seal it with --ranges")));
  Seal({}, "nonsense: [");
  EXPECT_THAT(LoadError(), HasSubstr("sealed ranges"));
}

TEST_F(SealedModelFileTest, TheShapeOfADynamicInputIsStatedBesideTheSealedFile) {
  testing::OnnxBuilder builder;
  builder.Input("x", {-1, -1, -1, -1}).Weight("w", {2, 3, 3, 3}).Node("Conv", {"x", "w"}, {"y"}).Named("conv");
  const Bytes onnx = builder.Output("y").Build();
  SpanSource model(onnx);
  sealed_model::Terms terms;
  terms.queries_per_release = 4;
  SealContents(terms, {{PartKind::kModel, model}});
  EXPECT_THAT(LoadError(),
              AllOf(HasSubstr("enclave.yaml:3: model small: "), HasSubstr("dimensions 1, 2 and 3 are dynamic"),
                    HasSubstr("`input_shape: 3x224x224`")));
  config_.input_shape = Shape({3, 8, 8});
  const auto stated = Load();
  ASSERT_TRUE(stated.ok()) << stated.status();
  EXPECT_EQ(stated->model.graph.values[stated->model.graph.inputs.at(0)].shape, Shape({1, 3, 8, 8}));
  config_.input_shape.reset();
  config_.preprocessing = dir_.File("picture.yaml");
  ASSERT_TRUE(
      WriteFileAtomically(config_.preprocessing,
                          AsBytes("resize: 9\ncrop: 9\nchannels: rgb\nmean: [0, 0, 0]\nstd: [1, 1, 1]\nlayout: nchw\n"))
          .ok());
  const auto shown = Load();
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->model.graph.values[shown->model.graph.inputs.at(0)].shape, Shape({1, 3, 9, 9}));
}

TEST_F(SealedModelFileTest, ExternalDataIsReadFromTheSealedFileAndFromNowhereElse) {
  const auto external = testing::MoveWeightsOut(onnx_, "weights.bin");
  ASSERT_TRUE(WriteFileAtomically(dir_.File("weights.bin"), external.weights).ok());
  sealed_model::Terms terms;
  terms.queries_per_release = 4;
  SpanSource model(external.onnx);
  SpanSource weights(external.weights);
  SealContents(terms, {{PartKind::kModel, model}, {PartKind::kExternalData, weights, "weights.bin"}});
  const absl::StatusOr<ModelSource> loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const graph::Graph expected = graph::ImportOnnx(onnx_).value();
  ASSERT_EQ(loaded->model.graph.values.size(), expected.values.size());
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const auto& constant = loaded->model.graph.values[i].constant;
    ASSERT_EQ(constant != nullptr, expected.values[i].constant != nullptr);
    EXPECT_TRUE(constant == nullptr || std::equal(constant->bytes().begin(), constant->bytes().end(),
                                                  expected.values[i].constant->bytes().begin()));
  }
  SpanSource alone(external.onnx);
  SealContents(terms, {{PartKind::kModel, alone}});
  EXPECT_THAT(LoadError(), HasSubstr("a file that the model refers to is not sealed with it"));
  SpanSource again(external.onnx);
  SpanSource misnamed(external.weights);
  SealContents(terms, {{PartKind::kModel, again}, {PartKind::kExternalData, misnamed, "other.bin"}});
  EXPECT_THAT(LoadError(), HasSubstr("a file that the model refers to is not sealed with it"));
  SpanSource once_more(external.onnx);
  SpanSource shorter(ByteSpan(external.weights).first(external.weights.size() - 1));
  SealContents(terms, {{PartKind::kModel, once_more}, {PartKind::kExternalData, shorter, "weights.bin"}});
  EXPECT_THAT(LoadError(), HasSubstr("that the tensor claims"));
}

}  // namespace
}  // namespace shoji::enclave
