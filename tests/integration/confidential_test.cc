// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A sealed model from its owner's hands to a client's answer, with real processes, and all that must not work.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/reason.h"
#include "lib/channel/release.h"
#include "lib/crypto/random.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/open.h"
#include "tests/integration/sealed_fixture.h"
#include "tests/support/external_weights.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::Cluster;
using testing::ClusterOptions;
using testing::CommandResult;
using ::testing::ElementsAreArray;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointwise;
using testing::RawClient;

constexpr char kHeadInEnclave[] =
    "model: \"*\"\nsegments: [{from: input, place: open}, {from: fc, place: enclave, confidential: true}]\n";
constexpr char kAllInEnclave[] = "model: \"*\"\nsegments: [{from: input, place: enclave}]\n";
constexpr char kAllOpen[] = "model: \"*\"\nsegments: [{from: input, place: open}]\n";

class ConfidentialTest : public testing::SealedFixture {
 protected:
  std::string SealedDigest() const { return HexEncode(sealed_model::SealedFile::Open(sealed_file())->digest()); }
};

TEST_F(ConfidentialTest, IsServedOnceItsOwnerHasReleasedTheKey) {
  Seal({"--confidential-from", "fc", "--results", "scores", "--queries", "100"});
  Start(kHeadInEnclave);
  // The clear model is served meanwhile; the sealed one stands in the manifest as awaited.
  const auto clear = Classify(kClear);
  ASSERT_TRUE(clear.ok()) << clear.status();
  EXPECT_THAT(Classify(kSealed).status().ToString(), HasSubstr("awaits its owner's key"));

  const CommandResult released = Release();
  ASSERT_EQ(released.exit_code, 0) << released.err << cluster_->Logs();
  EXPECT_THAT(released.out, AllOf(HasSubstr("awaits its key"), HasSubstr("enclave, confidential"),
                                  HasSubstr(SealedDigest()), HasSubstr("100 for this release")))
      << released.out;
  EXPECT_THAT(released.err, HasSubstr("SIMULATED"));
  const auto scores = Classify(kSealed);
  ASSERT_TRUE(scores.ok()) << scores.status() << cluster_->Logs();
  EXPECT_THAT(*scores, Pointwise(FloatNear(1e-3F), *clear));
}

TEST_F(ConfidentialTest, AModelWithWeightsInOtherFilesIsSealedWithThemAndServed) {
  const std::string built_in = std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.onnx";
  const auto external = testing::MoveWeightsOut(*ReadFile(built_in, size_t{1} << 26), "weights.bin");
  ASSERT_TRUE(WriteFileAtomically(owner_.File("model.onnx"), external.onnx).ok());
  ASSERT_TRUE(WriteFileAtomically(owner_.File("weights.bin"), external.weights).ok());
  SealModel(owner_.File("model.onnx"), {"--confidential-from", "fc", "--results", "scores", "--queries", "100"});
  // The enclave's host has the sealed file and nothing else.
  ASSERT_EQ(std::remove(owner_.File("model.onnx").c_str()), 0);
  ASSERT_EQ(std::remove(owner_.File("weights.bin").c_str()), 0);
  Start(kHeadInEnclave);
  const CommandResult released = Release();
  ASSERT_EQ(released.exit_code, 0) << released.err << cluster_->Logs();
  const auto clear = Classify(kClear);
  ASSERT_TRUE(clear.ok()) << clear.status();
  const auto scores = Classify(kSealed);
  ASSERT_TRUE(scores.ok()) << scores.status() << cluster_->Logs();
  EXPECT_THAT(*scores, Pointwise(FloatNear(1e-3F), *clear));
}

TEST_F(ConfidentialTest, AnEnclaveWithNothingElseToServeWaitsForTheKey) {
  Seal({"--results", "scores", "--queries", "5"});
  ClusterOptions options;
  options.await_start = ClusterOptions::AwaitStart::kListening;
  Start(kAllInEnclave, std::move(options), Beside::kNothing);
  EXPECT_THAT(Classify(kSealed).status().ToString(), HasSubstr("awaits its owner's key"));
  const CommandResult verified =
      testing::RunCommand({testing::BinDir() + "/shoji", "verify", "--server", cluster_->address(), "--plaintext",
                           "--allow-simulated", "--simulated-key", cluster_->signer_public_key_file()});
  EXPECT_THAT(verified.out, AllOf(HasSubstr("awaits its owner's key"), HasSubstr(SealedDigest())));
  ASSERT_EQ(Release().exit_code, 0) << cluster_->Logs();
  EXPECT_TRUE(cluster_->WaitServing());
  EXPECT_TRUE(Classify(kSealed).ok());
}

TEST_F(ConfidentialTest, TheBudgetHoldsOverSessionsAndReloadsUntilTheNextRelease) {
  Seal({"--results", "scores", "--queries", "3"});
  Start(kAllInEnclave);
  ASSERT_EQ(Release().exit_code, 0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Classify(kSealed).ok()) << i;
  }
  ASSERT_TRUE(cluster_->Reload()) << "needs no new release: " << cluster_->Logs();
  EXPECT_TRUE(Classify(kSealed).ok());
  const absl::Status exhausted = Classify(kSealed).status();
  EXPECT_EQ(ReasonOf(exhausted), Reason::kBudgetExhausted) << exhausted;
  ASSERT_TRUE(cluster_->Reload());
  EXPECT_EQ(ReasonOf(Classify(kSealed).status()), Reason::kBudgetExhausted) << "a reload must not renew it";
  EXPECT_TRUE(Classify(kClear).ok()) << "other models have no budget";

  const CommandResult again = Release();
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("its budget is renewed"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Classify(kSealed).ok()) << i;
  }
  EXPECT_EQ(ReasonOf(Classify(kSealed).status()), Reason::kBudgetExhausted);
}

TEST_F(ConfidentialTest, ResultsLeaveRoundedWhereTheOwnerSaysSo) {
  Seal({"--results", "rounded:1", "--queries", "10"});
  Start(kAllInEnclave);
  ASSERT_EQ(Release().exit_code, 0);
  const auto clear = Classify(kClear);
  const auto scores = Classify(kSealed);
  ASSERT_TRUE(scores.ok()) << scores.status();
  std::vector<float> rounded;
  for (const float score : *clear) {
    rounded.push_back(static_cast<float>(std::nearbyint(static_cast<double>(score) * 10) / 10));
  }
  EXPECT_THAT(*scores, ElementsAreArray(rounded));
  EXPECT_THAT(*clear, Not(ElementsAreArray(rounded)));
}

TEST_F(ConfidentialTest, OnlyTheLargestResultsLeaveWhereTheOwnerSaysSo) {
  Seal({"--results", "top-k:2", "--queries", "10"});
  Start(kAllInEnclave);
  ASSERT_EQ(Release().exit_code, 0);
  const auto clear = Classify(kClear);
  const auto scores = Classify(kSealed);
  ASSERT_TRUE(scores.ok()) << scores.status();
  std::vector<float> sorted = *clear;
  std::sort(sorted.rbegin(), sorted.rend());
  const float rest = sorted[1] > 0 ? 0 : std::numeric_limits<float>::lowest();
  for (size_t i = 0; i < clear->size(); ++i) {
    EXPECT_EQ((*scores)[i], (*clear)[i] >= sorted[1] ? (*clear)[i] : rest) << i;
  }
}

TEST_F(ConfidentialTest, AReloadUnderAPolicyThatMovesConfidentialNodesOutIsRefused) {
  Seal({"--confidential-from", "block4_conv2", "--results", "scores", "--queries", "10"});
  Start("model: \"*\"\nsegments: [{from: input, place: open}, {from: block4_conv1, place: enclave}]\n");
  ASSERT_EQ(Release().exit_code, 0) << cluster_->Logs();
  ASSERT_TRUE(Classify(kSealed).ok());
  cluster_->WritePolicy(kSealed, kHeadInEnclave);
  EXPECT_FALSE(cluster_->Reload());
  EXPECT_THAT(cluster_->Logs(), HasSubstr("keeps `block4_conv2` confidential"));
  EXPECT_TRUE(Classify(kSealed).ok()) << "the old state stays in force";
}

TEST_F(ConfidentialTest, AReleaseUnderAPolicyThatMovesConfidentialNodesOutIsRefusedAndCorrectable) {
  Seal({"--confidential-from", "block4_conv2", "--results", "scores", "--queries", "10"});
  Start(kHeadInEnclave);
  const CommandResult refused = Release();
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("cannot be served as the enclave's operator wants it"));
  EXPECT_THAT(cluster_->Logs(), AllOf(HasSubstr("model_refused"), HasSubstr("keeps `block4_conv2` confidential"),
                                      HasSubstr("it may only be in the enclave")));
  EXPECT_FALSE(Classify(kSealed).ok());
  EXPECT_TRUE(Classify(kClear).ok());
  cluster_->WritePolicy(kSealed, kAllInEnclave);
  ASSERT_TRUE(cluster_->Reload());
  ASSERT_EQ(Release().exit_code, 0) << cluster_->Logs();
  EXPECT_TRUE(Classify(kSealed).ok());
}

TEST_F(ConfidentialTest, AnEnclaveDoesNotStartUnderAPolicyThatCannotFit) {
  Seal({"--results", "scores", "--queries", "10"});
  Start(kAllInEnclave);
  cluster_->WritePolicy(kSealed, kAllOpen);
  EXPECT_FALSE(cluster_->Reload());
  EXPECT_THAT(cluster_->Logs(),
              AllOf(HasSubstr("its owner keeps the whole model confidential"), HasSubstr("is `open`")));
  const CommandResult check = testing::RunCommand(
      {testing::BinDir() + "/shoji-enclave", "--check-config", "--config", cluster_->dir().File("enclave0.yaml")});
  EXPECT_EQ(check.exit_code, 2);
  EXPECT_THAT(check.err, HasSubstr("it may only be in the enclave"));
}

TEST_F(ConfidentialTest, ResultsThatAreToBeLimitedMustNotReachAnAccelerator) {
  Seal({"--confidential", "stem_conv", "--results", "top-k:1", "--queries", "10"});
  Start("model: \"*\"\nsegments: [{from: input, place: enclave}, {from: block1_conv1, place: open}]\n");
  EXPECT_EQ(Release().exit_code, 1);
  EXPECT_THAT(cluster_->Logs(), HasSubstr("shows the result itself to an accelerator"));
}

TEST_F(ConfidentialTest, NorMayWhatAConfidentialNodeDecides) {
  Seal({"--confidential", "stem_conv", "--results", "top-k:1", "--queries", "10"});
  Start(
      "model: \"*\"\nsegments: [{from: input, place: enclave}, {from: block1_conv1, place: open}, {from: fc, place: "
      "enclave}]\n");
  EXPECT_EQ(Release().exit_code, 1);
  EXPECT_THAT(cluster_->Logs(), HasSubstr("which the confidential node `stem_conv` decides"));
}

TEST_F(ConfidentialTest, TheKeyIsGoneWithTheProcess) {
  Seal({"--results", "scores", "--queries", "10"});
  Start(kAllInEnclave);
  ASSERT_EQ(Release().exit_code, 0);
  ASSERT_TRUE(Classify(kSealed).ok());
  cluster_->StartEnclave();
  ASSERT_TRUE(cluster_->WaitServing());
  EXPECT_THAT(Classify(kSealed).status().ToString(), HasSubstr("awaits its owner's key"));
}

TEST_F(ConfidentialTest, AsManyEnclavesGetTheKeyAsItsOwnerSays) {
  Seal({"--results", "scores", "--queries", "10"});
  ClusterOptions options;
  options.num_enclaves = 2;
  Start(kAllInEnclave, std::move(options));
  ASSERT_TRUE(testing::WaitFor([&] {
    const std::string log = cluster_->server().Log();
    return log.find("enclave_connected enclave=enclave0") != std::string::npos &&
           log.find("enclave_connected enclave=enclave1") != std::string::npos;
  })) << cluster_->Logs();
  const auto num_released = [&] {
    size_t count = 0;
    for (size_t i = 0; i < 2; ++i) {
      count += cluster_->enclave(i).Log().find("key_released") != std::string::npos ? 1U : 0U;
    }
    return count;
  };
  const CommandResult one = Release();
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(num_released(), 1U) << "each would allow all the queries again";
  EXPECT_THAT(one.out, HasSubstr("NOTE: another enclave awaits the key; --enclaves 2"));
  const CommandResult more = Release({"--enclaves", "5"});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  EXPECT_EQ(num_released(), 2U) << more.out;
  EXPECT_THAT(more.out, Not(HasSubstr("NOTE")));
  EXPECT_EQ(Release({"--enclaves", "0"}).exit_code, 2);
}

TEST_F(ConfidentialTest, NothingIsReleasedToSimulatedEvidenceUnlessTheOwnerAllowsIt) {
  Seal({"--results", "scores", "--queries", "10"});
  Start(kAllInEnclave);
  const CommandResult refused = ReleaseWith(sealed_file(), key_file(), {});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("only simulated"));
  // Another operator's evidence is refused as well.
  const std::string other = owner_.File("other.pem");
  ASSERT_EQ(
      testing::RunCommand({"/bin/sh", "-c", "openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out " + other})
          .exit_code,
      0);
  EXPECT_EQ(ReleaseWith(sealed_file(), key_file(), {"--allow-simulated", "--simulated-key", other}).exit_code, 3);
  EXPECT_THAT(cluster_->Logs(), Not(HasSubstr("release session")));
}

TEST_F(ConfidentialTest, AKeyOfAnotherModelIsRefusedByTheOwnersTool) {
  Seal({"--results", "scores", "--queries", "10"});
  Start(kAllInEnclave);
  ASSERT_TRUE(sealed_model::MakeKeyFile(owner_.File("other.key")).ok());
  const CommandResult wrong = ReleaseWith(sealed_file(), owner_.File("other.key"), AcceptSimulated());
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("wrong key: it was sealed with key"));
}

TEST_F(ConfidentialTest, AFileThatWasTamperedWithIsRefusedByEither) {
  Seal({"--results", "scores", "--queries", "10"});
  const Bytes whole = *ReadFile(sealed_file(), size_t{1} << 26);
  const std::string mine = owner_.File("mine.sealed");
  ASSERT_TRUE(WriteFileAtomically(mine, whole).ok());
  Bytes changed = whole;
  changed[changed.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(sealed_file(), changed).ok());
  Start(kAllInEnclave);
  const CommandResult other_file = ReleaseWith(mine, key_file(), AcceptSimulated());
  EXPECT_EQ(other_file.exit_code, 1) << "the enclave's file is not the owner's";
  EXPECT_THAT(other_file.err, HasSubstr("the enclave has no such sealed model"));
  const CommandResult same_file = Release();
  EXPECT_EQ(same_file.exit_code, 1);
  EXPECT_THAT(same_file.err, HasSubstr("was altered"));

  Bytes cut(whole.begin(), whole.end() - 100);
  ASSERT_TRUE(WriteFileAtomically(sealed_file(), cut).ok());
  EXPECT_FALSE(cluster_->Reload());
  EXPECT_THAT(cluster_->Logs(), HasSubstr("is truncated"));
}

// Sends releases by hand.
class ReleaseMessageTest : public ConfidentialTest {
 protected:
  void SetUp() override {
    Seal({"--results", "scores", "--queries", "10"});
    ClusterOptions options;
    options.num_enclaves = 2;
    Start(kAllInEnclave, std::move(options));
    client_ = std::make_unique<RawClient>(cluster_->address());
    const auto owner_key = sealed_model::ReadKeyFile(key_file());
    const auto file = sealed_model::SealedFile::Open(sealed_file());
    ASSERT_TRUE(owner_key.ok() && file.ok());
    release_.file_key = crypto::SecretBytes::CopyOf(file->KeyFrom(*owner_key)->Expose());
    release_.sealed_digest = file->digest();
    crypto::FillRandom(release_.nonce);
    Attest();
  }
  void Attest() {
    ASSERT_TRUE(client_->Attest(kSealed).ok());
    release_.manifest_digest = client_->initiator().manifest_digest();
  }

  channel::SealedRequest Sealed(channel::Purpose purpose = channel::Purpose::kRelease) {
    auto sealed = client_->initiator().Seal(kSealed, channel::BuildRelease(release_).Expose(), purpose);
    EXPECT_TRUE(sealed.ok());
    return *std::move(sealed);
  }
  // What comes of sending it: the unsealed error, or what the sealed answer says.
  absl::Status Outcome(const channel::SealedRequest& request) {
    const auto answer = client_->Send(request);
    if (!answer.ok()) {
      return answer.status();
    }
    const auto plaintext = client_->Open(request, *answer);
    EXPECT_TRUE(plaintext.ok());
    const auto view = channel::ParseAnswer(plaintext->Expose(), channel::kReleaseAnswerBodySize);
    EXPECT_TRUE(view.ok());
    return view->status;
  }

  std::unique_ptr<RawClient> client_;
  channel::KeyRelease release_;
};

TEST_F(ReleaseMessageTest, AReplayedReleaseIsRefusedByTheSameEnclaveAndByAnother) {
  const channel::SealedRequest request = Sealed();
  ASSERT_TRUE(Outcome(request).ok());
  EXPECT_EQ(ReasonOf(Outcome(request)), Reason::kStaleManifest) << "its session died with the manifest it was made for";
  RawClient other(cluster_->address());
  for (int i = 0; i < 4; ++i) {  // both enclaves, in turn
    ASSERT_TRUE(other.Attest(kClear).ok());
    channel::SealedRequest elsewhere = request;
    elsewhere.key_id = other.initiator().key_id();
    EXPECT_EQ(ReasonOf(Outcome(elsewhere)), Reason::kUnknownSession);
    elsewhere.session_id = other.initiator().session_id();
    EXPECT_EQ(ReasonOf(Outcome(elsewhere)), Reason::kOpenFailed) << "it is bound to its session and key";
  }
}

TEST_F(ReleaseMessageTest, ARenewalCannotBeReplayed) {
  ASSERT_TRUE(Outcome(Sealed()).ok());
  Attest();
  crypto::FillRandom(release_.nonce);
  const channel::SealedRequest renewal = Sealed();
  EXPECT_TRUE(Outcome(renewal).ok());
  EXPECT_EQ(ReasonOf(Outcome(renewal)), Reason::kReplayed);
  EXPECT_EQ(ReasonOf(Outcome(Sealed())), Reason::kReplayed) << "the same nonce in another message";
}

TEST_F(ReleaseMessageTest, AReleaseForAnotherManifestFileOrUnderAnotherKeyIsRefused) {
  release_.manifest_digest[0] ^= 1;
  EXPECT_EQ(ReasonOf(Outcome(Sealed())), Reason::kBadInput);
  release_.manifest_digest[0] ^= 1;
  release_.sealed_digest[0] ^= 1;
  EXPECT_EQ(ReasonOf(Outcome(Sealed())), Reason::kUnknownSealedModel);
  release_.sealed_digest[0] ^= 1;
  release_.file_key.ExposeMutable()[0] ^= 1;
  EXPECT_EQ(ReasonOf(Outcome(Sealed())), Reason::kWrongModelKey);
  release_.file_key.ExposeMutable()[0] ^= 1;
  EXPECT_TRUE(Outcome(Sealed()).ok()) << "none of that stops the right one";
}

TEST_F(ReleaseMessageTest, ARequestDoesNotPassForAReleaseNorAReleaseForARequest) {
  channel::SealedRequest inference = Sealed(channel::Purpose::kInference);
  inference.purpose = channel::Purpose::kRelease;
  EXPECT_EQ(ReasonOf(Outcome(inference)), Reason::kOpenFailed);
  channel::SealedRequest release = Sealed();
  release.purpose = channel::Purpose::kInference;
  EXPECT_EQ(ReasonOf(Outcome(release)), Reason::kOpenFailed);
}

TEST_F(ReleaseMessageTest, MalformedReleasesStopNobody) {
  for (const size_t size :
       {size_t{0}, size_t{4}, channel::kReleaseSize - 1, channel::kReleaseSize + 1, size_t{100000}}) {
    auto sealed = client_->initiator().Seal(kSealed, Bytes(size, 1), channel::Purpose::kRelease);
    ASSERT_TRUE(sealed.ok());
    EXPECT_EQ(ReasonOf(Outcome(*sealed)), Reason::kBadInput) << size;
  }
  EXPECT_TRUE(Classify(kClear).ok());
  EXPECT_TRUE(Outcome(Sealed()).ok());
}

}  // namespace
}  // namespace shoji
