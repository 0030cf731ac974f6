// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/payload.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "lib/base/reason.h"

namespace shoji::channel {
namespace {

constexpr RequestBodySizes kSizes = {.picture = 12, .tensors = 48};

Bytes BytesOf(const crypto::PlaintextBytes& plaintext) {
  return {plaintext.Expose().begin(), plaintext.Expose().end()};
}

TEST(RequestPayloadTest, BothKindsComeBackAsTheyWent) {
  for (const auto& [kind, size] : {std::pair{RequestKind::kPicture, 12}, std::pair{RequestKind::kTensors, 48}}) {
    const Bytes body(static_cast<size_t>(size), 0x42);
    const crypto::PlaintextBytes plaintext = BuildRequest(kind, body);
    EXPECT_TRUE(IsRequestSize(plaintext.size() + crypto::kAeadTagSize, kSizes));
    const absl::StatusOr<RequestView> view = ParseRequest(plaintext.Expose(), kSizes);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(view->kind, kind);
    EXPECT_TRUE(std::ranges::equal(view->body, body));
  }
}

TEST(RequestPayloadTest, TheHeaderIsLaidOutAsDocumented) {
  EXPECT_EQ(HexEncode(BuildRequest(RequestKind::kPicture, AsBytes("xyz")).Expose()), "0101000078797a");
}

TEST(RequestPayloadTest, EveryOtherLengthIsBadInput) {
  const Bytes good = BytesOf(BuildRequest(RequestKind::kPicture, Bytes(12)));
  for (size_t length = 0; length < 60; ++length) {
    Bytes changed = good;
    changed.resize(length);
    const absl::Status status = ParseRequest(changed, kSizes).status();
    EXPECT_EQ(ReasonOf(status), length == good.size() ? Reason::kUnspecified : Reason::kBadInput) << length;
  }
}

TEST(RequestPayloadTest, EveryChangedHeaderByteIsBadInput) {
  const Bytes good = BytesOf(BuildRequest(RequestKind::kPicture, Bytes(12)));
  for (size_t i = 0; i < kRequestHeaderSize; ++i) {
    for (int value = 0; value < 256; ++value) {
      Bytes changed = good;
      changed[i] = static_cast<uint8_t>(value);
      // The last one may ask for the trailer.
      EXPECT_EQ(ParseRequest(changed, kSizes).ok(), changed == good || (i == 3 && value == 1)) << i << " " << value;
    }
  }
}

TEST(RequestPayloadTest, AKindThatTheModelDoesNotTakeIsBadInput) {
  const RequestBodySizes only_tensors = {.picture = RequestBodySizes::kNone, .tensors = 12};
  EXPECT_TRUE(ParseRequest(BuildRequest(RequestKind::kTensors, Bytes(12)).Expose(), only_tensors).ok());
  EXPECT_EQ(ReasonOf(ParseRequest(BuildRequest(RequestKind::kPicture, Bytes(12)).Expose(), only_tensors).status()),
            Reason::kBadInput);
}

TEST(RequestPayloadTest, OnlyTheLengthsOfTheModelsKindsAreRequestLengths) {
  EXPECT_TRUE(IsRequestSize(4 + 12 + 16, kSizes));
  EXPECT_TRUE(IsRequestSize(4 + 48 + 16, kSizes));
  EXPECT_FALSE(IsRequestSize(4 + 13 + 16, kSizes));
  EXPECT_FALSE(IsRequestSize(0, kSizes));
  EXPECT_FALSE(IsRequestSize(4 + 16 - 1, {}));
  EXPECT_FALSE(IsRequestSize(4 + 16, {}));
}

TEST(AnswerPayloadTest, AnAnswerComesBackAsItWent) {
  const crypto::PlaintextBytes plaintext = BuildAnswer(AsBytes("0123456789"));
  EXPECT_EQ(HexEncode(plaintext.Expose()), "010000000000000030313233343536373839");
  const absl::StatusOr<AnswerView> view = ParseAnswer(plaintext.Expose(), 10);
  ASSERT_TRUE(view.ok());
  EXPECT_TRUE(view->status.ok());
  EXPECT_EQ(ToString(view->body), "0123456789");
}

TEST(RequestPayloadTest, TheTrailerIsAskedForByTheFlagWhateverElseIsWrong) {
  EXPECT_EQ(TrailerAskedBy(BuildRequest(RequestKind::kPicture, Bytes(12)).Expose()), Trailer::kNone);
  const Bytes asking = BytesOf(BuildRequest(RequestKind::kPicture, AsBytes("xyz"), Trailer::kPhases));
  EXPECT_EQ(HexEncode(asking), "0101000178797a");
  EXPECT_EQ(TrailerAskedBy(asking), Trailer::kPhases);
  EXPECT_FALSE(ParseRequest(asking, kSizes).ok());
  EXPECT_EQ(TrailerAskedBy(ByteSpan(asking).first(3)), Trailer::kNone);
}

TEST(AnswerPayloadTest, ATrailerFollowsTheBodyOfResultsAndErrorsAlike) {
  PhaseTimes phases;
  phases[Phase::kQueue] = std::chrono::microseconds(48);
  phases[Phase::kSeal] = std::chrono::microseconds(16);
  const Bytes answer = BytesOf(BuildAnswer(AsBytes("abcd"), phases));
  EXPECT_EQ(HexEncode(answer),
            "010000000000000061626364"
            "0000003000000000000000000000000000000000000000000000001000000000");
  const Bytes error = BytesOf(BuildErrorAnswer(ErrorOf(Reason::kBadInput), 4, phases));
  EXPECT_EQ(error.size(), answer.size());
  for (const Bytes& either : {answer, error}) {
    const absl::StatusOr<AnswerView> view = ParseAnswer(either, 4, Trailer::kPhases);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(view->body.size(), 4U);
    ASSERT_TRUE(view->phases.has_value());
    EXPECT_EQ(view->phases->times, phases.times);
    EXPECT_FALSE(ParseAnswer(either, 4).ok());
  }
  EXPECT_FALSE(ParseAnswer(BytesOf(BuildAnswer(AsBytes("abcd"))), 4, Trailer::kPhases).ok());
}

TEST(AnswerPayloadTest, EveryReasonTravelsAtTheAnswersLength) {
  for (uint8_t value = 1; value <= kMaxReason; ++value) {
    const absl::Status error = ErrorOf(static_cast<Reason>(value));
    const crypto::PlaintextBytes plaintext = BuildErrorAnswer(error, 10);
    ASSERT_EQ(plaintext.size(), BuildAnswer(AsBytes("0123456789")).size());
    const absl::StatusOr<AnswerView> view = ParseAnswer(plaintext.Expose(), 10);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(view->status, error);
    EXPECT_TRUE(std::ranges::all_of(view->body, [](uint8_t byte) { return byte == 0; }));
  }
}

TEST(AnswerPayloadTest, AnErrorsMessageDoesNotTravel) {
  const crypto::PlaintextBytes plaintext = BuildErrorAnswer(absl::InternalError("secret pixel 42"), 0);
  EXPECT_EQ(HexEncode(plaintext.Expose()), "010d000000000000");
}

TEST(AnswerPayloadTest, AReasonOfTheFutureKeepsItsCode) {
  const Bytes plaintext = {1, 14, 0x12, 0x34, 0, 0, 0, 0};
  const absl::StatusOr<AnswerView> view = ParseAnswer(plaintext, 0);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(view->status), Reason::kUnspecified);
}

TEST(AnswerPayloadTest, MalformedAnswersAreRefused) {
  const Bytes good = BytesOf(BuildAnswer(Bytes(4)));
  for (size_t length = 0; length < 2 * good.size(); ++length) {
    Bytes changed = good;
    changed.resize(length);
    EXPECT_EQ(ParseAnswer(changed, 4).ok(), length == good.size()) << length;
  }
  for (const auto& [position, value] : {std::pair{0, 2}, {0, 0}, {1, 17}, {1, 255}, {3, 1}, {4, 1}, {7, 1}}) {
    Bytes changed = good;
    changed[static_cast<size_t>(position)] = static_cast<uint8_t>(value);
    EXPECT_EQ(ReasonOf(ParseAnswer(changed, 4).status()), Reason::kBadInput) << position << " " << value;
  }
}

}  // namespace
}  // namespace shoji::channel
