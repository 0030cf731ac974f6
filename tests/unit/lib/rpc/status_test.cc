// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/status.h"

#include <string>

#include <gtest/gtest.h>

#include "google/rpc/status.pb.h"
#include "lib/rpc/deadline.h"
#include "shoji/v1/error.pb.h"
#include "tests/support/fake_clock.h"

namespace shoji::rpc {
namespace {

TEST(StatusTest, EveryReasonSurvivesTheWire) {
  for (uint8_t value = 1; value <= kMaxReason; ++value) {
    const absl::Status sent = ErrorOf(static_cast<Reason>(value));
    const absl::Status received = FromGrpcStatus(ToGrpcStatus(sent));
    EXPECT_EQ(received.code(), sent.code());
    EXPECT_EQ(received.message(), sent.message());
    EXPECT_EQ(ReasonOf(received), static_cast<Reason>(value));
    EXPECT_EQ(NameOf(static_cast<Reason>(value)), v1::Reason_Name(value));
  }
  EXPECT_FALSE(v1::Reason_IsValid(kMaxReason + 1));
}

TEST(StatusTest, EveryCodeSurvivesTheWire) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status sent(static_cast<absl::StatusCode>(code), "text");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(sent)), sent);
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(StatusTest, RetryAdviceSurvivesTheWire) {
  const absl::Status sent = WithRetryAfter(ErrorOf(Reason::kOverloaded), std::chrono::milliseconds(250));
  const absl::Status received = FromGrpcStatus(ToGrpcStatus(sent));
  EXPECT_EQ(RetryAfterOf(received), std::chrono::milliseconds(250));
  EXPECT_EQ(ReasonOf(received), Reason::kOverloaded);
  EXPECT_EQ(RetryAfterOf(ErrorOf(Reason::kOverloaded)).count(), 0);
}

TEST(StatusTest, DetailsAreAStandardRpcStatus) {
  const grpc::Status status = ToGrpcStatus(ErrorOf(Reason::kUnknownKey));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), static_cast<int>(status.error_code()));
  EXPECT_EQ(details.message(), status.error_message());
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/shoji.v1.ErrorDetail");
}

TEST(StatusTest, HostileDetailsAreDropped) {
  EXPECT_EQ(ReasonOf(FromGrpcStatus({grpc::StatusCode::NOT_FOUND, "x", "\xff\xff\xff"})), Reason::kUnspecified);
  EXPECT_EQ(ReasonOf(FromGrpcStatus({grpc::StatusCode::NOT_FOUND, "x", std::string(100'000, '\x01')})),
            Reason::kUnspecified);
  for (const int value : {-1, 0, kMaxReason + 1, 250, 256 + 1, 1 << 30}) {
    v1::ErrorDetail detail;
    detail.set_reason(static_cast<v1::Reason>(value));
    google::rpc::Status details;
    details.add_details()->PackFrom(detail);
    const absl::Status received = FromGrpcStatus({grpc::StatusCode::NOT_FOUND, "x", details.SerializeAsString()});
    EXPECT_EQ(ReasonOf(received), Reason::kUnspecified) << value;
  }
  EXPECT_LE(FromGrpcStatus({grpc::StatusCode::INTERNAL, std::string(1 << 20, 'x')}).message().size(), 1024U);
}

TEST(DeadlineTest, ConvertsBothWays) {
  const testing::FakeClock clock;
  const SteadyTime deadline = clock.SteadyNow() + std::chrono::milliseconds(1500);
  EXPECT_EQ(ToGrpcDeadline(deadline, clock), clock.SystemNow() + std::chrono::milliseconds(1500));
  EXPECT_EQ(FromGrpcDeadline(ToGrpcDeadline(deadline, clock), clock), deadline);
}

TEST(DeadlineTest, NoDeadlineAndThePastAreSafe) {
  const testing::FakeClock clock;
  EXPECT_EQ(FromGrpcDeadline(SystemTime::max(), clock), std::nullopt);
  EXPECT_LT(*FromGrpcDeadline(SystemTime::min(), clock), clock.SteadyNow());
  EXPECT_EQ(ToGrpcDeadline(SteadyTime::max(), clock), SystemTime::max());
  EXPECT_LT(ToGrpcDeadline(SteadyTime::min(), clock), clock.SystemNow());
}

}  // namespace
}  // namespace shoji::rpc
