// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/reason.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/cord.h"

namespace shoji {
namespace {

TEST(ReasonTest, EveryReasonTravelsInItsStatus) {
  for (uint8_t value = 0; value <= kMaxReason; ++value) {
    const auto reason = static_cast<Reason>(value);
    const absl::Status status = ErrorOf(reason);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(ReasonOf(status), reason);
  }
}

TEST(ReasonTest, NamesAreThoseOfTheProtocolAndDiffer) {
  std::set<std::string> names;
  for (uint8_t value = 0; value <= kMaxReason; ++value) {
    names.insert(std::string(NameOf(static_cast<Reason>(value))));
  }
  EXPECT_EQ(names.size(), kMaxReason + 1u);
  EXPECT_EQ(NameOf(Reason::kOpenFailed), "OPEN_FAILED");
  EXPECT_EQ(NameOf(Reason::kEncReused), "ENC_REUSED");
}

TEST(ReasonTest, AStatusWithoutAReasonOrWithABadOneHasNone) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), Reason::kUnspecified);
  EXPECT_EQ(ReasonOf(absl::NotFoundError("elsewhere")), Reason::kUnspecified);
  for (const std::string& payload : {std::string(), std::string(1, '\x7f'), std::string("\x01\x02")}) {
    absl::Status status = absl::NotFoundError("forged");
    status.SetPayload("type.shoji/reason", absl::Cord(payload));
    EXPECT_EQ(ReasonOf(status), Reason::kUnspecified);
  }
}

TEST(ReasonTest, ClientsCanActOnTheCode) {
  EXPECT_EQ(ErrorOf(Reason::kUnknownKey).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorOf(Reason::kStaleManifest).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorOf(Reason::kOverloaded).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorOf(Reason::kDeadline).code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace shoji
