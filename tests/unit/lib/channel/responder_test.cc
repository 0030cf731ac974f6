// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Keys, tables and time.
#include "lib/channel/responder.h"

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/lib/channel/harness.h"

namespace shoji::channel {
namespace {

using std::chrono::seconds;

constexpr ResponderOptions kShort = {
    .rotate_after = seconds(1000), .grace = seconds(100), .idle_timeout = seconds(100000)};

TEST(ResponderTest, OptionsOutOfRangeAreRefusedByName) {
  testing::FakeClock clock;
  const auto refusal = [&clock](const ResponderOptions& options) {
    return std::string(Responder::Create(options, clock, ManifestOf("v1"), nullptr).status().message());
  };
  EXPECT_EQ(refusal({}), "");
  EXPECT_NE(refusal({.rotate_after = seconds(0)}).find("rotate_after"), std::string::npos);
  EXPECT_NE(refusal({.rotate_after = seconds(5), .grace = seconds(6)}).find("grace"), std::string::npos);
  EXPECT_NE(refusal({.grace = seconds(-1)}).find("grace"), std::string::npos);
  EXPECT_NE(refusal({.max_sessions_per_key = 0}).find("max_sessions_per_key"), std::string::npos);
  EXPECT_NE(refusal({.max_live_sessions = 0}).find("max_live_sessions"), std::string::npos);
  EXPECT_NE(refusal({.max_live_sessions = 16385}).find("max_live_sessions"), std::string::npos);
  EXPECT_NE(refusal({.idle_timeout = seconds(0)}).find("idle_timeout"), std::string::npos);
  EXPECT_NE(refusal({.replay_window_size = 63}).find("replay_window_size"), std::string::npos);
}

TEST(ResponderTest, TheManifestCarriesTheKeyAndItsExpiryInWholeSeconds) {
  testing::FakeClock clock;
  clock.Advance(std::chrono::milliseconds(1500));
  SystemTime announced;
  const auto responder = Responder::Create(
      kShort, clock,
      [&announced](const crypto::HpkePublicKey& key, SystemTime expires_at) {
        announced = expires_at;
        return Bytes(key.begin(), key.end());
      },
      nullptr);
  const ManifestView manifest = (*responder)->Current();
  EXPECT_EQ(manifest.key_id, KeyIdOf(KeyIn(manifest)));
  EXPECT_EQ(manifest.digest, digest::Sha256(manifest.bytes));
  EXPECT_EQ(manifest.expires_at, announced);
  EXPECT_EQ(announced, SystemTime(seconds(1767225600 + 1 + 1000 + 100)));
  EXPECT_EQ((*responder)->LiveKeyIds(), std::vector<KeyId>{manifest.key_id});
}

TEST(ResponderTest, AKeyRotatesByTimeAndServesItsSessionsThroughTheGrace) {
  Harness harness(kShort);
  const ManifestView old = harness.responder->Current();
  const std::unique_ptr<Initiator> early = harness.Connected();
  const std::unique_ptr<Initiator> has_fetched = harness.NewClient();
  const std::unique_ptr<Initiator> too_late = harness.NewClient();

  harness.clock.Advance(seconds(999));
  EXPECT_EQ(harness.responder->Current().key_id, old.key_id);
  harness.clock.Advance(seconds(1));  // rotate_after
  const ManifestView fresh = harness.responder->Current();
  EXPECT_NE(fresh.key_id, old.key_id);
  EXPECT_EQ(harness.responder->LiveKeyIds(), (std::vector<KeyId>{fresh.key_id, old.key_id}));
  EXPECT_EQ(harness.Ask(*early), kNone);

  harness.clock.Advance(seconds(99));
  EXPECT_TRUE(harness.Connect(*has_fetched).ok());
  harness.clock.Advance(seconds(1));  // expires_at
  EXPECT_EQ(ReasonOf(harness.Hello(*too_late).status()), Reason::kUnknownKey);
  EXPECT_EQ(harness.Ask(*early), kNone);
  EXPECT_EQ(harness.Ask(*has_fetched), kNone);

  harness.clock.Advance(seconds(99));
  EXPECT_EQ(harness.Ask(*has_fetched), kNone);
  harness.clock.Advance(seconds(1));  // the end of its grace
  EXPECT_EQ(harness.Ask(*early), Reason::kUnknownKey);
  EXPECT_EQ(harness.Ask(*has_fetched), Reason::kUnknownKey);
  EXPECT_EQ(harness.responder->LiveKeyIds(), std::vector<KeyId>{fresh.key_id});
  EXPECT_EQ(harness.responder->num_live_sessions(), 0u);
}

TEST(ResponderTest, TickAloneRotatesAndDestroys) {
  Harness harness(kShort);
  const std::unique_ptr<Initiator> client = harness.Connected();
  harness.clock.Advance(seconds(5000));
  harness.responder->Tick();
  EXPECT_EQ(harness.responder->num_live_sessions(), 0u);
  EXPECT_EQ(harness.responder->LiveKeyIds().size(), 1u);
  EXPECT_EQ(harness.Ask(*client), Reason::kUnknownKey);
}

TEST(ResponderTest, SettingTheDateNeitherRotatesNorRevives) {
  Harness harness(kShort);
  const KeyId key = harness.responder->Current().key_id;
  harness.clock.SetSystemTime(SystemTime(seconds(4000000000)));
  EXPECT_EQ(harness.responder->Current().key_id, key);
  harness.clock.SetSystemTime(SystemTime(seconds(0)));
  harness.clock.Advance(seconds(1000));
  EXPECT_NE(harness.responder->Current().key_id, key);
}

TEST(ResponderTest, AKeyAtItsSessionLimitRefusesAndIsReplaced) {
  ResponderOptions options = kShort;
  options.max_sessions_per_key = 2;
  Harness harness(options);
  const ManifestView old = harness.responder->Current();
  const std::unique_ptr<Initiator> a = harness.Connected();
  const std::unique_ptr<Initiator> b = harness.Connected();
  const std::unique_ptr<Initiator> refused = Harness::ClientFor(old);
  EXPECT_EQ(ReasonOf(harness.Hello(*refused).status()), Reason::kSessionLimit);
  EXPECT_NE(harness.responder->Current().key_id, old.key_id);
  EXPECT_EQ(harness.Ask(*harness.Connected()), kNone);
  EXPECT_EQ(harness.Ask(*a), kNone);

  harness.clock.Advance(seconds(99));
  EXPECT_EQ(harness.Ask(*b), kNone);
  harness.clock.Advance(seconds(1));  // its grace is over: it opens no sessions any more
  EXPECT_EQ(harness.Ask(*b), Reason::kUnknownKey);
}

TEST(ResponderTest, AFloodOfSessionsCannotPushOutKeysInUse) {
  ResponderOptions options = kShort;
  options.max_sessions_per_key = 1;
  Harness harness(options);
  const std::unique_ptr<Initiator> first = harness.Connected();
  for (size_t i = 1; i < KeyRing::kMaxKeys; ++i) {
    ASSERT_TRUE(harness.Connect(*harness.NewClient()).ok()) << i;
  }
  EXPECT_EQ(ReasonOf(harness.Hello(*harness.NewClient()).status()), Reason::kSessionLimit);
  EXPECT_EQ(harness.responder->LiveKeyIds().size(), KeyRing::kMaxKeys);
  EXPECT_EQ(harness.Ask(*first), kNone);
  harness.clock.Advance(seconds(100));
  EXPECT_TRUE(harness.Connect(*harness.NewClient()).ok());
}

TEST(ResponderTest, TimeRotationHappensEvenWithAFullRing) {
  ResponderOptions options = kShort;
  options.max_sessions_per_key = 1;
  options.grace = options.rotate_after;
  Harness harness(options);
  for (size_t i = 0; i < KeyRing::kMaxKeys; ++i) {
    ASSERT_TRUE(harness.Connect(*harness.NewClient()).ok()) << i;
  }
  const KeyId stuck = harness.responder->Current().key_id;
  harness.clock.Advance(options.rotate_after);
  EXPECT_NE(harness.responder->Current().key_id, stuck);
  EXPECT_LE(harness.responder->LiveKeyIds().size(), KeyRing::kMaxKeys);
}

TEST(ResponderTest, AnUnauthenticatedHelloDoesNotCountTowardsTheLimit) {
  ResponderOptions options = kShort;
  options.max_sessions_per_key = 1;
  Harness harness(options);
  const std::unique_ptr<Initiator> client = harness.NewClient();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(
        ReasonOf(harness.responder->OpenSession(client->key_id(), client->manifest_digest(), client->enc(), Bytes(16))
                     .status()),
        Reason::kOpenFailed);
  }
  EXPECT_TRUE(harness.Connect(*client).ok());
}

TEST(ResponderTest, ReissueMakesEveryOlderSessionStale) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const std::unique_ptr<Initiator> fetched_before = harness.NewClient();
  const SealedRequest request = client->Seal("model", AsBytes("under the old policy")).value();
  harness.responder->Reissue(ManifestOf("v2"), StateOf("v2"));
  EXPECT_EQ(ReasonOf(harness.responder->Open(request).status()), Reason::kStaleManifest);
  EXPECT_EQ(ReasonOf(harness.Hello(*fetched_before).status()), Reason::kStaleManifest);
  EXPECT_EQ(harness.responder->num_live_sessions(), 0u);
  EXPECT_EQ(harness.responder->LiveKeyIds().size(), 1u);

  const std::unique_ptr<Initiator> anew = harness.Connected();
  const OpenedRequest opened = harness.responder->Open(anew->Seal("model", {}).value()).value();
  EXPECT_EQ(*std::static_pointer_cast<const std::string>(opened.context), "v2");
}

TEST(ResponderTest, ReissueAlsoKillsKeysInTheirGrace) {
  Harness harness(kShort);
  const std::unique_ptr<Initiator> client = harness.Connected();
  harness.clock.Advance(seconds(1000));
  ASSERT_EQ(harness.Ask(*client), kNone);
  harness.responder->Reissue(ManifestOf("v2"), StateOf("v2"));
  EXPECT_EQ(harness.Ask(*client), Reason::kStaleManifest);
}

TEST(ResponderTest, AnOpenedRequestKeepsItsStateAcrossReissue) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const OpenedRequest opened = harness.responder->Open(client->Seal("model", {}).value()).value();
  harness.responder->Reissue(ManifestOf("v2"), StateOf("v2"));
  EXPECT_EQ(*std::static_pointer_cast<const std::string>(opened.context), "v1");
  EXPECT_TRUE(client->OpenResponse(1, "model", opened.sealer.Seal(AsBytes("answer")).value()).ok());
}

TEST(ResponderTest, AStateBehindTheSameManifestIsAdoptedAndKeysAndSessionsGoOn) {
  Harness harness(kShort);
  const std::unique_ptr<Initiator> in_grace = harness.Connected();
  harness.clock.Advance(seconds(1000));
  const std::unique_ptr<Initiator> client = harness.Connected();
  const OpenedRequest before = harness.responder->Open(client->Seal("model", {}).value()).value();
  const std::vector<KeyId> keys = harness.responder->LiveKeyIds();
  ASSERT_EQ(keys.size(), 2u);

  EXPECT_TRUE(harness.responder->Adopt(ManifestOf("v1"), StateOf("loaded again")));
  EXPECT_EQ(harness.responder->LiveKeyIds(), keys);
  EXPECT_TRUE(harness.responder->StaleKeyIds(9).empty());
  EXPECT_EQ(*std::static_pointer_cast<const std::string>(before.context), "v1");
  for (Initiator* const session : {client.get(), in_grace.get()}) {
    const OpenedRequest opened = harness.responder->Open(session->Seal("model", {}).value()).value();
    EXPECT_EQ(*std::static_pointer_cast<const std::string>(opened.context), "loaded again");
  }
  harness.clock.Advance(seconds(1000));  // and the next key is of what was adopted
  const OpenedRequest later = harness.responder->Open(harness.Connected()->Seal("model", {}).value()).value();
  EXPECT_EQ(*std::static_pointer_cast<const std::string>(later.context), "loaded again");
}

TEST(ResponderTest, AStateWithAnotherManifestIsNotAdopted) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  EXPECT_FALSE(harness.responder->Adopt(ManifestOf("v2"), StateOf("v2")));
  const OpenedRequest opened = harness.responder->Open(client->Seal("model", {}).value()).value();
  EXPECT_EQ(*std::static_pointer_cast<const std::string>(opened.context), "v1");
}

TEST(ResponderTest, TheOldestDeadKeysAreForgottenAndThenUnknown) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  for (size_t i = 0; i < KeyRing::kMaxDeadKeys; ++i) {
    harness.responder->Reissue(ManifestOf("v2"), nullptr);
  }
  EXPECT_EQ(harness.Ask(*client), Reason::kStaleManifest);
  harness.responder->Reissue(ManifestOf("v3"), nullptr);
  EXPECT_EQ(harness.Ask(*client), Reason::kUnknownKey);
}

TEST(ResponderTest, ARestartedEnclaveKnowsNoOldKey) {
  Harness before;
  const std::unique_ptr<Initiator> client = before.Connected();
  Harness after;
  EXPECT_EQ(after.Ask(*client), Reason::kUnknownKey);
}

TEST(ResponderTest, AFullTableOfSessionsInUseRefusesAndIdleOnesGiveWay) {
  ResponderOptions options = kShort;
  options.max_live_sessions = 2;
  options.idle_timeout = seconds(60);
  Harness harness(options);
  const std::unique_ptr<Initiator> a = harness.Connected();
  const std::unique_ptr<Initiator> b = harness.Connected();
  ASSERT_EQ(harness.Ask(*a), kNone);
  ASSERT_EQ(harness.Ask(*b), kNone);
  harness.clock.Advance(seconds(59));
  EXPECT_EQ(ReasonOf(harness.Hello(*harness.NewClient()).status()), Reason::kSessionLimit);
  EXPECT_EQ(harness.Ask(*a), kNone);  // used: not idle any more
  harness.clock.Advance(seconds(1));
  EXPECT_TRUE(harness.Connect(*harness.NewClient()).ok());
  EXPECT_EQ(harness.Ask(*a), kNone);
  EXPECT_EQ(harness.Ask(*b), Reason::kUnknownSession);
}

ResponderOptions TableOf(size_t max_live_sessions) {
  ResponderOptions options = kShort;
  options.max_live_sessions = max_live_sessions;
  return options;
}

TEST(ResponderTest, SessionsOpenedAndAbandonedGiveWayOldestFirst) {
  Harness harness(TableOf(3));
  const std::unique_ptr<Initiator> used = harness.Connected();
  const std::unique_ptr<Initiator> oldest = harness.Connected();
  ASSERT_EQ(harness.Ask(*used), kNone);
  harness.clock.Advance(seconds(5));
  const std::unique_ptr<Initiator> newer = harness.Connected();
  harness.clock.Advance(seconds(4));
  EXPECT_EQ(ReasonOf(harness.Hello(*harness.NewClient()).status()), Reason::kSessionLimit);
  harness.clock.Advance(seconds(1));  // kUnusedTimeout after `oldest` was opened
  EXPECT_TRUE(harness.Connect(*harness.NewClient()).ok());
  EXPECT_EQ(ReasonOf(harness.Hello(*harness.NewClient()).status()), Reason::kSessionLimit);
  EXPECT_EQ(harness.responder->num_live_sessions(), 3u);
  EXPECT_EQ(harness.Ask(*oldest), Reason::kUnknownSession);
  EXPECT_EQ(harness.Ask(*newer), kNone);
  EXPECT_EQ(harness.Ask(*used), kNone);
}

TEST(ResponderTest, ASessionThatCarriedARequestNeverGivesWayToANewOne) {
  Harness harness(TableOf(1));
  const std::unique_ptr<Initiator> used = harness.Connected();
  ASSERT_EQ(harness.Ask(*used), kNone);
  harness.clock.Advance(seconds(900));
  EXPECT_EQ(ReasonOf(harness.Hello(*harness.NewClient()).status()), Reason::kSessionLimit);
  EXPECT_EQ(harness.Ask(*used), kNone);
}

TEST(ResponderTest, AnUnusedSessionKeepsItsPlaceWhileThereIsRoom) {
  Harness harness(TableOf(2));
  const std::unique_ptr<Initiator> unused = harness.Connected();
  harness.clock.Advance(seconds(900));
  EXPECT_TRUE(harness.Connect(*harness.NewClient()).ok());
  harness.responder->Tick();
  EXPECT_EQ(harness.Ask(*unused), kNone);
}

TEST(ResponderTest, AForgedHelloOrRequestChangesNoClaimToAPlace) {
  Harness harness(TableOf(1));
  const std::unique_ptr<Initiator> unused = harness.Connected();
  harness.clock.Advance(seconds(10));
  const std::unique_ptr<Initiator> other = harness.NewClient();
  const absl::Status forged_hello = harness.responder
                                        ->OpenSession(other->key_id(), other->manifest_digest(), other->enc(),
                                                      WithFlippedBit(other->sealed_hello(), 0))
                                        .status();
  EXPECT_EQ(ReasonOf(forged_hello), Reason::kOpenFailed);
  SealedRequest forged = unused->Seal("model", AsBytes("question")).value();
  forged.ciphertext[0] ^= 1;
  EXPECT_EQ(ReasonOf(harness.responder->Open(forged).status()), Reason::kOpenFailed);
  EXPECT_EQ(harness.responder->num_live_sessions(), 1u);
  EXPECT_TRUE(harness.Connect(*other).ok());
  EXPECT_EQ(harness.Ask(*unused), Reason::kUnknownSession);
}

TEST(ResponderTest, AnUnauthenticatedRequestDoesNotKeepASessionAlive) {
  ResponderOptions options = kShort;
  options.idle_timeout = seconds(60);
  Harness harness(options);
  const std::unique_ptr<Initiator> client = harness.Connected();
  harness.clock.Advance(seconds(59));
  SealedRequest forged = client->Seal("model", AsBytes("question")).value();
  forged.ciphertext[0] ^= 1;
  EXPECT_EQ(ReasonOf(harness.responder->Open(forged).status()), Reason::kOpenFailed);
  harness.clock.Advance(seconds(1));
  harness.responder->Tick();
  EXPECT_EQ(harness.responder->num_live_sessions(), 0u);
}

TEST(ResponderTest, ARefusedSessionIsNotRemembered) {
  ResponderOptions options = kShort;
  options.max_live_sessions = 1;
  options.idle_timeout = seconds(60);
  Harness harness(options);
  const std::unique_ptr<Initiator> a = harness.Connected();
  const std::unique_ptr<Initiator> b = harness.NewClient();
  EXPECT_EQ(ReasonOf(harness.Hello(*b).status()), Reason::kSessionLimit);
  harness.clock.Advance(seconds(60));
  EXPECT_TRUE(harness.Connect(*b).ok());
}

// Several clients, a thread that reloads, one that rotates and one that replays everything: each request is opened at
// most once, and what is opened is what was sent.
TEST(ResponderConcurrencyTest, RequestsAreOpenedAtMostOnceWhileKeysComeAndGo) {
  Harness harness({.rotate_after = seconds(10), .grace = seconds(10)});
  std::atomic<int> num_opened = 0;
  std::atomic<bool> done = false;
  std::jthread disturber([&harness, &done] {
    for (int i = 0; !done; ++i) {
      harness.clock.Advance(seconds(1));
      harness.responder->Tick();
      (void)harness.responder->LiveKeyIds();
      if (i % 64 == 63) {
        harness.responder->Reissue(ManifestOf("v" + std::to_string(i)), nullptr);
      }
    }
  });
  {
    std::vector<std::jthread> clients;
    for (int t = 0; t < 4; ++t) {
      clients.emplace_back([&harness, &num_opened] {
        for (int i = 0; i < 50; ++i) {
          const std::unique_ptr<Initiator> client = harness.NewClient();
          if (!harness.Connect(*client).ok()) {
            continue;
          }
          const SealedRequest request = client->Seal("model", AsBytes("question")).value();
          std::atomic<int> opened_here = 0;
          {
            std::vector<std::jthread> racers;
            for (int r = 0; r < 3; ++r) {
              racers.emplace_back([&harness, &request, &opened_here] {
                const absl::StatusOr<OpenedRequest> opened = harness.responder->Open(request);
                if (opened.ok()) {
                  EXPECT_EQ(ToString(opened->plaintext.Expose()), "question");
                  ++opened_here;
                }
              });
            }
          }
          EXPECT_LE(opened_here, 1);
          num_opened += opened_here;
        }
      });
    }
  }
  done = true;
  EXPECT_GT(num_opened, 0);
}

TEST(ResponderConcurrencyTest, ThreadsShareOneSession) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&harness, &client] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(harness.Ask(*client), kNone);
      }
    });
  }
}

}  // namespace
}  // namespace shoji::channel
