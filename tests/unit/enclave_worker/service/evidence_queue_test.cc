// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/evidence_queue.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "lib/base/reason.h"
#include "lib/crypto/random.h"
#include "lib/digest/sha2.h"
#include "lib/rpc/status.h"
#include "tests/support/fake_clock.h"

namespace shoji::enclave {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Evidence that is its report data, so that a test can see what it binds.
class FakeProvider final : public EvidenceProvider {
 public:
  attest::EvidenceKind kind() const override { return attest::EvidenceKind::kTdx; }
  EvidenceInterface interface() const override { return EvidenceInterface::kConfigfsTsm; }
  absl::StatusOr<attest::Evidence> Generate(const attest::ReportData& report_data) override {
    ++num_quotes;
    if (during) {
      during();
    }
    if (!error.ok()) {
      return error;
    }
    return attest::Evidence{kind(), Bytes(report_data.begin(), report_data.end())};
  }

  std::function<void()> during;  // what happens while the platform makes a quote
  absl::Status error;
  std::atomic<int> num_quotes = 0;
};

class Caller final : public EvidenceQueue::Waiter {
 public:
  explicit Caller(const attest::Nonce& n) : nonce(n) {}
  void Done(const absl::StatusOr<EvidenceQueue::Issued>& result) override {
    ++num_done;
    issued = result;
    done.Notify();
  }
  Reason reason() const { return ReasonOf(issued.status()); }
  // Whether the evidence is over this caller's nonce, or over the root that its path leads to.
  bool IsBound() const {
    if (!issued.ok()) {
      return false;
    }
    const attest::Nonce bound = issued->path.has_value() ? attest::RootOf(nonce, *issued->path) : nonce;
    const attest::ReportData wanted = attest::ReportDataFor(digest::Sha256(issued->quote->manifest), bound);
    return issued->quote->evidence.data == Bytes(wanted.begin(), wanted.end());
  }

  const attest::Nonce nonce;
  absl::StatusOr<EvidenceQueue::Issued> issued = absl::UnknownError("nothing was said");
  std::atomic<int> num_done = 0;
  absl::Notification done;
};

class EvidenceQueueTest : public ::testing::Test {
 protected:
  EvidenceQueueTest() { Make({.quotes_per_second = 2, .max_waiting = 6}); }

  void Make(const EvidenceQueue::Limits& limits, const Clock* clock = nullptr) {
    queue_ = nullptr;
    queue_ = std::make_unique<EvidenceQueue>(
        EvidenceQueue::Options{
            .limits = limits,
            .claim =
                [this](const attest::Nonce& nonce) {
                  const Bytes manifest = ToBytes(manifest_);
                  return Enclave::Claim{manifest, attest::ReportDataFor(digest::Sha256(manifest), nonce)};
                },
            .after_quote = [this](const absl::Status& made) { after_quote_.push_back(made); }},
        provider_, clock == nullptr ? clock_ : *clock);
  }
  Caller& Call(std::chrono::nanoseconds patience = seconds(60)) {
    return CallWith(crypto::RandomArray<32>(), patience);
  }
  Caller& CallWith(const attest::Nonce& nonce, std::chrono::nanoseconds patience = seconds(60)) {
    Caller& caller = callers_.emplace_back(nonce);
    added_ = queue_->Add(nonce, clock_.SteadyNow() + patience, caller);
    return caller;
  }

  testing::FakeClock clock_;
  FakeProvider provider_;
  std::string manifest_ = "the first";
  std::vector<absl::Status> after_quote_;
  std::deque<Caller> callers_;
  absl::Status added_;
  std::unique_ptr<EvidenceQueue> queue_;
};

TEST_F(EvidenceQueueTest, ASingleCallerGetsEvidenceOverItsOwnNonce) {
  const Caller& caller = Call();
  queue_->Step();
  ASSERT_TRUE(caller.issued.ok()) << caller.issued.status();
  EXPECT_FALSE(caller.issued->path.has_value());
  EXPECT_TRUE(caller.IsBound());
  EXPECT_EQ(caller.issued->quote->evidence.kind, attest::EvidenceKind::kTdx);
}

TEST_F(EvidenceQueueTest, CallersOfOneMomentShareAQuoteAndEachGetsItsPath) {
  for (int i = 0; i < 5; ++i) {
    Call();
  }
  queue_->Step();
  EXPECT_EQ(provider_.num_quotes, 1);
  for (const Caller& caller : callers_) {
    ASSERT_TRUE(caller.issued.ok()) << caller.issued.status();
    EXPECT_EQ(caller.issued->path->siblings.size(), 3U);
    EXPECT_TRUE(caller.IsBound());
    EXPECT_EQ(caller.issued->quote, callers_.front().issued->quote);
    EXPECT_EQ(caller.num_done, 1);
  }
  EXPECT_EQ(queue_->counts().quotes, 1U);
  EXPECT_EQ(queue_->counts().answers, 5U);
}

TEST_F(EvidenceQueueTest, TheSameNonceTwiceIsServedTwice) {
  const attest::Nonce nonce = crypto::RandomArray<32>();
  const Caller& first = CallWith(nonce);
  const Caller& second = CallWith(nonce);
  queue_->Step();
  EXPECT_TRUE(first.IsBound());
  EXPECT_TRUE(second.IsBound());
  EXPECT_NE(first.issued->path->index, second.issued->path->index);
}

TEST_F(EvidenceQueueTest, WhoComesWhileAQuoteIsMadeWaitsForTheNext) {
  provider_.during = [this] {
    if (provider_.num_quotes == 1) {
      Call();
      Call();
    }
  };
  Call();
  queue_->Step();
  EXPECT_TRUE(callers_[0].IsBound());
  EXPECT_EQ(callers_[1].num_done, 0);
  clock_.Advance(milliseconds(500));
  queue_->Step();
  EXPECT_TRUE(callers_[1].IsBound());
  EXPECT_TRUE(callers_[2].IsBound());
  EXPECT_EQ(provider_.num_quotes, 2);
}

TEST_F(EvidenceQueueTest, QuotesAreBegunNoFasterThanIsAllowed) {
  Call();
  EXPECT_EQ(queue_->Step(), milliseconds(500));
  clock_.Advance(milliseconds(499));
  const Caller& waiting = Call();
  EXPECT_EQ(queue_->Step(), milliseconds(1));
  EXPECT_EQ(waiting.num_done, 0);
  clock_.Advance(milliseconds(1));
  queue_->Step();
  EXPECT_TRUE(waiting.IsBound());
  // Time without callers saves nothing up.
  clock_.Advance(seconds(100));
  Call();
  queue_->Step();
  const Caller& another = Call();
  queue_->Step();
  EXPECT_EQ(another.num_done, 0);
}

TEST_F(EvidenceQueueTest, WhoComesWhenTooManyWaitIsRefusedAndToldWhenToRetry) {
  provider_.during = [this] {
    clock_.Advance(milliseconds(300));
    for (int i = 0; i < 5; ++i) {
      Call();  // those in the quote count too
    }
  };
  Call();
  Call();
  queue_->Step();
  EXPECT_EQ(callers_.size(), 7U);
  EXPECT_EQ(ReasonOf(added_), Reason::kOverloaded);
  EXPECT_GE(rpc::RetryAfterOf(added_), milliseconds(200));
  EXPECT_EQ(callers_.back().num_done, 0);
  EXPECT_EQ(queue_->counts().refused, 1U);
  Call();
  EXPECT_TRUE(added_.ok()) << "the quote is made, and with it there is room";
  Call();
  Call();
  EXPECT_EQ(ReasonOf(added_), Reason::kOverloaded);
  EXPECT_GE(rpc::RetryAfterOf(added_), milliseconds(500)) << "200 ms until the next, which may take 300 ms again";
}

TEST_F(EvidenceQueueTest, WhoWaitedTooLongIsToldSoAndNotServed) {
  Call();
  queue_->Step();
  Caller& late = Call(milliseconds(400));
  Caller& patient = Call();
  clock_.Advance(milliseconds(400));
  queue_->Step();
  EXPECT_EQ(late.reason(), Reason::kDeadline);
  EXPECT_EQ(patient.num_done, 0);
  clock_.Advance(milliseconds(100));
  queue_->Step();
  EXPECT_TRUE(patient.IsBound());
  EXPECT_FALSE(patient.issued->path.has_value()) << "it is the only one left";
  EXPECT_EQ(late.num_done, 1);
}

TEST_F(EvidenceQueueTest, WhoLeavesHearsNothingMore) {
  Caller& leaves_before = Call();
  Caller& leaves_meanwhile = Call();
  Caller& stays = Call();
  EXPECT_TRUE(queue_->Leave(leaves_before));
  EXPECT_FALSE(queue_->Leave(leaves_before));
  provider_.during = [&] {
    EXPECT_TRUE(queue_->Leave(leaves_meanwhile));
    EXPECT_FALSE(queue_->Leave(leaves_meanwhile));
  };
  queue_->Step();
  EXPECT_EQ(leaves_before.num_done, 0);
  EXPECT_EQ(leaves_meanwhile.num_done, 0);
  EXPECT_TRUE(stays.IsBound());
  EXPECT_FALSE(queue_->Leave(stays));
  EXPECT_EQ(queue_->counts().answers, 1U);
}

TEST_F(EvidenceQueueTest, WhoLeavesWhileAQuoteIsMadeKeepsNobodyOut) {
  for (int i = 0; i < 6; ++i) {
    Call();
  }
  provider_.during = [this] {
    Call();
    EXPECT_EQ(ReasonOf(added_), Reason::kOverloaded);
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(queue_->Leave(callers_[static_cast<size_t>(i)]));
    }
    for (int i = 0; i < 5; ++i) {
      Call();
      EXPECT_TRUE(added_.ok()) << i;
    }
    Call();
    EXPECT_EQ(ReasonOf(added_), Reason::kOverloaded);
  };
  queue_->Step();
  EXPECT_TRUE(callers_[5].issued.ok());
  EXPECT_EQ(callers_[0].num_done, 0);
  Call();
  EXPECT_TRUE(added_.ok()) << "what was served waits no more";
}

TEST_F(EvidenceQueueTest, NoQuoteIsMadeForNobody) {
  queue_->Step();
  Caller& caller = Call();
  EXPECT_TRUE(queue_->Leave(caller));
  queue_->Step();
  EXPECT_EQ(provider_.num_quotes, 0);
}

TEST_F(EvidenceQueueTest, AllGetTheManifestThatTheirQuoteBindsThoughAnotherIsCurrentMeanwhile) {
  provider_.during = [this] { manifest_ = "the second"; };
  Call();
  Call();
  queue_->Step();
  for (const Caller& caller : callers_) {
    EXPECT_TRUE(caller.IsBound());
    EXPECT_EQ(ToString(caller.issued->quote->manifest), "the first");
  }
  clock_.Advance(milliseconds(500));
  const Caller& next = Call();
  queue_->Step();
  EXPECT_TRUE(next.IsBound());
  EXPECT_EQ(ToString(next.issued->quote->manifest), "the second");
}

TEST_F(EvidenceQueueTest, AQuoteThatFailsFailsThoseWhoSharedItAndCountsTowardsTheRate) {
  provider_.error = absl::UnavailableError("the quoting service is down");
  Call();
  Call();
  EXPECT_EQ(queue_->Step(), milliseconds(500));
  EXPECT_EQ(callers_[0].reason(), Reason::kInternal);
  EXPECT_EQ(callers_[1].reason(), Reason::kInternal);
  EXPECT_EQ(after_quote_.back(), provider_.error);
  EXPECT_EQ(std::string(callers_[0].issued.status().message()).find("quoting"), std::string::npos);
  EXPECT_EQ(queue_->counts().failed, 1U);
  provider_.error = absl::OkStatus();
  clock_.Advance(milliseconds(500));
  const Caller& next = Call();
  queue_->Step();
  EXPECT_TRUE(next.IsBound());
}

TEST_F(EvidenceQueueTest, WhatFollowsAQuoteHappensBeforeItsCallersHear) {
  class Watching final : public EvidenceQueue::Waiter {
   public:
    explicit Watching(const std::vector<absl::Status>& after) : after_(after) {}
    void Done(const absl::StatusOr<EvidenceQueue::Issued>&) override { seen = after_.size(); }
    size_t seen = 0;

   private:
    const std::vector<absl::Status>& after_;
  };
  Watching watching(after_quote_);
  ASSERT_TRUE(queue_->Add({}, clock_.SteadyNow() + seconds(1), watching).ok());
  queue_->Step();
  EXPECT_EQ(watching.seen, 1U);
}

TEST_F(EvidenceQueueTest, WhoWaitsWhenTheQueueEndsIsToldSo) {
  const Caller& caller = Call();
  queue_ = nullptr;
  EXPECT_EQ(caller.reason(), Reason::kDraining);
  EXPECT_EQ(caller.num_done, 1);
}

TEST_F(EvidenceQueueTest, ItsThreadServesCallersOfManyThreadsWithFewQuotes) {
  constexpr int kThreads = 8;
  constexpr int kCallsEach = 40;
  const RealClock clock;
  Make({.quotes_per_second = 500, .max_waiting = 1024}, &clock);
  queue_->Start();
  std::atomic<int> num_bound = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        std::deque<Caller> mine;
        for (int i = 0; i < kCallsEach; ++i) {
          Caller& caller = mine.emplace_back(crypto::RandomArray<32>());
          EXPECT_TRUE(queue_->Add(caller.nonce, clock.SteadyNow() + seconds(60), caller).ok());
        }
        for (Caller& caller : mine) {
          caller.done.WaitForNotification();
          num_bound += caller.IsBound() ? 1 : 0;
        }
      });
    }
  }
  queue_ = nullptr;
  EXPECT_EQ(num_bound, kThreads * kCallsEach);
  EXPECT_LT(provider_.num_quotes, kThreads * kCallsEach / 4);
}

TEST_F(EvidenceQueueTest, ItsThreadDoesNotBlockThoseWhoCome) {
  const RealClock clock;
  Make({.quotes_per_second = 1000, .max_waiting = 1024}, &clock);
  absl::Notification begun;
  absl::Notification go_on;
  provider_.during = [&] {
    if (provider_.num_quotes == 1) {
      begun.Notify();
      go_on.WaitForNotification();
    }
  };
  queue_->Start();
  Caller first(crypto::RandomArray<32>());
  Caller second(crypto::RandomArray<32>());
  ASSERT_TRUE(queue_->Add(first.nonce, clock.SteadyNow() + seconds(60), first).ok());
  begun.WaitForNotification();
  ASSERT_TRUE(queue_->Add(second.nonce, clock.SteadyNow() + seconds(60), second).ok());
  EXPECT_FALSE(first.done.HasBeenNotified());
  go_on.Notify();
  second.done.WaitForNotification();
  EXPECT_TRUE(first.IsBound());
  EXPECT_TRUE(second.IsBound());
  queue_ = nullptr;
}

}  // namespace
}  // namespace shoji::enclave
