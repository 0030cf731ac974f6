// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Evidence end to end, against real processes behind a front end that lies about it: whatever it shows, the client
// names the step that failed and sends nothing.
#include <sys/stat.h>

#include <chrono>
#include <future>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/cluster.h"
#include "tests/support/genuine_evidence.h"
#include "tests/support/lying_front_end.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::Cluster;
using testing::CommandResult;
using testing::GenuineEvidence;
using ::testing::HasSubstr;
using testing::LyingFrontEnd;
using testing::RunCommand;

v1::EvidenceKind ProtoKind(attest::EvidenceKind kind) { return static_cast<v1::EvidenceKind>(kind); }

std::unique_ptr<Cluster> StartCluster() {
  testing::ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy("enclave-only"))};
  auto cluster = Cluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

class AttestationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartCluster();
    ASSERT_NE(cluster_, nullptr);
    auto front_end = LyingFrontEnd::Start(address_, cluster_->address());
    ASSERT_TRUE(front_end.ok()) << front_end.status();
    front_end_ = *std::move(front_end);
  }
  std::string Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(files_.File(name), AsBytes(text)).ok());
    return files_.File(name);
  }
  std::vector<std::string> Simulated() const {
    return {"--allow-simulated", "--simulated-key", cluster_->signer_public_key_file()};
  }
  static CommandResult Shoji(std::vector<std::string> arguments, const std::vector<std::string>& more) {
    arguments.insert(arguments.begin(), testing::BinDir() + "/shoji");
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(arguments);
  }
  CommandResult Verify(const std::vector<std::string>& accepting) const {
    return Shoji({"verify", "--server", address_, "--explain"}, accepting);
  }
  CommandResult Infer(const std::vector<std::string>& accepting) const {
    return Shoji({"infer", std::string(SHOJI_SOURCE_DIR) + "/models/photos/cat.png", "--server", address_}, accepting);
  }
  // Both commands refuse at `step` and send nothing.
  void ExpectRefused(const std::vector<std::string>& accepting, int verify_code, const std::string& step) {
    const int before = front_end_->num_evidence();
    const CommandResult verify = Verify(accepting);
    EXPECT_EQ(verify.exit_code, verify_code) << verify.out << verify.err;
    EXPECT_THAT(verify.out, AllOf(HasSubstr("REFUSED"), HasSubstr("the first step that failed: " + step)));
    const CommandResult infer = Infer(accepting);
    EXPECT_EQ(infer.exit_code, 3) << infer.out << infer.err;
    EXPECT_THAT(infer.err, HasSubstr("refused at step '" + step + "'"));
    EXPECT_EQ(front_end_->num_evidence(), before + 2);
    EXPECT_EQ(front_end_->num_sent(), 0);
  }
  void ExpectHonestFrontEndIsAccepted() {
    front_end_->Tell(nullptr);
    const CommandResult infer = Infer(Simulated());
    EXPECT_EQ(infer.exit_code, 0) << infer.err;
    EXPECT_EQ(front_end_->num_sent(), 2);
  }

  const testing::TempDir files_;
  const std::string address_ = "unix:" + files_.File("front_end.sock");
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<LyingFrontEnd> front_end_;
};

TEST_F(AttestationTest, ARecordedGenuineReportIsRefusedBecauseTheKeyIsNotBoundToIt) {
  const GenuineEvidence genuine = testing::GenuineSnp();
  const Bytes report = genuine.Read().data;
  front_end_->Tell([&](const v1::GetEvidenceRequest&, v1::GetEvidenceResponse& response) {
    response.mutable_evidence()->set_kind(v1::SEV_SNP);
    response.mutable_evidence()->set_data(ToString(report));
  });
  const std::vector<std::string> policy = {"--policy", Write("policy.yaml", genuine.policy)};
  ExpectRefused(policy, 7, "report data");
  // The report itself is beyond reproach: every other step passes.
  auto json = nlohmann::json::parse(Verify({policy[0], policy[1], "--output", "json"}).out);
  for (const auto& step : json["steps"]) {
    EXPECT_EQ(step["passed"].get<bool>(), step["name"] != "report data") << step;
  }
  ExpectRefused({}, 3, "evidence kind");
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, RecordedGenuineQuotesOfEveryKindAreRefusedWhateverKindTheyAreCalled) {
  for (const GenuineEvidence& genuine : {testing::GenuineSgx(), testing::GenuineTdx(), testing::GenuineSnp()}) {
    const Bytes quote = genuine.Read().data;
    const std::string policy = Write("policy.yaml", genuine.policy);
    for (const v1::EvidenceKind kind : {v1::SIMULATED, v1::SGX, v1::TDX, v1::SEV_SNP}) {
      front_end_->Tell([&](const v1::GetEvidenceRequest&, v1::GetEvidenceResponse& response) {
        response.mutable_evidence()->set_kind(kind);
        response.mutable_evidence()->set_data(ToString(quote));
      });
      std::vector<std::string> accepting = Simulated();
      accepting.insert(accepting.end(), {"--policy", policy});
      const CommandResult result = Infer(accepting);
      EXPECT_EQ(result.exit_code, 3) << attest::NameOf(genuine.kind) << " as " << kind << result.out << result.err;
      EXPECT_THAT(result.err, HasSubstr("attestation refused at step"));
    }
  }
  EXPECT_EQ(front_end_->num_sent(), 0);
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, SimulatedEvidenceRelabelledAsRealIsRefused) {
  for (const GenuineEvidence& genuine : {testing::GenuineSgx(), testing::GenuineTdx(), testing::GenuineSnp()}) {
    front_end_->Tell([&](const v1::GetEvidenceRequest&, v1::GetEvidenceResponse& response) {
      response.mutable_evidence()->set_kind(ProtoKind(genuine.kind));
    });
    std::vector<std::string> accepting = Simulated();
    ExpectRefused(accepting, 3, "evidence kind");
    accepting.insert(accepting.end(), {"--policy", Write("policy.yaml", genuine.policy)});
    ExpectRefused(accepting, 4, "structure");
  }
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, EvidenceOfAnotherSessionIsRefused) {
  v1::GetEvidenceResponse first;
  front_end_->Tell([&](const v1::GetEvidenceRequest&, v1::GetEvidenceResponse& response) {
    if (first.manifest().empty()) {
      first = response;
    }
    response = first;
  });
  EXPECT_EQ(Verify(Simulated()).exit_code, 0);  // for whom it was made
  ExpectRefused(Simulated(), 7, "report data");
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, TheManifestOfAnotherEnclaveIsRefused) {
  const std::unique_ptr<Cluster> other = StartCluster();
  ASSERT_NE(other, nullptr);
  testing::RawClient client(other->address());
  front_end_->Tell([&](const v1::GetEvidenceRequest& request, v1::GetEvidenceResponse& response) {
    const auto theirs = client.GetEvidence(AsBytes(request.nonce()));
    ASSERT_TRUE(theirs.ok());
    response.set_manifest(theirs->manifest());
  });
  ExpectRefused(Simulated(), 7, "report data");
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, APathThatDoesNotLeadToTheEvidenceIsRefused) {
  front_end_->Tell([&](const v1::GetEvidenceRequest&, v1::GetEvidenceResponse& response) {
    response.mutable_nonce_path()->Clear();
    response.mutable_nonce_path()->add_siblings(std::string(32, 'x'));
  });
  ExpectRefused(Simulated(), 7, "report data");
  front_end_->Tell([&](const v1::GetEvidenceRequest&, v1::GetEvidenceResponse& response) {
    response.mutable_nonce_path()->Clear();
    response.mutable_nonce_path()->add_siblings("short");
  });
  const CommandResult infer = Infer(Simulated());
  EXPECT_EQ(infer.exit_code, 1);
  EXPECT_THAT(infer.err, HasSubstr("a nonce path with a sibling of 5 bytes"));
  EXPECT_EQ(front_end_->num_sent(), 0);
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, WhatThePolicySaysOfModelsHoldsForSimulatedEvidenceToo) {
  std::vector<std::string> accepting = Simulated();
  accepting.insert(accepting.end(), {"--policy", Write("policy.yaml", testing::GenuineSnp().policy +
                                                                          "models: [{name: another_model}]\n")});
  const CommandResult verify = Verify(accepting);
  EXPECT_EQ(verify.exit_code, 5) << verify.out << verify.err;
  EXPECT_THAT(verify.out, HasSubstr("FAIL  model of cifar10_resnet"));
  const CommandResult infer = Infer(accepting);
  EXPECT_EQ(infer.exit_code, 3);
  EXPECT_THAT(infer.err, HasSubstr("refused at step 'model' of model 'cifar10_resnet'"));
  EXPECT_EQ(front_end_->num_sent(), 0);
  ExpectHonestFrontEndIsAccepted();
}

TEST_F(AttestationTest, SavedEvidenceIsReplayedWithoutTheServer) {
  const std::string saved = files_.File("evidence.json");
  std::vector<std::string> arguments = Simulated();
  arguments.insert(arguments.end(), {"--save-evidence", saved});
  ASSERT_EQ(Verify(arguments).exit_code, 0);
  struct stat info = {};
  ASSERT_EQ(stat(saved.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);

  front_end_ = nullptr;
  cluster_->server().Kill();
  EXPECT_EQ(
      Shoji({"verify", "--server", cluster_->address(), "--plaintext", "--deadline", "500ms"}, Simulated()).exit_code,
      9);
  const CommandResult now = Shoji({"verify", "--evidence", saved}, Simulated());
  EXPECT_EQ(now.exit_code, 0) << now.out << now.err;
  EXPECT_THAT(now.out, HasSubstr("ACCEPTED as of"));
  const CommandResult later =
      Shoji({"verify", "--evidence", saved, "--verification-time", "2100-01-01T00:00:00Z"}, Simulated());
  EXPECT_EQ(later.exit_code, 7);
  EXPECT_THAT(later.out, AllOf(HasSubstr("time      2100-01-01T00:00:00Z, as given"), HasSubstr("FAIL  expiry")));
  EXPECT_EQ(Shoji({"verify", "--evidence", saved}, {}).exit_code, 3);
}

TEST_F(AttestationTest, VerifyWaitsForAServerThatIsNotThereYet) {
  front_end_ = nullptr;
  cluster_->server().Kill();
  auto verify = std::async(std::launch::async, [this] {
    return Shoji({"verify", "--server", cluster_->address(), "--plaintext", "--wait", "60s"}, Simulated());
  });
  EXPECT_EQ(Shoji({"verify", "--server", cluster_->address(), "--plaintext", "--wait", "0s"}, Simulated()).exit_code,
            9);
  EXPECT_EQ(verify.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  cluster_->StartServer();
  const CommandResult result = verify.get();
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

}  // namespace
}  // namespace shoji
