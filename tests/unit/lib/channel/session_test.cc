// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The two ends together: what goes through, and that nothing altered, replayed or misplaced does.
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/lib/channel/harness.h"

namespace shoji::channel {
namespace {

TEST(SessionTest, ARequestAndItsAnswerGoThrough) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest request = client->Seal("model", AsBytes("question")).value();
  EXPECT_EQ(request.sequence, 1u);
  EXPECT_EQ(request.ciphertext.size(), 8 + crypto::kAeadTagSize);
  const OpenedRequest opened = harness.responder->Open(request).value();
  EXPECT_EQ(ToString(opened.plaintext.Expose()), "question");
  EXPECT_EQ(*std::static_pointer_cast<const std::string>(opened.context), "v1");
  const SealedAnswer answer = opened.sealer.Seal(AsBytes("answer")).value();
  EXPECT_EQ(ToString(client->OpenResponse(1, "model", answer)->Expose()), "answer");
}

TEST(SessionTest, ManyRequestsGoThroughInAnyOrder) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  std::vector<SealedRequest> requests;
  for (int i = 0; i < 100; ++i) {
    requests.push_back(client->Seal("model", AsBytes(std::to_string(i))).value());
  }
  for (size_t i = requests.size(); i-- > 0;) {
    EXPECT_EQ(ToString(harness.responder->Open(requests[i])->plaintext.Expose()), std::to_string(i));
  }
}

TEST(SessionTest, ARequestDoesNotOpenAsAReleaseNorAReleaseAsARequest) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  for (const Purpose purpose : {Purpose::kInference, Purpose::kRelease}) {
    SealedRequest request = client->Seal("model", AsBytes("question"), purpose).value();
    EXPECT_EQ(request.purpose, purpose);
    const SealedRequest same = request;
    request.purpose = purpose == Purpose::kRelease ? Purpose::kInference : Purpose::kRelease;
    EXPECT_EQ(ReasonOf(harness.responder->Open(request).status()), Reason::kOpenFailed);
    EXPECT_TRUE(harness.responder->Open(same).ok());
  }
}

TEST(SessionTest, NothingIsSentBeforeTheEnclaveHasProvedItself) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.NewClient();
  EXPECT_EQ(client->Seal("model", AsBytes("question")).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SessionTest, EveryFlippedBitAndTruncationOfARequestIsRefusedWithoutEffect) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest request = client->Seal("model", AsBytes("question")).value();
  for (size_t bit = 0; bit < request.ciphertext.size() * 8; ++bit) {
    SealedRequest changed = request;
    changed.ciphertext = WithFlippedBit(request.ciphertext, bit);
    ASSERT_EQ(ReasonOf(harness.responder->Open(changed).status()), Reason::kOpenFailed) << bit;
  }
  for (size_t length = 0; length < request.ciphertext.size(); ++length) {
    SealedRequest changed = request;
    changed.ciphertext.resize(length);
    ASSERT_EQ(ReasonOf(harness.responder->Open(changed).status()), Reason::kOpenFailed) << length;
  }
  EXPECT_TRUE(harness.responder->Open(request).ok());
}

TEST(SessionTest, EveryChangedFieldAroundARequestIsRefusedWithoutEffect) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest request = client->Seal("model", AsBytes("question")).value();
  const auto refused = [&harness, &request](auto change) {
    SealedRequest changed = request;
    change(changed);
    return ReasonOf(harness.responder->Open(changed).status());
  };
  EXPECT_EQ(refused([](SealedRequest& r) { r.model = "models"; }), Reason::kOpenFailed);
  EXPECT_EQ(refused([](SealedRequest& r) { r.model = ""; }), Reason::kOpenFailed);
  EXPECT_EQ(refused([](SealedRequest& r) { r.sequence = 2; }), Reason::kOpenFailed);
  EXPECT_EQ(refused([](SealedRequest& r) { r.sequence = UINT64_MAX; }), Reason::kOpenFailed);
  EXPECT_EQ(refused([](SealedRequest& r) { r.sequence = 0; }), Reason::kReplayed);  // the hello's
  EXPECT_EQ(refused([](SealedRequest& r) { r.session_id[0] ^= 1; }), Reason::kUnknownSession);
  EXPECT_EQ(refused([](SealedRequest& r) { r.key_id[0] ^= 1; }), Reason::kUnknownKey);
  EXPECT_TRUE(harness.responder->Open(request).ok());
}

TEST(SessionTest, EveryFlippedBitAndTruncationOfAnAnswerIsRefused) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const OpenedRequest opened = harness.responder->Open(client->Seal("model", AsBytes("question")).value()).value();
  const SealedAnswer answer = opened.sealer.Seal(AsBytes("answer")).value();
  for (size_t bit = 0; bit < answer.ciphertext.size() * 8; ++bit) {
    const SealedAnswer changed = {.salt = answer.salt, .ciphertext = WithFlippedBit(answer.ciphertext, bit)};
    ASSERT_EQ(ReasonOf(client->OpenResponse(1, "model", changed).status()), Reason::kOpenFailed) << bit;
  }
  for (size_t bit = 0; bit < answer.salt.size() * 8; ++bit) {
    SealedAnswer changed = answer;
    changed.salt[bit / 8] = static_cast<uint8_t>(changed.salt[bit / 8] ^ 1 << bit % 8);
    ASSERT_EQ(ReasonOf(client->OpenResponse(1, "model", changed).status()), Reason::kOpenFailed) << bit;
  }
  for (size_t length = 0; length < answer.ciphertext.size(); ++length) {
    SealedAnswer changed = answer;
    changed.ciphertext.resize(length);
    ASSERT_EQ(ReasonOf(client->OpenResponse(1, "model", changed).status()), Reason::kOpenFailed) << length;
  }
  EXPECT_TRUE(client->OpenResponse(1, "model", answer).ok());
}

TEST(SessionTest, AnAnswerBelongsToItsRequestAndModel) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const OpenedRequest first = harness.responder->Open(client->Seal("model", AsBytes("1")).value()).value();
  const SealedAnswer answer = first.sealer.Seal(AsBytes("answer")).value();
  EXPECT_EQ(ReasonOf(client->OpenResponse(2, "model", answer).status()), Reason::kOpenFailed);
  EXPECT_EQ(ReasonOf(client->OpenResponse(1, "other", answer).status()), Reason::kOpenFailed);
  const std::unique_ptr<Initiator> other = harness.Connected();
  EXPECT_EQ(ReasonOf(other->OpenResponse(1, "model", answer).status()), Reason::kOpenFailed);
}

TEST(SessionTest, ARetryIsSealedAnewUnderAnotherSalt) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const OpenedRequest opened = harness.responder->Open(client->Seal("model", AsBytes("1")).value()).value();
  const SealedAnswer a = opened.sealer.Seal(AsBytes("answer")).value();
  const SealedAnswer b = opened.sealer.Seal(AsBytes("answer")).value();
  EXPECT_NE(a.salt, b.salt);
  EXPECT_NE(a.ciphertext, b.ciphertext);
  EXPECT_TRUE(client->OpenResponse(1, "model", a).ok());
  EXPECT_TRUE(client->OpenResponse(1, "model", b).ok());
}

TEST(SessionTest, EveryFlippedBitAndTruncationOfAHelloIsRefusedAndItsEncNotRemembered) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.NewClient();
  const auto hello = [&harness, &client](const crypto::HpkeEnc& enc, ByteSpan sealed) {
    return ReasonOf(harness.responder->OpenSession(client->key_id(), client->manifest_digest(), enc, sealed).status());
  };
  for (size_t bit = 0; bit < client->sealed_hello().size() * 8; ++bit) {
    ASSERT_EQ(hello(client->enc(), WithFlippedBit(client->sealed_hello(), bit)), Reason::kOpenFailed) << bit;
  }
  for (size_t length = 0; length < client->sealed_hello().size(); ++length) {
    ASSERT_EQ(hello(client->enc(), ByteSpan(client->sealed_hello()).first(length)), Reason::kOpenFailed) << length;
  }
  for (size_t bit = 0; bit < client->enc().size() * 8; ++bit) {
    crypto::HpkeEnc enc = client->enc();
    enc[bit / 8] = static_cast<uint8_t>(enc[bit / 8] ^ 1 << bit % 8);
    ASSERT_EQ(hello(enc, client->sealed_hello()), Reason::kOpenFailed) << bit;
  }
  EXPECT_EQ(harness.responder->num_live_sessions(), 0u);
  EXPECT_TRUE(harness.Connect(*client).ok());
}

TEST(SessionTest, AHelloWithAPointOfSmallOrderIsRefused) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.NewClient();
  EXPECT_EQ(
      ReasonOf(harness.responder
                   ->OpenSession(client->key_id(), client->manifest_digest(), crypto::HpkeEnc{}, client->sealed_hello())
                   .status()),
      Reason::kOpenFailed);
}

TEST(SessionTest, AForgedAnswerToTheHelloIsRefused) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.NewClient();
  const HelloAck ack = harness.Hello(*client).value();
  SessionId other_id = ack.session_id;
  other_id[3] ^= 1;
  EXPECT_EQ(ReasonOf(client->VerifyHello(other_id, ack.sealed_hello)), Reason::kOpenFailed);
  for (size_t bit = 0; bit < ack.sealed_hello.ciphertext.size() * 8; ++bit) {
    const SealedAnswer changed = {.salt = ack.sealed_hello.salt,
                                  .ciphertext = WithFlippedBit(ack.sealed_hello.ciphertext, bit)};
    ASSERT_EQ(ReasonOf(client->VerifyHello(ack.session_id, changed)), Reason::kOpenFailed) << bit;
  }
  EXPECT_FALSE(client->Seal("model", {}).ok());
  EXPECT_TRUE(client->VerifyHello(ack.session_id, ack.sealed_hello).ok());
}

TEST(SessionTest, ADifferentManifestDigestOpensNoSession) {
  Harness harness;
  const ManifestView manifest = harness.responder->Current();
  ManifestDigest forged = manifest.digest;
  forged[0] ^= 1;
  // A client that was shown a forged manifest with the true key.
  const std::unique_ptr<Initiator> client = Initiator::Create(KeyIn(manifest), forged).value();
  EXPECT_EQ(ReasonOf(harness.Hello(*client).status()), Reason::kStaleManifest);
  // The front end repairs the digest that it forged before.
  EXPECT_EQ(
      ReasonOf(harness.responder->OpenSession(client->key_id(), manifest.digest, client->enc(), client->sealed_hello())
                   .status()),
      Reason::kOpenFailed);
}

TEST(SessionTest, AReplayedRequestIsRefused) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest request = client->Seal("model", AsBytes("question")).value();
  ASSERT_TRUE(harness.responder->Open(request).ok());
  EXPECT_EQ(ReasonOf(harness.responder->Open(request).status()), Reason::kReplayed);
  EXPECT_EQ(harness.Ask(*client), kNone);
}

TEST(SessionTest, ARequestOlderThanTheWindowIsRefused) {
  Harness harness({.replay_window_size = 64});
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest late = client->Seal("model", AsBytes("late")).value();
  for (int i = 0; i < 64; ++i) {
    ASSERT_EQ(harness.Ask(*client), kNone);
  }
  EXPECT_EQ(ReasonOf(harness.responder->Open(late).status()), Reason::kSequenceTooOld);
}

TEST(SessionTest, AForgedHighNumberDoesNotMoveTheWindow) {
  Harness harness({.replay_window_size = 64});
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest request = client->Seal("model", AsBytes("question")).value();
  SealedRequest forged = request;
  forged.sequence = uint64_t{1} << 40;
  EXPECT_EQ(ReasonOf(harness.responder->Open(forged).status()), Reason::kOpenFailed);
  EXPECT_TRUE(harness.responder->Open(request).ok());
}

TEST(SessionTest, ARequestOfAnotherSessionIsRefused) {
  Harness harness;
  const std::unique_ptr<Initiator> a = harness.Connected();
  const std::unique_ptr<Initiator> b = harness.Connected();
  SealedRequest request = a->Seal("model", AsBytes("question")).value();
  request.session_id = b->session_id();
  EXPECT_EQ(ReasonOf(harness.responder->Open(request).status()), Reason::kOpenFailed);
  EXPECT_EQ(harness.Ask(*b), kNone);
}

TEST(SessionTest, ASecondHelloWithTheSameEncIsRefused) {
  Harness harness;
  const std::unique_ptr<Initiator> client = harness.Connected();
  EXPECT_EQ(ReasonOf(harness.Hello(*client).status()), Reason::kEncReused);
  EXPECT_EQ(harness.Ask(*client), kNone);
}

TEST(SessionTest, AReplayAfterEvictionFindsNoSessionAndCannotReviveIt) {
  Harness harness({.idle_timeout = std::chrono::seconds(60)});
  const std::unique_ptr<Initiator> client = harness.Connected();
  const SealedRequest request = client->Seal("model", AsBytes("question")).value();
  ASSERT_TRUE(harness.responder->Open(request).ok());
  harness.clock.Advance(std::chrono::seconds(60));
  harness.responder->Tick();
  EXPECT_EQ(harness.responder->num_live_sessions(), 0u);
  EXPECT_EQ(ReasonOf(harness.responder->Open(request).status()), Reason::kUnknownSession);
  EXPECT_EQ(ReasonOf(harness.Hello(*client).status()), Reason::kEncReused);
  EXPECT_EQ(ReasonOf(harness.responder->Open(request).status()), Reason::kUnknownSession);
}

TEST(SessionTest, AnAnswerIsSealedAlthoughItsSessionWasEvictedMeanwhile) {
  Harness harness({.idle_timeout = std::chrono::seconds(60)});
  const std::unique_ptr<Initiator> client = harness.Connected();
  const OpenedRequest opened = harness.responder->Open(client->Seal("model", AsBytes("1")).value()).value();
  harness.clock.Advance(std::chrono::seconds(60));
  harness.responder->Tick();
  EXPECT_TRUE(client->OpenResponse(1, "model", opened.sealer.Seal(AsBytes("late")).value()).ok());
}

TEST(SessionTest, APublicKeyOfSmallOrderMakesNoInitiator) {
  EXPECT_EQ(Initiator::Create({}, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoji::channel
