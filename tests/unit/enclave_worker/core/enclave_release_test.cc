// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// An enclave with a sealed model, in this process: releases, budgets and reloads, without files.

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enclave_worker/core/enclave.h"
#include "enclave_worker/core/released_keys.h"
#include "lib/base/reason.h"
#include "lib/channel/initiator.h"
#include "lib/channel/payload.h"
#include "lib/crypto/random.h"
#include "lib/graph/onnx_import.h"
#include "tests/support/fake_clock.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/enclave_worker/core/model_surroundings.h"

namespace shoji::enclave {
namespace {

constexpr uint64_t kQueries = 20;
const digest::Sha256Digest kSealedDigest = {5, 5, 5};

Bytes TinyOnnx() {
  testing::OnnxBuilder builder;
  builder.Input("x", {-1, 2}).Node("Relu", {"x"}, {"y"}).Named("relu").Output("y");
  return builder.Build();
}

class EnclaveReleaseTest : public ::testing::Test {
 protected:
  EnclaveReleaseTest() {
    crypto::FillRandom(key_.ExposeMutable());
    enclave_ = *Enclave::Create({&clock_, {}, "test", &keys_}, StateWith({Awaited("sealed")}));
  }

  static ModelSource Source(const std::string& name) {
    ModelSource source;
    source.name = name;
    source.model.graph = *graph::ImportOnnx(TinyOnnx());
    source.policy.model = name;
    source.policy.segments.emplace_back();
    return source;
  }
  absl::StatusOr<std::unique_ptr<const Model>> MakeSealed(const std::string& name) {
    ModelSource source = Source(name);
    source.sealed = {.sealed_digest = kSealedDigest, .terms = {}, .budget = keys_.BudgetOf(kSealedDigest)};
    source.sealed->terms.queries_per_release = kQueries;
    source.sealed->terms.results = results_;
    return Model::Create(std::move(source), surroundings_.context);
  }
  AwaitedModel Awaited(const std::string& name) {
    AwaitedModel model;
    model.manifest.name = name;
    model.manifest.sealed_digest = kSealedDigest;
    model.header_tag = sealed_model::HeaderTagOf(key_);
    model.open = [this, name](const sealed_model::FileKey&) -> absl::StatusOr<std::unique_ptr<const Model>> {
      ++num_opened_;
      return open_error_.ok() ? MakeSealed(name) : absl::StatusOr<std::unique_ptr<const Model>>(open_error_);
    };
    return model;
  }
  Served StateWith(std::vector<AwaitedModel> awaited) {
    Served served;
    served.models.push_back(*Model::Create(Source("clear"), surroundings_.context));
    served.awaited = std::move(awaited);
    return served;
  }

  std::unique_ptr<channel::Initiator> Connect() {
    const auto nonce = crypto::RandomArray<32>();
    const auto claim = enclave_->ClaimFor(nonce);
    manifest_ = *attest::DecodeManifest(claim.manifest);
    auto client = *channel::Initiator::Create(manifest_.hpke_public_key, digest::Sha256(claim.manifest));
    const auto ack =
        enclave_->OpenSession(client->key_id(), client->manifest_digest(), client->enc(), client->sealed_hello());
    EXPECT_TRUE(ack.ok() && client->VerifyHello(ack->session_id, ack->sealed_hello).ok());
    return client;
  }
  absl::StatusOr<channel::SealedAnswer> InferNow(const channel::SealedRequest& request) {
    RunContext run(clock_.SteadyNow() + std::chrono::minutes(1));
    return enclave_->Infer(request, run);
  }
  Reason Infer(channel::Initiator& client, const std::string& model) {
    const auto request = client.Seal(model, channel::BuildRequest(channel::RequestKind::kTensors, Bytes(8)).Expose());
    const auto answer = InferNow(*request);
    return answer.ok() ? Reason::kUnspecified : ReasonOf(answer.status());
  }
  struct PreparedRelease {
    std::unique_ptr<channel::Initiator> client;
    channel::SealedRequest request;
  };
  // Of the right key under a session and a nonce of its own, after `change`.
  PreparedRelease PrepareRelease(const std::function<void(channel::KeyRelease&)>& change = nullptr) {
    PreparedRelease out = {.client = Connect(), .request = {}};
    channel::KeyRelease release;
    crypto::FillRandom(release.nonce);
    release.sealed_digest = kSealedDigest;
    release.manifest_digest = out.client->manifest_digest();
    release.file_key = crypto::SecretBytes::CopyOf(key_.Expose());
    if (change) {
      change(release);
    }
    out.request = *out.client->Seal("sealed", channel::BuildRelease(release).Expose(), channel::Purpose::kRelease);
    return out;
  }
  Reason Send(const PreparedRelease& release) {
    const auto answer = enclave_->Release(release.request);
    if (!answer.ok()) {
      return ReasonOf(answer.status());
    }
    const auto plaintext = release.client->OpenResponse(release.request.sequence, "sealed", *answer);
    const auto view = channel::ParseAnswer(plaintext->Expose(), channel::kReleaseAnswerBodySize);
    EXPECT_TRUE(view.ok());
    return ReasonOf(view->status);
  }
  Reason Release(const std::function<void(channel::KeyRelease&)>& change = nullptr) {
    return Send(PrepareRelease(change));
  }
  // How many of `count` queries are answered.
  uint64_t NumAnswered(uint64_t count) {
    const auto client = Connect();
    uint64_t answered = 0;
    for (uint64_t i = 0; i < count; ++i) {
      const Reason reason = Infer(*client, "sealed");
      EXPECT_TRUE(reason == kNone || reason == Reason::kBudgetExhausted) << NameOf(reason);
      answered += reason == kNone ? 1U : 0U;
    }
    return answered;
  }

  static constexpr Reason kNone = Reason::kUnspecified;

  testing::FakeClock clock_;
  ModelSurroundings surroundings_{clock_};
  sealed_model::FileKey key_;
  absl::Status open_error_;
  attest::ResultRule results_;
  std::atomic<int> num_opened_ = 0;
  ReleasedKeys keys_;
  attest::Manifest manifest_;  // of the last Connect
  std::unique_ptr<Enclave> enclave_;
};

TEST_F(EnclaveReleaseTest, TheManifestSaysWhatIsAwaitedAndThenWhatIsServed) {
  Connect();
  ASSERT_EQ(manifest_.awaited.size(), 1U);
  EXPECT_EQ(manifest_.awaited[0].sealed_digest, kSealedDigest);
  EXPECT_EQ(manifest_.models.size(), 1U);
  ASSERT_EQ(enclave_->public_state().served->awaited.size(), 1U);
  EXPECT_TRUE(enclave_->public_state().ready);
}

TEST_F(EnclaveReleaseTest, AMatchingKeyIsNeededOnly) {
  // The header's tag was made before the key: set things right first.
  ASSERT_TRUE(enclave_->Reload([&] { return StateWith({Awaited("sealed")}); }).ok());
  EXPECT_EQ(Release([](auto& release) { release.file_key.ExposeMutable()[31] ^= 1; }), Reason::kWrongModelKey);
  EXPECT_EQ(num_opened_, 0) << "a wrong key opens nothing";
  EXPECT_EQ(Release([](auto& release) { release.sealed_digest[0] ^= 1; }), Reason::kUnknownSealedModel);
  EXPECT_EQ(Release([](auto& release) { release.manifest_digest[0] ^= 1; }), Reason::kBadInput);
  EXPECT_EQ(Release(), kNone);
  Connect();
  EXPECT_TRUE(manifest_.awaited.empty());
  ASSERT_EQ(manifest_.models.size(), 2U);
  EXPECT_EQ(manifest_.models[1].model_digest, kSealedDigest);
  EXPECT_EQ(manifest_.models[1].sealed->queries_per_release, kQueries);
  EXPECT_FALSE(manifest_.models[0].sealed.has_value());
  EXPECT_EQ(Release([](auto& release) { release.file_key.ExposeMutable()[31] ^= 1; }), Reason::kWrongModelKey)
      << "nor is a wrong key taken for a renewal";
}

class ServedTest : public EnclaveReleaseTest {
 protected:
  void SetUp() override { ASSERT_EQ(Release(), kNone); }
};

TEST_F(EnclaveReleaseTest, ResultsLeaveInTheOwnersFormWhateverTheClientAsks) {
  results_ = *attest::ResultRule::Parse("top-k:1");
  ASSERT_EQ(Release(), kNone);
  const auto client = Connect();
  const std::array<float, 2> input = {1.25F, 2.5F};
  const ByteSpan body(reinterpret_cast<const uint8_t*>(input.data()), sizeof(input));
  for (const std::string model : {"sealed", "clear"}) {
    const auto request = client->Seal(model, channel::BuildRequest(channel::RequestKind::kTensors, body).Expose());
    const auto answer = InferNow(*request);
    ASSERT_TRUE(answer.ok()) << answer.status();
    const auto plaintext = client->OpenResponse(request->sequence, model, *answer);
    std::array<float, 2> scores = {};
    std::memcpy(scores.data(), plaintext->Expose().data() + channel::kAnswerHeaderSize, sizeof(scores));
    EXPECT_EQ(scores, model == "sealed" ? (std::array<float, 2>{0, 2.5F}) : input) << model;
  }
}

TEST_F(ServedTest, ExactlyTheBudgetIsAnswered) {
  EXPECT_EQ(NumAnswered(kQueries + 5), kQueries);
  EXPECT_EQ(NumAnswered(3), 0U) << "in another session";
  const auto client = Connect();
  EXPECT_EQ(Infer(*client, "clear"), kNone);
}

TEST_F(ServedTest, ExactlyTheBudgetIsAnsweredOverManyThreads) {
  constexpr int kThreads = 8;
  std::atomic<uint64_t> answered = 0;
  {
    std::vector<std::unique_ptr<channel::Initiator>> clients;
    for (int i = 0; i < kThreads; ++i) {
      clients.push_back(Connect());
    }
    std::vector<std::jthread> threads;
    for (const auto& client : clients) {
      threads.emplace_back([&] {
        for (uint64_t i = 0; i < kQueries; ++i) {
          answered += Infer(*client, "sealed") == kNone ? 1U : 0U;
        }
      });
    }
  }
  EXPECT_EQ(answered, kQueries);
}

TEST_F(ServedTest, AReloadKeepsWhatIsLeftOfTheBudget) {
  EXPECT_EQ(NumAnswered(7), 7U);
  ASSERT_TRUE(enclave_
                  ->Reload([&]() -> absl::StatusOr<Served> {
                    Served served = StateWith({});
                    served.models.push_back(*MakeSealed("sealed"));
                    return served;
                  })
                  .ok());
  EXPECT_EQ(NumAnswered(kQueries), kQueries - 7);
}

TEST_F(ServedTest, TwoModelsOfOneFileShareItsBudget) {
  ASSERT_TRUE(enclave_
                  ->Reload([&]() -> absl::StatusOr<Served> {
                    Served served = StateWith({});
                    served.models.push_back(*MakeSealed("sealed"));
                    served.models.push_back(*MakeSealed("twin"));
                    return served;
                  })
                  .ok());
  const auto client = Connect();
  for (uint64_t i = 0; i < kQueries; ++i) {
    EXPECT_EQ(Infer(*client, i % 2 == 0 ? "sealed" : "twin"), kNone) << i;
  }
  EXPECT_EQ(Infer(*client, "twin"), Reason::kBudgetExhausted);
}

TEST_F(ServedTest, ANewReleaseAllowsTheBudgetAgainAndNoMore) {
  EXPECT_EQ(NumAnswered(5), 5U);
  EXPECT_EQ(Release(), kNone);
  EXPECT_EQ(NumAnswered(2 * kQueries), kQueries) << "what was left of the first one is gone";
  EXPECT_EQ(num_opened_, 1) << "a renewal loads nothing";
}

TEST_F(ServedTest, AReleaseThatWasWithheldRenewsNothing) {
  NumAnswered(kQueries);
  const PreparedRelease late = PrepareRelease();
  clock_.Advance(std::chrono::seconds(31));
  EXPECT_EQ(Send(late), Reason::kUnknownSession);
  EXPECT_EQ(NumAnswered(1), 0U);
  const PreparedRelease in_time = PrepareRelease();
  clock_.Advance(std::chrono::seconds(29));
  EXPECT_EQ(Send(in_time), kNone);
  EXPECT_EQ(NumAnswered(1), 1U);
}

TEST_F(ServedTest, ANonceServesOnce) {
  channel::ReleaseNonce nonce = {};
  nonce.fill(9);
  const auto with_nonce = [&](channel::KeyRelease& release) { release.nonce = nonce; };
  EXPECT_EQ(Release(with_nonce), kNone);
  NumAnswered(kQueries);
  EXPECT_EQ(Release(with_nonce), Reason::kReplayed);
  EXPECT_EQ(NumAnswered(1), 0U);
}

TEST_F(ServedTest, AMalformedQueryCountsToo) {
  const auto client = Connect();
  const auto request = client->Seal("sealed", Bytes(12, 0xFF));
  ASSERT_TRUE(InferNow(*request).ok()) << "a sealed error";
  EXPECT_EQ(NumAnswered(kQueries + 1), kQueries - 1);
}

TEST_F(EnclaveReleaseTest, AModelThatCannotBeServedIsRefusedAndItsKeyForgotten) {
  ASSERT_TRUE(enclave_->Reload([&] { return StateWith({Awaited("sealed")}); }).ok());
  open_error_ = absl::InvalidArgumentError("the policy moves it out");
  EXPECT_EQ(Release(), Reason::kModelRefused);
  EXPECT_FALSE(keys_.Find(kSealedDigest).has_value());
  EXPECT_EQ(keys_.BudgetOf(kSealedDigest)->left(), 0U);
  const auto client = Connect();
  EXPECT_EQ(Infer(*client, "sealed"), Reason::kUnknownModel);
  EXPECT_EQ(Infer(*client, "clear"), kNone);
  open_error_ = absl::OkStatus();
  EXPECT_EQ(Release(), kNone);
}

TEST_F(EnclaveReleaseTest, EveryEntryOfTheFileIsServedByOneRelease) {
  ASSERT_TRUE(enclave_->Reload([&] { return StateWith({Awaited("sealed"), Awaited("twin")}); }).ok());
  EXPECT_EQ(Release(), kNone);
  const auto client = Connect();
  EXPECT_EQ(Infer(*client, "sealed"), kNone);
  EXPECT_EQ(Infer(*client, "twin"), kNone);
  EXPECT_TRUE(manifest_.awaited.empty());
}

TEST_F(EnclaveReleaseTest, AReleaseThatWasForTheStateBeforeAReloadOpensNothing) {
  // Two owners' releases come while a reload is under way. One of them is refused at once because the other has got
  // past the check of its session; that one waits for the reload, and must not open what it brings.
  const std::array<PreparedRelease, 2> prepared = {PrepareRelease(), PrepareRelease()};
  std::array<Reason, 2> outcomes = {};
  std::array<std::thread, 2> releases;
  std::atomic<int> num_done = 0;
  ASSERT_TRUE(enclave_
                  ->Reload([&]() -> absl::StatusOr<Served> {
                    for (size_t i = 0; i < releases.size(); ++i) {
                      releases[i] = std::thread([this, i, &prepared, &outcomes, &num_done] {
                        outcomes[i] = Send(prepared[i]);
                        ++num_done;
                        num_done.notify_all();
                      });
                    }
                    num_done.wait(0);
                    return StateWith({Awaited("sealed")});
                  })
                  .ok());
  for (std::thread& release : releases) {
    release.join();
  }
  EXPECT_THAT(outcomes, ::testing::UnorderedElementsAre(Reason::kOverloaded, Reason::kStaleManifest));
  EXPECT_EQ(num_opened_, 0);
  EXPECT_EQ(Release(), kNone) << "to what is served now";
}

TEST_F(EnclaveReleaseTest, ARefusedReloadChangesNothing) {
  EXPECT_FALSE(enclave_->Reload([]() -> absl::StatusOr<Served> { return absl::NotFoundError("gone"); }).ok());
  EXPECT_FALSE(enclave_->Reload([]() -> absl::StatusOr<Served> { return Served(); }).ok()) << "nothing to serve";
  EXPECT_FALSE(enclave_->Reload([&] { return StateWith({Awaited("clear")}); }).ok()) << "two models of one name";
  const auto client = Connect();
  EXPECT_EQ(Infer(*client, "clear"), kNone);
}

TEST(ReleasedKeysTest, KeepsNoMoreKeysAndNoncesThanItMay) {
  ReleasedKeys keys;
  const sealed_model::FileKey key;
  digest::Sha256Digest digest = {};
  for (size_t i = 0; i < ReleasedKeys::kMaxKeys; ++i) {
    digest[0] = static_cast<uint8_t>(i);
    ASSERT_TRUE(keys.Keep(digest, key).ok());
  }
  EXPECT_TRUE(keys.Keep(digest, key).ok()) << "known already";
  digest[1] = 1;
  EXPECT_EQ(keys.Keep(digest, key).code(), absl::StatusCode::kResourceExhausted);
  channel::ReleaseNonce nonce = {};
  for (size_t i = 0; i < ReleasedKeys::kMaxNonces; ++i) {
    nonce[0] = static_cast<uint8_t>(i);
    nonce[1] = static_cast<uint8_t>(i >> 8);
    ASSERT_TRUE(keys.UseNonce(nonce).ok());
  }
  EXPECT_EQ(ReasonOf(keys.UseNonce(nonce)), Reason::kReplayed);
  nonce[2] = 1;
  EXPECT_EQ(ReasonOf(keys.UseNonce(nonce)), Reason::kOverloaded);
}

TEST(QueryBudgetTest, StartsExhausted) {
  QueryBudget budget;
  EXPECT_FALSE(budget.Take());
  budget.Renew(1);
  EXPECT_TRUE(budget.Take());
  EXPECT_FALSE(budget.Take());
  EXPECT_EQ(budget.left(), 0U);
}

}  // namespace
}  // namespace shoji::enclave
