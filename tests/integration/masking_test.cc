// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Masked and verified offload through the whole product: real processes, client to answer.
#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/reason.h"
#include "tests/support/cluster.h"
#include "tests/support/hostile_control.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterModel;
using testing::ClusterOptions;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kModel[] = "cifar10_resnet";

ClusterModel Served(const std::string& name, const std::string& segments, const std::string& more = "") {
  ClusterModel model = testing::BuiltInModel("");
  model.name = name;
  model.policy = "model: " + name + "\nsegments:\n" + segments + more;
  return model;
}
const char* const kEnclaveInt8 = "  - {from: input, place: enclave, precision: int8}\n";
const char* const kBlinded = "  - {from: input, place: blinded}\n";
const char* const kVerified = "  - {from: input, place: verified}\n";

Bytes Picture(uint8_t seed) {
  Bytes out(size_t{32} * 32 * 3);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>(seed + i * 7 + i * i / 31);
  }
  return out;
}

// The scores, as bits.
absl::StatusOr<Bytes> Ask(testing::RawClient& client, const std::string& model, const Bytes& picture) {
  const auto request = client.Seal(channel::RequestKind::kPicture, picture, model);
  if (!request.ok()) {
    return request.status();
  }
  const auto answer = client.Send(*request);
  if (!answer.ok()) {
    return answer.status();
  }
  const auto plaintext = client.Open(*request, *answer);
  if (!plaintext.ok()) {
    return plaintext.status();
  }
  const ByteSpan scores = plaintext->Expose().subspan(channel::kAnswerHeaderSize);
  return Bytes(scores.begin(), scores.end());
}

size_t CountOf(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) {
    ++count;
  }
  return count;
}

TEST(MaskingTest, SlalomSlalomIntegrityAndTheEnclaveAgreeToTheBit) {
  ClusterOptions options;
  options.models = {Served("reference", kEnclaveInt8),
                    Served("blinded", kBlinded, "masking: {pool: {on_empty: wait}}\n"), Served("verified", kVerified)};
  options.num_accelerators = 2;
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("reference").ok());
  for (uint8_t seed = 0; seed < 10; ++seed) {
    const auto expected = Ask(client, "reference", Picture(seed));
    ASSERT_TRUE(expected.ok()) << expected.status();
    for (const char* name : {"blinded", "verified"}) {
      const auto scores = Ask(client, name, Picture(seed));
      ASSERT_TRUE(scores.ok()) << scores.status();
      EXPECT_EQ(*scores, *expected) << name;
    }
  }
  EXPECT_THAT((*cluster)->Logs(), Not(HasSubstr("offload_failed")));
  EXPECT_THAT((*cluster)->Logs(), Not(HasSubstr("check_failed")));
}

TEST(MaskingTest, TwoOperatorsOverMutualTlsShareTheMask) {
  ClusterOptions options;
  options.models = {Served("reference", kEnclaveInt8), Served("shared", kBlinded, "masking: {source: shares}\n")};
  options.num_accelerators = 2;
  options.links = ClusterOptions::Links::kMutualTls;
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("reference").ok());
  for (uint8_t seed = 0; seed < 5; ++seed) {
    const auto expected = Ask(client, "reference", Picture(seed));
    const auto scores = Ask(client, "shared", Picture(seed));
    ASSERT_TRUE(expected.ok() && scores.ok()) << expected.status() << scores.status();
    EXPECT_EQ(*scores, *expected);
  }
  EXPECT_THAT((*cluster)->Logs(), Not(HasSubstr("offload_failed")));
}

TEST(MaskingTest, AnAcceleratorThatIsAwayIsALineASecondAndNotOneForEachLayerOfEachRequest) {
  ClusterOptions options;
  options.models = {Served("verified", kVerified)};
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("verified").ok());
  ASSERT_TRUE(Ask(client, "verified", Picture(0)).ok());
  (*cluster)->accelerator(0).Kill();
  // Until a line says how many it stands for.
  const auto log = [&] { return (*cluster)->enclave().Log(); };
  const SteadyTime start = std::chrono::steady_clock::now();
  uint8_t num_requests = 0;
  ASSERT_TRUE(testing::WaitFor([&] {
    EXPECT_TRUE(Ask(client, "verified", Picture(++num_requests)).ok());
    return log().find("held_back=") != std::string::npos;
  })) << log();
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start).count();
  EXPECT_THAT(log(), HasSubstr(" warning shoji-enclave offload_failed "));
  EXPECT_LE(CountOf(log(), "offload_failed"), static_cast<size_t>(seconds) + 2) << num_requests << " requests";
}

TEST(MaskingTest, SharesOverUnixSocketsAreRefused) {
  ClusterOptions options;
  options.models = {Served("shared", kBlinded, "masking: {source: shares}\n")};
  options.num_accelerators = 2;
  options.start_timeout = std::chrono::seconds(2);
  const auto cluster = Cluster::Start(options);
  ASSERT_FALSE(cluster.ok());
  EXPECT_THAT(std::string(cluster.status().message()), HasSubstr("mutual"));
}

TEST(MaskingTest, TheEnclaveServesOnWhileEveryAcceleratorIsGone) {
  ClusterOptions options;
  options.models = {Served("reference", kEnclaveInt8), Served("blinded", kBlinded)};
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("reference").ok());
  const auto expected = Ask(client, "reference", Picture(1));
  ASSERT_TRUE(expected.ok());
  (*cluster)->accelerator(0).Kill();
  for (int i = 0; i < 5; ++i) {
    const auto scores = Ask(client, "blinded", Picture(1));
    ASSERT_TRUE(scores.ok()) << scores.status();
    EXPECT_EQ(*scores, *expected);
  }
  (*cluster)->StartAccelerator(0);
  ASSERT_TRUE(testing::WaitFor([&] {
    return Ask(client, "blinded", Picture(1)) == expected &&
           (*cluster)->enclave().Log().rfind("event=uploaded") > (*cluster)->enclave().Log().rfind("event=lost");
  }));
}

TEST(MaskingTest, AnEmptyPoolComputesWaitsOrRejectsAsThePolicySays) {
  ClusterOptions options;
  options.models = {Served("reference", kEnclaveInt8),
                    Served("computes", kBlinded, "masking: {pool: {on_empty: enclave}}\n"),
                    Served("waits", kBlinded, "masking: {pool: {on_empty: wait}}\n"),
                    Served("rejects", kBlinded, "masking: {pool: {on_empty: reject}}\n")};
  options.enclave_yaml = "masking: {filler_threads: 0}\n";  // the pools stay empty
  options.server_yaml = "limits: {max_deadline: 2s}\n";
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("reference").ok());
  const auto expected = Ask(client, "reference", Picture(2));
  const auto computed = Ask(client, "computes", Picture(2));
  ASSERT_TRUE(expected.ok() && computed.ok()) << computed.status();
  EXPECT_EQ(*computed, *expected);
  EXPECT_THAT((*cluster)->enclave().Log(), HasSubstr("pool_empty"));
  EXPECT_EQ(ReasonOf(Ask(client, "rejects", Picture(2)).status()), Reason::kOverloaded);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Ask(client, "waits", Picture(2)).status()));
  EXPECT_TRUE(Ask(client, "computes", Picture(2)).ok()) << "the others are not held up";
}

TEST(MaskingTest, UnderLoadAWaitingPoolAnswersEverything) {
  ClusterOptions options;
  options.models = {Served("reference", kEnclaveInt8),
                    Served("blinded", kBlinded, "masking: {pool: {requests: 2, on_empty: wait}}\n")};
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  std::vector<std::jthread> threads;
  for (uint8_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      testing::RawClient client((*cluster)->address());
      ASSERT_TRUE(client.Attest("reference").ok());
      const auto expected = Ask(client, "reference", Picture(t));
      for (int i = 0; i < 25; ++i) {
        const auto scores = Ask(client, "blinded", Picture(t));
        ASSERT_TRUE(scores.ok()) << scores.status();
        EXPECT_EQ(*scores, *expected);
      }
    });
  }
}

// Client to answer, with an accelerator that attacks every execution it gets.
TEST(MaskingTest, NoAttackReachesTheClient) {
  ClusterOptions options;
  options.models = {Served("reference", kEnclaveInt8),
                    Served("blinded", kBlinded, "masking: {pool: {on_empty: wait}}\n"), Served("verified", kVerified)};
  options.num_accelerators = 2;
  options.hostile[0] = {"--attack", "random", "--seed", "11"};
  options.enclave_yaml = "quarantine: {first: 1ms, max: 1ms}\nwork: {offload_timeout: 150ms}\nmax_message: 4MiB\n";
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("reference").ok());
  const auto expected = Ask(client, "reference", Picture(3));
  ASSERT_TRUE(expected.ok());
  constexpr uint64_t kAttacks = 100;
  uint64_t attacks = 0;
  for (int i = 0; attacks < kAttacks; ++i) {
    ASSERT_LT(i, 2000) << "the accelerator does not attack";
    const auto scores = Ask(client, i % 2 == 0 ? "blinded" : "verified", Picture(3));
    ASSERT_TRUE(scores.ok()) << scores.status() << "\n" << (*cluster)->enclave().Log();
    ASSERT_EQ(*scores, *expected);
    const auto status = testing::ReadStatus((*cluster)->dir().File("acc0.address.status"));
    attacks = status.ok() ? status->attacks : attacks;
  }
  EXPECT_THAT((*cluster)->enclave().Log(), HasSubstr("check_failed"));
  EXPECT_THAT((*cluster)->enclave().Log(), HasSubstr("quarantined accelerator=acc0"));
  // The honest one may be too slow once, on a busy machine, but it never lies.
  EXPECT_THAT((*cluster)->enclave().Log(), Not(HasSubstr("quarantined accelerator=acc1 offence=wrong_answer")));
  EXPECT_THAT((*cluster)->enclave().Log(), Not(HasSubstr("quarantined accelerator=acc1 offence=malformed_answer")));
}

TEST(MaskingTest, ALiarStaysInQuarantineUntilTheOperatorSendsAHangUp) {
  ClusterOptions options;
  options.models = {Served("verified", kVerified)};
  options.hostile[0] = {"--attack", "flipped_bit"};
  options.enclave_yaml = "quarantine: {first: 1h, max: 1h}\n";
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const std::string status_file = (*cluster)->dir().File("acc0.address.status");
  const auto executions = [&] { return testing::ReadStatus(status_file)->executions; };
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("verified").ok());
  ASSERT_TRUE(Ask(client, "verified", Picture(1)).ok());
  const uint64_t after_first = executions();
  EXPECT_EQ(after_first, 1U) << "one lie, and it is not asked again";
  ASSERT_TRUE(Ask(client, "verified", Picture(1)).ok());
  EXPECT_EQ(executions(), after_first);
  ASSERT_TRUE((*cluster)->Reload());
  testing::RawClient anew((*cluster)->address());
  ASSERT_TRUE(testing::WaitFor([&] {
    return anew.Attest("verified").ok() && Ask(anew, "verified", Picture(1)).ok() && executions() > after_first;
  }));
}

}  // namespace
}  // namespace shoji
