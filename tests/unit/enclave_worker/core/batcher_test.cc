// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/batcher.h"

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "lib/base/reason.h"
#include "tests/support/fake_clock.h"

namespace shoji::enclave {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

constexpr milliseconds kDelay(2);

Tensor Scalar(float value) {
  Tensor tensor(DataType::kFloat32, Shape({1}));
  tensor.mutable_values<float>()[0] = value;
  return tensor;
}

SecretTensors Holding(float value) {
  SecretTensors live;
  live.Put("x", Scalar(value));
  return live;
}

// Doubles x of every request, and notes the sizes of batches. The clock stands still, so that no batch starts because
// of its delay unless a test moves it.
class BatcherTest : public ::testing::Test {
 protected:
  void Create(size_t max_batch) {
    batcher_ =
        std::make_unique<Batcher>(BatchingOptions{max_batch, kDelay}, clock_, [this](std::span<BatchItem> items) {
          {
            const absl::MutexLock lock(&mu_);
            sizes_.push_back(items.size());
          }
          if (during_) {
            during_(items);
          }
          for (BatchItem& item : items) {
            if (item.status.ok()) {
              const float x = item.live.Find("x")->values<float>()[0];
              item.live.Put("x", Scalar(2 * x));
              item.run.phases[channel::Phase::kCompute] += seconds(1);
            }
          }
        });
  }

  struct Request {
    std::jthread thread;
    RunContext run{SteadyTime()};
    std::optional<absl::StatusOr<float>> answer;
  };
  std::unique_ptr<Request> Send(float x, std::chrono::nanoseconds patience = hours(1),
                                std::function<bool()> is_cancelled = nullptr) {
    auto request = std::make_unique<Request>();
    request->run.deadline = clock_.SteadyNow() + std::chrono::duration_cast<SteadyTime::duration>(patience);
    request->run.is_cancelled = std::move(is_cancelled);
    request->thread = std::jthread([this, x, &request = *request] {
      absl::StatusOr<SecretTensors> made = batcher_->Run(Holding(x), request.run, Batcher::Arrival());
      if (made.ok()) {
        request.answer = made->Find("x")->values<float>()[0];
      } else {
        request.answer = made.status();
      }
    });
    return request;
  }
  static absl::StatusOr<float> AnswerOf(Request& request) {
    request.thread.join();
    return *request.answer;
  }
  void AwaitWaiting(size_t count) {
    while (batcher_->num_waiting() != count) {
      std::this_thread::yield();
    }
  }
  std::vector<size_t> sizes() {
    const absl::MutexLock lock(&mu_);
    return sizes_;
  }

  testing::FakeClock clock_;
  std::unique_ptr<Batcher> batcher_;
  std::function<void(std::span<BatchItem>)> during_;

 private:
  absl::Mutex mu_;
  std::vector<size_t> sizes_;
};

TEST_F(BatcherTest, ALoneRequestDoesNotWait) {
  Create(8);
  EXPECT_EQ(AnswerOf(*Send(3)).value(), 6);  // though the clock stands still
  EXPECT_EQ(batcher_->counts()[0], 1U);
}

TEST_F(BatcherTest, AFullBatchStartsAtOnceAndEachHasItsOwnAnswer) {
  Create(3);
  const Batcher::Arrival another(*batcher_);
  std::vector<std::unique_ptr<Request>> requests;
  for (int i = 0; i < 3; ++i) {
    requests.push_back(Send(static_cast<float>(i)));
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(AnswerOf(*requests[static_cast<size_t>(i)]).value(), 2.0F * static_cast<float>(i));
  }
  EXPECT_THAT(sizes(), ElementsAre(3));
  EXPECT_THAT(batcher_->counts(), ElementsAre(0, 0, 1));
}

TEST_F(BatcherTest, ABatchThatIsNotFullStartsWhenItsFirstHasWaitedTheDelay) {
  Create(8);
  const Batcher::Arrival another(*batcher_);
  const auto first = Send(1);
  AwaitWaiting(1);
  clock_.Advance(kDelay / 2);
  const auto second = Send(2);
  AwaitWaiting(2);
  clock_.Advance(kDelay / 2);
  EXPECT_EQ(AnswerOf(*first).value(), 2);
  EXPECT_EQ(AnswerOf(*second).value(), 4);
  EXPECT_THAT(sizes(), ElementsAre(2));
  EXPECT_EQ(first->run.phases[channel::Phase::kQueue], kDelay);
  EXPECT_EQ(second->run.phases[channel::Phase::kQueue], kDelay / 2);
  EXPECT_EQ(second->run.phases[channel::Phase::kCompute], seconds(1));
}

TEST_F(BatcherTest, ABatchStartsWhenTheRequestOnItsWayDoesNotCome) {
  Create(8);
  std::optional<Batcher::Arrival> another(std::in_place, *batcher_);
  const auto request = Send(1);
  AwaitWaiting(1);
  another.reset();
  EXPECT_EQ(AnswerOf(*request).value(), 2);
}

TEST_F(BatcherTest, WhoComesWhileABatchRunsGoesIntoTheNextOne) {
  Create(8);
  absl::Notification running;
  absl::Notification go_on;
  during_ = [&](std::span<BatchItem>) {
    if (!running.HasBeenNotified()) {
      running.Notify();
      go_on.WaitForNotification();
    }
  };
  const auto first = Send(1);
  running.WaitForNotification();
  const auto second = Send(2);
  const auto third = Send(3);
  AwaitWaiting(2);
  go_on.Notify();
  EXPECT_EQ(AnswerOf(*first).value(), 2);
  EXPECT_EQ(AnswerOf(*second).value(), 4);
  EXPECT_EQ(AnswerOf(*third).value(), 6);
  EXPECT_THAT(sizes(), ElementsAre(1, 2));
}

TEST_F(BatcherTest, ABatchStartsBeforeHalfOfWhatOneHasLeftIsGone) {
  Create(8);
  const Batcher::Arrival another(*batcher_);
  const auto request = Send(1, kDelay);
  AwaitWaiting(1);
  clock_.Advance(kDelay / 2);
  EXPECT_EQ(AnswerOf(*request).value(), 2);
}

TEST_F(BatcherTest, ADeadlineThatHasPassedIsRefusedAndJoinsNobody) {
  Create(8);
  const Batcher::Arrival another(*batcher_);
  EXPECT_EQ(ReasonOf(AnswerOf(*Send(1, seconds(0))).status()), Reason::kDeadline);
  EXPECT_EQ(batcher_->num_waiting(), 0U);
  EXPECT_TRUE(sizes().empty());
}

TEST_F(BatcherTest, NobodyWaitsBeyondHisOwnDeadlineForTheOthers) {
  Create(2);
  absl::Notification running;
  absl::Notification go_on;
  during_ = [&](std::span<BatchItem>) {
    running.Notify();
    go_on.WaitForNotification();
  };
  const Batcher::Arrival another(*batcher_);
  const auto brief = Send(1, seconds(10));
  const auto patient = Send(2, seconds(20));
  running.WaitForNotification();
  clock_.Advance(seconds(10));
  EXPECT_EQ(ReasonOf(AnswerOf(*brief).status()), Reason::kDeadline);  // while the batch still runs
  go_on.Notify();
  EXPECT_EQ(AnswerOf(*patient).value(), 4);
}

TEST_F(BatcherTest, VeryDifferentDeadlinesDoNotGoTogether) {
  Create(8);
  std::optional<Batcher::Arrival> another(std::in_place, *batcher_);
  const auto brief = Send(1, seconds(10));
  AwaitWaiting(1);
  const auto patient = Send(2, seconds(21));
  EXPECT_EQ(AnswerOf(*brief).value(), 2);
  another.reset();
  EXPECT_EQ(AnswerOf(*patient).value(), 4);
  EXPECT_THAT(sizes(), ElementsAre(1, 1));
}

TEST_F(BatcherTest, WhoIsCancelledWhileWaitingIsNotRunAndTheOthersAre) {
  Create(3);
  std::atomic<bool> is_cancelled = false;
  const Batcher::Arrival another(*batcher_);
  const auto gone = Send(1, hours(1), [&] { return is_cancelled.load(); });
  AwaitWaiting(1);
  is_cancelled = true;
  const auto second = Send(2);
  const auto third = Send(3);
  EXPECT_TRUE(absl::IsCancelled(AnswerOf(*gone).status()));
  EXPECT_EQ(AnswerOf(*second).value(), 4);
  EXPECT_EQ(AnswerOf(*third).value(), 6);
  EXPECT_EQ(gone->run.phases[channel::Phase::kCompute], seconds(0));
  EXPECT_THAT(batcher_->counts(), ElementsAre(0, 1, 0));
}

TEST_F(BatcherTest, TheErrorOfOneLeavesTheOthersUntouched) {
  Create(2);
  during_ = [](std::span<BatchItem> items) {
    for (BatchItem& item : items) {
      if (item.live.Find("x")->values<float>()[0] == 1) {
        item.status = ErrorOf(Reason::kOverloaded);
      }
    }
  };
  const Batcher::Arrival another(*batcher_);
  const auto first = Send(1);
  const auto second = Send(2);
  EXPECT_EQ(ReasonOf(AnswerOf(*first).status()), Reason::kOverloaded);
  EXPECT_EQ(AnswerOf(*second).value(), 4);
}

TEST_F(BatcherTest, ManyThreadsAllGetTheirOwnAnswers) {
  const RealClock clock;
  Batcher batcher({4, milliseconds(1)}, clock, [](std::span<BatchItem> items) {
    for (BatchItem& item : items) {
      item.live.Put("x", Scalar(2 * item.live.Find("x")->values<float>()[0]));
    }
  });
  std::atomic<int> num_wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 16; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          const auto x = static_cast<float>(1000 * t + i);
          RunContext run(clock.SteadyNow() + hours(1));
          absl::StatusOr<SecretTensors> made = batcher.Run(Holding(x), run, Batcher::Arrival(batcher));
          if (!made.ok() || made->Find("x")->values<float>()[0] != 2 * x) {
            ++num_wrong;
          }
        }
      });
    }
  }
  EXPECT_EQ(num_wrong, 0);
  uint64_t num_requests = 0;
  const std::vector<uint64_t> counts = batcher.counts();
  for (size_t i = 0; i < counts.size(); ++i) {
    num_requests += counts[i] * (i + 1);
  }
  EXPECT_EQ(num_requests, 16U * 200U);
}

}  // namespace
}  // namespace shoji::enclave
