// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/health_board.h"

#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::server {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::ElementsAre;

class FakeWatcher final : public HealthBoard::Watcher {
 public:
  void OnHealth(HealthBoard::Status status) override { seen.push_back(status); }
  void OnEnd(const absl::Status& status) override { ends.push_back(status.code()); }

  std::vector<HealthBoard::Status> seen;
  std::vector<absl::StatusCode> ends;
};

class HealthBoardTest : public ::testing::Test {
 protected:
  HealthBoard board_{{"a.Service"}};
  FakeWatcher watcher_;
};

TEST_F(HealthBoardTest, SaysNotServingAtFirstAndKnowsTheServerAndItsServices) {
  EXPECT_EQ(*board_.Check(""), HealthCheckResponse::NOT_SERVING);
  board_.SetServing(true);
  EXPECT_EQ(*board_.Check("a.Service"), HealthCheckResponse::SERVING);
  EXPECT_EQ(board_.Check("b.Service").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(HealthBoardTest, AWatcherHearsThePresentStatusAndThenEveryChangeOnce) {
  board_.Watch(watcher_, "");
  board_.Written(watcher_);
  board_.SetServing(true);
  board_.Written(watcher_);
  board_.SetServing(true);
  EXPECT_THAT(watcher_.seen, ElementsAre(HealthCheckResponse::NOT_SERVING, HealthCheckResponse::SERVING));
}

TEST_F(HealthBoardTest, WhileAWriteIsUnderWayOnlyTheNewestStatusIsKept) {
  board_.Watch(watcher_, "");
  board_.SetServing(true);
  board_.SetServing(false);
  board_.SetServing(true);
  EXPECT_EQ(watcher_.seen.size(), 1U);
  board_.Written(watcher_);
  EXPECT_THAT(watcher_.seen, ElementsAre(HealthCheckResponse::NOT_SERVING, HealthCheckResponse::SERVING));
}

TEST_F(HealthBoardTest, AServiceItDoesNotKnowStaysUnknown) {
  board_.Watch(watcher_, "b.Service");
  board_.Written(watcher_);
  board_.SetServing(true);
  EXPECT_THAT(watcher_.seen, ElementsAre(HealthCheckResponse::SERVICE_UNKNOWN));
}

TEST_F(HealthBoardTest, ShutdownEndsEveryWatcherAndSaysNotServingForGood) {
  board_.SetServing(true);
  board_.Watch(watcher_, "");
  board_.Written(watcher_);
  board_.Shutdown();
  board_.SetServing(true);
  EXPECT_EQ(*board_.Check(""), HealthCheckResponse::NOT_SERVING);
  EXPECT_THAT(watcher_.ends, ElementsAre(absl::StatusCode::kUnavailable));
  EXPECT_EQ(watcher_.seen.size(), 1U);
  FakeWatcher late;
  board_.Watch(late, "");
  EXPECT_THAT(late.ends, ElementsAre(absl::StatusCode::kUnavailable));
}

TEST_F(HealthBoardTest, ShutdownWaitsForAWriteUnderWay) {
  board_.Watch(watcher_, "");
  board_.Shutdown();
  EXPECT_TRUE(watcher_.ends.empty());
  board_.Written(watcher_);
  EXPECT_EQ(watcher_.ends.size(), 1U);
}

TEST_F(HealthBoardTest, OneThatLeftHearsNothingMore) {
  board_.Watch(watcher_, "");
  board_.Leave(watcher_, absl::CancelledError("gone"));
  board_.Leave(watcher_, absl::CancelledError("gone"));
  board_.Written(watcher_);
  board_.SetServing(true);
  board_.Shutdown();
  EXPECT_EQ(watcher_.seen.size(), 1U);
  EXPECT_THAT(watcher_.ends, ElementsAre(absl::StatusCode::kCancelled));
}

TEST_F(HealthBoardTest, TooManyWatchersAreRefused) {
  std::vector<std::unique_ptr<FakeWatcher>> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(std::make_unique<FakeWatcher>());
    board_.Watch(*many.back(), "");
  }
  EXPECT_TRUE(many.back()->ends.empty());
  board_.Watch(watcher_, "");
  EXPECT_THAT(watcher_.ends, ElementsAre(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace shoji::server
