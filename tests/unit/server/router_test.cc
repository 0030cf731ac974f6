// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/router.h"

#include <array>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"

namespace shoji::server {
namespace {

using internal::v1::EnclaveState;

const std::string kKeyA(16, 'a');
const std::string kKeyB(16, 'b');

enum class Readiness { kNotReady, kReady };

EnclaveState State(const std::string& key_id, const std::vector<std::string>& models,
                   Readiness readiness = Readiness::kReady) {
  EnclaveState out;
  out.set_ready(readiness == Readiness::kReady);
  out.add_key_ids(key_id);
  for (const std::string& name : models) {
    out.add_models()->set_name(name);
  }
  return out;
}

Reason ReasonOfResult(const absl::StatusOr<size_t>& result) { return ReasonOf(result.status()); }

TEST(RouterTest, RoutesAKeyThatAReloadKilledToItsEnclave) {
  Router router(1);
  EnclaveState state;
  state.set_ready(true);
  state.add_key_ids(std::string(16, 'n'));
  state.add_stale_key_ids(std::string(16, 'o'));
  ASSERT_TRUE(router.Update(0, state).ok());
  EXPECT_EQ(*router.ByKey(std::string(16, 'o')), 0U);
  EXPECT_EQ(ReasonOf(router.ByKey(std::string(16, 'x')).status()), Reason::kUnknownKey);
  state.add_stale_key_ids("short");
  EXPECT_FALSE(router.Update(0, state).ok());
}

TEST(RouterTest, RoutesEachKeyToTheEnclaveThatHoldsIt) {
  Router router(2);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"m"})).ok());
  EXPECT_EQ(*router.ByKey(kKeyA), 0U);
  EXPECT_EQ(*router.ByKey(kKeyB), 1U);
  EXPECT_EQ(ReasonOfResult(router.ByKey(std::string(16, 'c'))), Reason::kUnknownKey);
  EXPECT_EQ(ReasonOfResult(router.ByKey("")), Reason::kUnknownKey);
}

TEST(RouterTest, TheLeastLoadedReadyEnclaveOfAModelIsPickedAndAmongEqualsTheNextInTurn) {
  Router router(4);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"m"})).ok());
  ASSERT_TRUE(router.Update(2, State(kKeyB, {"other"})).ok());
  ASSERT_TRUE(router.Update(3, State(kKeyB, {"m"}, Readiness::kNotReady)).ok());
  std::array<size_t, 4> load = {5, 3, 0, 0};
  const Router::Load load_of = [&load](size_t i) { return load.at(i); };
  EXPECT_EQ(*router.ByModel("m", load_of), 1U);
  load = {3, 3, 0, 0};
  EXPECT_EQ(*router.ByModel("m", load_of), 0U);
  router.TakeTurn(0);
  EXPECT_EQ(*router.ByModel("m", load_of), 1U);
  load = {1, 3, 0, 0};
  EXPECT_EQ(*router.ByModel("m", load_of), 0U);
}

TEST(RouterTest, AnEnclaveThatIsRetiredIsNotHeardUntilItsNumberIsSomebodysAnew) {
  Router router(1);
  router.Grow(2);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"m"})).ok());
  router.Retire(1);
  EXPECT_EQ(ReasonOfResult(router.ByKey(kKeyB)), Reason::kUnknownKey);
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"m"})).ok());  // its stream's last word
  EXPECT_FALSE(router.IsConnected(1));
  EXPECT_EQ(ReasonOfResult(router.ByKey(kKeyB)), Reason::kUnknownKey);
  router.Open(1);
  EXPECT_FALSE(router.IsConnected(1));
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"m"})).ok());
  EXPECT_EQ(*router.ByKey(kKeyB), 1U);
  EXPECT_EQ(*router.ByKey(kKeyA), 0U);
}

TEST(RouterTest, KeysOfAnEnclaveThatIsGoneAreGoneAtOnce) {
  Router router(2);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"m"})).ok());
  router.Remove(0);
  EXPECT_EQ(ReasonOfResult(router.ByKey(kKeyA)), Reason::kUnknownKey);
  EXPECT_EQ(*router.ByModel("m"), 1U);
  router.Remove(1);
  EXPECT_EQ(ReasonOfResult(router.ByKey(kKeyB)), Reason::kNoEnclave);
  EXPECT_FALSE(router.AnyReady());
}

TEST(RouterTest, KeyOfAnEnclaveThatIsNotReadyIsStillRouted) {
  Router router(1);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"}, Readiness::kNotReady)).ok());
  EXPECT_EQ(*router.ByKey(kKeyA), 0U);
  EXPECT_EQ(ReasonOfResult(router.ByModel("m")), Reason::kNoEnclave);
  EXPECT_EQ(router.Models().models_size(), 0);
  EXPECT_FALSE(router.AnyReady());
}

TEST(RouterTest, ModelsAreServedInTurn) {
  Router router(3);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  ASSERT_TRUE(router.Update(2, State(kKeyB, {"m", "other"})).ok());
  for (const size_t turn : std::vector<size_t>{0, 2, 0, 2}) {
    EXPECT_EQ(*router.ByModel("m"), turn);
    EXPECT_EQ(*router.ByModel("m"), turn) << "asking alone takes no turn";
    router.TakeTurn(turn);
  }
  EXPECT_EQ(*router.ByModel("other"), 2U);
  EXPECT_TRUE(router.ByModel("").ok());
}

TEST(RouterTest, UnknownModelIsToldApartFromNoEnclave) {
  Router router(2);
  EXPECT_EQ(ReasonOfResult(router.ByModel("m")), Reason::kNoEnclave);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  EXPECT_EQ(ReasonOfResult(router.ByModel("x")), Reason::kUnknownModel);
  ASSERT_TRUE(router.Update(1, State(kKeyB, {"x"}, Readiness::kNotReady)).ok());
  EXPECT_EQ(ReasonOfResult(router.ByModel("x")), Reason::kNoEnclave);
}

TEST(RouterTest, MergesModelsThatAreDescribedAlike) {
  Router router(2);
  EnclaveState other = State(kKeyB, {"m", "own"});
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  ASSERT_TRUE(router.Update(1, other).ok());
  v1::ListModelsResponse models = router.Models();
  ASSERT_EQ(models.models_size(), 2);
  EXPECT_EQ(models.models(0).name(), "m");
  EXPECT_THAT(models.models(0).key_ids(), ::testing::ElementsAre(kKeyA, kKeyB));
  EXPECT_THAT(models.models(1).key_ids(), ::testing::ElementsAre(kKeyB));
  other.mutable_models(0)->set_labels("different");
  ASSERT_TRUE(router.Update(1, other).ok());
  EXPECT_EQ(router.Models().models_size(), 3);
}

TEST(RouterTest, MalformedStateCountsAsGone) {
  Router router(1);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"m"})).ok());
  EXPECT_EQ(router.Update(0, State("short", {"m"})).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOfResult(router.ByKey(kKeyA)), Reason::kNoEnclave);
  EnclaveState many = State(kKeyA, {"m"});
  for (int i = 0; i < 100; ++i) {
    many.add_key_ids(kKeyB);
  }
  EXPECT_FALSE(router.Update(0, many).ok());
}

const std::string kDigest(32, 'd');

enum class Key { kAwaited, kReleased };

EnclaveState SealedState(const std::string& key_id, Key key, Readiness readiness) {
  EnclaveState out =
      State(key_id, key == Key::kReleased ? std::vector<std::string>{"secret"} : std::vector<std::string>{}, readiness);
  internal::v1::SealedModelState& sealed = *out.add_sealed_models();
  sealed.set_name("secret");
  sealed.set_sealed_digest(kDigest);
  sealed.set_awaits_key(key == Key::kAwaited);
  return out;
}

TEST(RouterTest, RoutesAReleaseToTheEnclaveThatAwaitsTheKeyReadyOrNot) {
  Router router(2);
  EXPECT_EQ(ReasonOfResult(router.BySealedDigest(kDigest)), Reason::kNoEnclave);
  ASSERT_TRUE(router.Update(0, SealedState(kKeyA, Key::kReleased, Readiness::kReady)).ok());
  ASSERT_TRUE(router.Update(1, SealedState(kKeyB, Key::kAwaited, Readiness::kNotReady)).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(*router.BySealedDigest(kDigest), 1U);
  }
  EXPECT_EQ(ReasonOfResult(router.BySealedDigest(std::string(32, 'x'))), Reason::kUnknownSealedModel);
}

TEST(RouterTest, RoutesARenewalToTheEnclavesThatServeTheModelInTurn) {
  Router router(2);
  ASSERT_TRUE(router.Update(0, SealedState(kKeyA, Key::kReleased, Readiness::kReady)).ok());
  ASSERT_TRUE(router.Update(1, SealedState(kKeyB, Key::kReleased, Readiness::kReady)).ok());
  const size_t first = *router.BySealedDigest(kDigest);
  router.TakeTurn(first);
  EXPECT_EQ(*router.BySealedDigest(kDigest), 1 - first);
}

TEST(RouterTest, ShowsAnAwaitedModelToWhoeverAsksForItAndNobodyServesIt) {
  Router router(2);
  ASSERT_TRUE(router.Update(0, State(kKeyA, {"other"})).ok());
  ASSERT_TRUE(router.Update(1, SealedState(kKeyB, Key::kAwaited, Readiness::kNotReady)).ok());
  EXPECT_EQ(*router.ByModel("secret"), 1U);
  EXPECT_EQ(*router.ByModel("other"), 0U);
  EXPECT_EQ(*router.ByModel(""), 0U);
  EXPECT_EQ(ReasonOfResult(router.ByModel("absent")), Reason::kUnknownModel);
  ASSERT_TRUE(router.Update(0, SealedState(kKeyA, Key::kReleased, Readiness::kReady)).ok());
  EXPECT_EQ(*router.ByModel("secret"), 0U);
}

TEST(RouterTest, RefusesASealedModelsDigestOfTheWrongLength) {
  Router router(1);
  EnclaveState state = SealedState(kKeyA, Key::kAwaited, Readiness::kReady);
  state.mutable_sealed_models(0)->set_sealed_digest("short");
  EXPECT_FALSE(router.Update(0, state).ok());
}

}  // namespace
}  // namespace shoji::server
