// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs the real shoji-model binary: seal and inspect.

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "lib/graph/model_file.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/layout.h"
#include "lib/sealed_model/open.h"
#include "tests/support/external_weights.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::tools {
namespace {

using sealed_model::ConfidentialNodes;
using sealed_model::PartKind;
using shoji::testing::CommandResult;
using shoji::testing::RunCommand;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SealCommandTest : public ::testing::Test {
 protected:
  SealCommandTest() { EXPECT_TRUE(WriteFileAtomically(model_, shoji::testing::SmallResNet()).ok()); }

  CommandResult Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), SHOJI_MODEL_BINARY);
    return RunCommand(arguments);
  }
  // Seals with a new key, into sealed_; `more` replaces nothing.
  CommandResult Seal(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"seal", "--model", model_, "--out", sealed_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  CommandResult SealNodes(std::vector<std::string> more) const {
    more.insert(more.end(), {"--new-key", dir_.File(std::to_string(++num_keys_) + ".key"), "--results", "scores",
                             "--queries", "10"});
    return Seal(more);
  }
  sealed_model::Header Header() const { return sealed_model::SealedFile::Open(sealed_)->header(); }
  void WriteRanges(const std::string& path, const Bytes& of) const {
    const std::string text =
        "model: " + HexEncode(digest::Sha256(of)) + "\nmethod: mse\nimages: 1\nranges:\n  \"logits\": [0, 1]\n";
    ASSERT_TRUE(WriteFileAtomically(path, AsBytes(text)).ok());
  }

  const shoji::testing::TempDir dir_;
  const std::string model_ = dir_.File("small.onnx");
  const std::string key_ = dir_.File("owner.key");
  const std::string sealed_ = dir_.File("small.sealed");
  mutable int num_keys_ = 0;
};

TEST_F(SealCommandTest, SealsTheWholeModelByDefaultAndSaysHow) {
  const CommandResult result = Seal({"--new-key", key_, "--results", "top-k:5", "--queries", "1000"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("confidential  the whole model"), HasSubstr("results       top-k:5"),
                                HasSubstr("queries       1000"), HasSubstr("label         small")));
  const auto file = sealed_model::SealedFile::Open(sealed_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(result.out, HasSubstr(HexEncode(file->digest())));
  const auto key = file->KeyFrom(*sealed_model::ReadKeyFile(key_));
  ASSERT_TRUE(key.ok()) << key.status();
  const auto reader = sealed_model::PlaintextReader::Create(*sealed_model::SealedFile::Open(sealed_), *key);
  Bytes plaintext((*reader)->size());
  ASSERT_TRUE((*reader)->Read(plaintext).ok());
  EXPECT_TRUE(plaintext == shoji::testing::SmallResNet());
}

TEST_F(SealCommandTest, AModelOfAnyInputShapeIsSealed) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("x", {-1, 3, -1, -1}).Node("Relu", {"x"}, {"y"}).Output("y");
  ASSERT_TRUE(WriteFileAtomically(model_, builder.Build()).ok());
  EXPECT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "5"}).exit_code, 0);
}

TEST_F(SealCommandTest, ASealedModelIsNoModelToPlanOrToCutAndIsCalledWhatItIs) {
  ASSERT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "5"}).exit_code, 0);
  const std::string policy = dir_.File("policy.yaml");
  ASSERT_TRUE(WriteFileAtomically(policy, AsBytes("model: small\nsegments: [{from: input, place: enclave}]\n")).ok());
  for (const CommandResult& result :
       {Run({"plan", "--policy", policy, "--model", sealed_}),
        Run({"cut", "--policy", policy, "--model", sealed_, "--out", dir_.File("parts")})}) {
    EXPECT_NE(result.exit_code, 0);
    EXPECT_THAT(result.err, HasSubstr("this is a sealed model"));
  }
}

TEST_F(SealCommandTest, AKeyThatWasMadeBeforeSealsAgain) {
  ASSERT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "1"}).exit_code, 0);
  const CommandResult again = Seal({"--key", key_, "--results", "scores", "--queries", "2"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(Header().terms.queries_per_release, 2U);
  const CommandResult overwritten = Seal({"--new-key", key_, "--results", "scores", "--queries", "1"});
  EXPECT_EQ(overwritten.exit_code, 1);
  EXPECT_THAT(overwritten.err, HasSubstr("never overwritten"));
}

TEST_F(SealCommandTest, NodesAreChosenInEveryWay) {
  using Extent = ConfidentialNodes::Extent;
  ASSERT_EQ(SealNodes({"--confidential-from", "pool"}).exit_code, 0);
  EXPECT_EQ(Header().terms.confidential, (ConfidentialNodes{Extent::kFrom, {"pool"}}));
  ASSERT_EQ(SealNodes({"--confidential-after", "pool"}).exit_code, 0);
  EXPECT_EQ(Header().terms.confidential, (ConfidentialNodes{Extent::kAfter, {"pool"}}));
  ASSERT_EQ(SealNodes({"--confidential", "stem_conv", "fc"}).exit_code, 0);
  EXPECT_EQ(Header().terms.confidential, (ConfidentialNodes{Extent::kListed, {"stem_conv", "fc"}}));
  ASSERT_EQ(SealNodes({"--layers", "1"}).exit_code, 0);
  EXPECT_EQ(Header().terms.confidential, (ConfidentialNodes{Extent::kFrom, {"fc"}}));
  ASSERT_EQ(SealNodes({"--layers", "3"}).exit_code, 0);
  EXPECT_EQ(Header().terms.confidential, (ConfidentialNodes{Extent::kFrom, {"block1_conv1"}}));
}

TEST_F(SealCommandTest, NodesThatDoNotExistAreRefusedWithNearNames) {
  const CommandResult result = SealNodes({"--confidential-from", "block1_conv"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("no node `block1_conv`"), HasSubstr("block1_conv1")));
  EXPECT_THAT(SealNodes({"--layers", "9"}).err, HasSubstr("the model has 4 layers with weights"));
  EXPECT_THAT(SealNodes({"--confidential-after", "fc"}).err, HasSubstr("nothing would be confidential"));
  EXPECT_EQ(SealNodes({"--layers", "1", "--confidential-from", "fc"}).exit_code, 2) << "one way at a time";
}

TEST_F(SealCommandTest, ABudgetAResultFormAndAKeyMustBeGiven) {
  EXPECT_EQ(Seal({"--new-key", key_, "--results", "scores"}).exit_code, 2);
  EXPECT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "0"}).exit_code, 2);
  EXPECT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "-1"}).exit_code, 2);
  EXPECT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "9223372036854775808"}).exit_code, 2);
  EXPECT_EQ(Seal({"--new-key", key_, "--queries", "1"}).exit_code, 2);
  EXPECT_EQ(Seal({"--results", "scores", "--queries", "1"}).exit_code, 2);
  EXPECT_THAT(Seal({"--new-key", key_, "--results", "logits", "--queries", "1"}).err, HasSubstr("top-k:K"));
  EXPECT_FALSE(std::ifstream(sealed_).good());
  EXPECT_FALSE(std::ifstream(key_).good()) << "no key is left behind";
}

TEST_F(SealCommandTest, ANewKeyIsNotLeftBehindWhereNothingWasSealed) {
  const std::string folder = dir_.File("not_there") + "/small.sealed";
  const CommandResult result =
      Run({"seal", "--model", model_, "--out", folder, "--new-key", key_, "--results", "scores", "--queries", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("not_there"));
  EXPECT_FALSE(std::ifstream(key_).good());
  // And so the same command works once its mistake is put right.
  EXPECT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "1"}).exit_code, 0);
}

TEST_F(SealCommandTest, AKeyThatWasThereStaysWhereNothingWasSealed) {
  ASSERT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "1"}).exit_code, 0);
  for (const std::string option : {"--key", "--new-key"}) {
    const CommandResult result = Run({"seal", "--model", model_, "--out", dir_.File("not_there") + "/small.sealed",
                                      option, key_, "--results", "scores", "--queries", "1"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(sealed_model::ReadKeyFile(key_).ok());
  }
}

TEST_F(SealCommandTest, TheKeyIsNotOverwrittenByWhatItSeals) {
  const CommandResult made = Run({"seal", "--model", model_, "--out", key_, "--new-key", dir_.File("") + "./owner.key",
                                  "--results", "scores", "--queries", "1"});
  EXPECT_THAT(made.err, HasSubstr("--out is the owner's key"));
  EXPECT_FALSE(std::ifstream(key_).good());
  ASSERT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "1"}).exit_code, 0);
  const CommandResult read =
      Run({"seal", "--model", model_, "--out", key_, "--key", key_, "--results", "scores", "--queries", "1"});
  EXPECT_THAT(read.err, HasSubstr("--out is the owner's key"));
  EXPECT_TRUE(sealed_model::ReadKeyFile(key_).ok());
}

TEST_F(SealCommandTest, AKeyThatOthersMayReadIsRefused) {
  ASSERT_EQ(Seal({"--new-key", key_, "--results", "scores", "--queries", "1"}).exit_code, 0);
  ASSERT_EQ(::chmod(key_.c_str(), 0644), 0);
  EXPECT_THAT(Seal({"--key", key_, "--results", "scores", "--queries", "1"}).err, HasSubstr("chmod 600"));
}

TEST_F(SealCommandTest, WhatIsNoModelIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(model_, AsBytes("no model at all, but some text")).ok());
  EXPECT_THAT(SealNodes({}).err, HasSubstr("is no ONNX model"));
  ASSERT_TRUE(WriteFileAtomically(model_, {}).ok());
  EXPECT_THAT(SealNodes({}).err, HasSubstr("is no ONNX model"));
}

TEST_F(SealCommandTest, TheModelIsNotOverwritten) {
  std::vector<std::string> arguments = {"seal", "--model",   model_,   "--out",     model_, "--new-key",
                                        key_,   "--results", "scores", "--queries", "1"};
  EXPECT_THAT(Run(arguments).err, HasSubstr("--out is the model itself"));
  EXPECT_TRUE(*ReadFile(model_, size_t{1} << 20) == shoji::testing::SmallResNet());
}

TEST_F(SealCommandTest, RangesBesideTheModelAreSealedWithIt) {
  WriteRanges(dir_.File("small.ranges.yaml"), shoji::testing::SmallResNet());
  ASSERT_EQ(SealNodes({}).exit_code, 0);
  ASSERT_EQ(Header().parts.size(), 2U);
  EXPECT_EQ(Header().parts[0].kind, PartKind::kRanges);
  EXPECT_EQ(Header().parts[1].kind, PartKind::kModel);
}

TEST_F(SealCommandTest, RangesOfAnotherModelAreRefused) {
  const std::string ranges = dir_.File("other.ranges.yaml");
  WriteRanges(ranges, Bytes{1});
  EXPECT_THAT(SealNodes({"--ranges", ranges}).err, HasSubstr("the ranges are of another model"));
}

TEST_F(SealCommandTest, InspectTellsWhetherAFileIsWhole) {
  ASSERT_EQ(Seal({"--new-key", key_, "--results", "rounded:2", "--queries", "7"}).exit_code, 0);
  EXPECT_THAT(Run({"inspect", sealed_}).out, AllOf(HasSubstr("rounded:2"), HasSubstr("not authenticated")));
  EXPECT_THAT(Run({"inspect", sealed_, "--key", key_}).out, HasSubstr("whole: header and contents"));
  ASSERT_TRUE(sealed_model::MakeKeyFile(dir_.File("other.key")).ok());
  const CommandResult wrong = Run({"inspect", sealed_, "--key", dir_.File("other.key")});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("wrong key"));
  Bytes file = *ReadFile(sealed_, size_t{1} << 26);
  file.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomically(sealed_, file).ok());
  EXPECT_THAT(Run({"inspect", sealed_, "--key", key_}).err, HasSubstr("chunk 1 of 1 was altered"));
  file.pop_back();
  ASSERT_TRUE(WriteFileAtomically(sealed_, file).ok());
  EXPECT_THAT(Run({"inspect", sealed_}).err, HasSubstr("is truncated"));
  EXPECT_THAT(Run({"inspect", model_}).err, HasSubstr("is not a sealed model"));
}

class SealExternalTest : public SealCommandTest {
 protected:
  SealExternalTest() { Write("weights.bin"); }

  // The small network with its weights in the file `name`, and that file.
  void Write(const std::string& name) const {
    const auto model = shoji::testing::MoveWeightsOut(shoji::testing::SmallResNet(), name);
    EXPECT_TRUE(WriteFileAtomically(model_, model.onnx).ok());
    EXPECT_TRUE(WriteFileAtomically(weights_, model.weights).ok());
  }
  const std::string weights_ = dir_.File("weights.bin");
};

TEST_F(SealExternalTest, ExternalDataIsSealedWithTheModel) {
  const CommandResult result = Seal({"--new-key", key_, "--results", "scores", "--queries", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("bytes, weights.bin"));
  ASSERT_EQ(Header().parts.size(), 2U);
  EXPECT_EQ(Header().parts[1].kind, PartKind::kExternalData);
  const auto key = sealed_model::SealedFile::Open(sealed_)->KeyFrom(*sealed_model::ReadKeyFile(key_));
  const auto reader = sealed_model::PlaintextReader::Create(*sealed_model::SealedFile::Open(sealed_), *key);
  Bytes plaintext((*reader)->size());
  ASSERT_TRUE((*reader)->Read(plaintext).ok());
  Bytes expected = *ReadFile(model_, size_t{1} << 20);
  Append(expected, *ReadFile(weights_, size_t{1} << 20));
  EXPECT_TRUE(plaintext == expected);
}

TEST_F(SealExternalTest, ItsRangesAreKnownByTheDigestOfAllItsFiles) {
  const std::string ranges = dir_.File("small.ranges.yaml");
  const auto model = graph::ImportModelFile(model_);
  ASSERT_TRUE(model.ok()) << model.status();
  const std::string text =
      "model: " + HexEncode(model->digest) + "\nmethod: mse\nimages: 1\nranges:\n  \"logits\": [0, 1]\n";
  ASSERT_TRUE(WriteFileAtomically(ranges, AsBytes(text)).ok());
  const CommandResult sealed = SealNodes({});
  ASSERT_EQ(sealed.exit_code, 0) << sealed.err;
  EXPECT_EQ(Header().parts.size(), 3U);
  Bytes weights = *ReadFile(weights_, size_t{1} << 20);
  weights.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomically(weights_, weights).ok());
  EXPECT_THAT(SealNodes({}).err, HasSubstr("the ranges are of another model"));
  weights.pop_back();
  ASSERT_TRUE(WriteFileAtomically(weights_, weights).ok());
  EXPECT_THAT(SealNodes({}).err, HasSubstr("is shorter than a tensor in it"));
}

TEST_F(SealExternalTest, FilesThatAnUnsealedModelMayNotNameAreNotSealedEither) {
  ASSERT_EQ(::symlink(weights_.c_str(), dir_.File("link.bin").c_str()), 0);
  Write("link.bin");
  EXPECT_THAT(SealNodes({}).err, HasSubstr("is a symbolic link"));
  for (const std::string& name : {std::string("../weights.bin"), weights_}) {
    Write(name);
    EXPECT_THAT(SealNodes({}).err, HasSubstr("external data: '" + name + "'"));
  }
  Write("absent.bin");
  EXPECT_THAT(SealNodes({}).err, AllOf(HasSubstr("cannot open"), HasSubstr("absent.bin")));
  EXPECT_FALSE(std::ifstream(sealed_).good());
}

TEST_F(SealExternalTest, TheModelsOtherFilesAreNotOverwritten) {
  const std::vector<std::string> arguments = {"seal", "--model",   model_,   "--out",     weights_, "--new-key",
                                              key_,   "--results", "scores", "--queries", "1"};
  EXPECT_THAT(Run(arguments).err, HasSubstr("--out is a file in which the model keeps tensors"));
}

}  // namespace
}  // namespace shoji::tools
