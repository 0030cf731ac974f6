// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/reload_thread.h"

#include <atomic>
#include <memory>
#include <semaphore>

#include <gtest/gtest.h>

namespace shoji::enclave {
namespace {

class ReloadThreadTest : public ::testing::Test {
 protected:
  void Reload() {
    begun_.release();
    may_end_.acquire();
    ++num_ended_;
  }

  std::counting_semaphore<> begun_{0};
  std::counting_semaphore<> may_end_{0};
  std::atomic<int> num_ended_ = 0;
  std::unique_ptr<ReloadThread> reloads_ = std::make_unique<ReloadThread>([this] { Reload(); });
};

TEST_F(ReloadThreadTest, WhoAsksDoesNotWait) {
  reloads_->Ask();
  begun_.acquire();
  reloads_->Ask();  // nor while one is under way
  EXPECT_EQ(num_ended_, 0);
  may_end_.release(2);
  begun_.acquire();
  reloads_.reset();
  EXPECT_EQ(num_ended_, 2) << "what was asked for while one was under way may have changed files that it had read";
}

TEST_F(ReloadThreadTest, WhatIsAskedForSeveralTimesWhileOneIsUnderWayHappensOnceMore) {
  reloads_->Ask();
  begun_.acquire();
  reloads_->Ask();
  reloads_->Ask();
  reloads_->Ask();
  may_end_.release(4);
  begun_.acquire();
  reloads_.reset();
  EXPECT_EQ(num_ended_, 2);
}

TEST_F(ReloadThreadTest, TheEndWaitsForTheOneUnderWay) {
  reloads_->Ask();
  begun_.acquire();
  may_end_.release();
  reloads_.reset();
  EXPECT_EQ(num_ended_, 1);
}

TEST_F(ReloadThreadTest, EndsWithoutAnyHavingBeenAskedFor) {
  reloads_.reset();
  EXPECT_EQ(num_ended_, 0);
}

}  // namespace
}  // namespace shoji::enclave
