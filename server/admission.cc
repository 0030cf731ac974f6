// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/admission.h"

#include <algorithm>
#include <numeric>

#include "absl/time/time.h"

namespace shoji::server {
namespace {

// One pace in so many moves the average.
constexpr int kSmoothing = 16;

}  // namespace

Admission::Admission(const std::vector<Options>& lanes, const Clock& clock) : clock_(clock) {
  const absl::MutexLock lock(&mu_);
  for (const Options& options : lanes) {
    lanes_.push_back({options});
  }
}

std::chrono::nanoseconds Admission::ExpectedWaitIn(const Lane& lane, Flow flow) const {
  const auto found = lane.by_flow.find(flow);
  const size_t own = found == lane.by_flow.end() ? 0 : found->second->queue.size();
  const size_t flows = lane.flows.size() + (own == 0 ? 1 : 0);
  // Its turn comes after what waits of its own, and as many of each other flow at most.
  const size_t before = std::min(lane.num_queued, own * flows + flows - 1);
  return lane.interval * static_cast<int64_t>(before + 1);
}

Admission::Verdict Admission::Judge(const Lane& lane, Flow flow, std::chrono::nanoseconds max_wait) const {
  if (is_draining_) {
    return Verdict::kDraining;
  }
  if (lane.num_in_flight < lane.options.max_in_flight && lane.num_queued == 0) {
    return Verdict::kSlot;
  }
  const auto found = lane.by_flow.find(flow);
  const size_t own = found == lane.by_flow.end() ? 0 : found->second->queue.size();
  if (lane.num_queued >= lane.options.max_queue) {
    const bool displaces = std::any_of(lane.flows.begin(), lane.flows.end(),
                                       [own](const Waiting& other) { return other.queue.size() > own + 1; });
    if (!displaces) {
      return Verdict::kQueueFull;
    }
  }
  // One of each flow always may, or a pace measured once would never be measured again.
  if (own > 0 && ExpectedWaitIn(lane, flow) > max_wait) {
    return Verdict::kWaitTooLong;
  }
  return Verdict::kQueued;
}

Admission::Verdict Admission::Enter(size_t lane, Waiter& waiter, Flow flow, SteadyTime deadline) {
  const absl::MutexLock lock(&mu_);
  Lane& in = lanes_[lane];
  const std::chrono::nanoseconds left = deadline - clock_.SteadyNow();
  const Verdict verdict = Judge(in, flow, std::min(in.options.max_wait, left));
  if (verdict != Verdict::kDraining && left.count() <= 0) {
    return Verdict::kDeadline;
  }
  if (verdict == Verdict::kSlot) {
    ++in.num_in_flight;
  }
  if (verdict != Verdict::kQueued) {
    return verdict;
  }
  Waiter* const displaced = in.num_queued >= in.options.max_queue ? &PopLastOfLongest(in) : nullptr;
  Append(lane, waiter, flow, deadline);
  Dispatch(lane);
  if (displaced != nullptr) {
    Tell(*displaced, Verdict::kQueueFull);
  }
  return verdict;
}

Admission::Verdict Admission::Foresee(size_t lane, Flow flow) const {
  const absl::MutexLock lock(&mu_);
  return Judge(lanes_[lane], flow, lanes_[lane].options.max_wait);
}

std::chrono::nanoseconds Admission::ExpectedWait(size_t lane, Flow flow) const {
  const absl::MutexLock lock(&mu_);
  return ExpectedWaitIn(lanes_[lane], flow);
}

void Admission::Append(size_t lane, Waiter& waiter, Flow flow, SteadyTime deadline) {
  Lane& in = lanes_[lane];
  auto [found, is_new] = in.by_flow.try_emplace(flow);
  if (is_new) {
    found->second = in.flows.insert(in.flows.end(), Waiting{flow});
  }
  std::list<Queued>& queue = found->second->queue;
  waiter.place_ = Place{lane, found->second, queue.insert(queue.end(), {&waiter, deadline})};
  ++in.num_queued;
}

void Admission::Erase(Waiter& waiter) {
  const Place place = *waiter.place_;
  waiter.place_.reset();
  Lane& lane = lanes_[place.lane];
  place.flow->queue.erase(place.queued);
  --lane.num_queued;
  if (place.flow->queue.empty()) {
    lane.by_flow.erase(place.flow->flow);
    lane.flows.erase(place.flow);
  }
}

Admission::Queued Admission::PopNext(Lane& lane) {
  const Queued next = lane.flows.front().queue.front();
  lane.flows.splice(lane.flows.end(), lane.flows, lane.flows.begin());
  Erase(*next.waiter);
  return next;
}

Admission::Waiter& Admission::PopLastOfLongest(Lane& lane) {
  const auto longest = std::max_element(
      lane.flows.begin(), lane.flows.end(),
      [](const Waiting& left, const Waiting& right) { return left.queue.size() < right.queue.size(); });
  Waiter& last = *longest->queue.back().waiter;
  Erase(last);
  return last;
}

bool Admission::Cancel(Waiter& waiter) {
  const absl::MutexLock lock(&mu_);
  if (!waiter.place_.has_value()) {
    return false;
  }
  Erase(waiter);
  return true;
}

void Admission::Release(size_t lane) {
  const absl::MutexLock lock(&mu_);
  Lane& in = lanes_[lane];
  --in.num_in_flight;
  if (in.num_queued == 0) {
    in.last_release.reset();  // the slot may now stay free for any time, which says nothing of the pace
  } else {
    const SteadyTime now = clock_.SteadyNow();
    if (in.last_release.has_value()) {
      const std::chrono::nanoseconds took = now - *in.last_release;
      in.interval = in.interval.count() == 0 ? took : in.interval + (took - in.interval) / kSmoothing;
    }
    in.last_release = now;
  }
  Dispatch(lane);
}

void Admission::Tell(Waiter& waiter, Verdict verdict) {
  ++num_telling_;
  mu_.Unlock();
  waiter.OnVerdict(verdict);
  mu_.Lock();
  --num_telling_;
}

// Hands free slots to the queue. One thread at a time does so, in a loop and not by recursion: a waiter that fails at
// once releases its slot from within OnVerdict, and a whole queue of those must not pile up on the stack.
void Admission::Dispatch(size_t lane) {
  Lane& in = lanes_[lane];
  if (in.is_dispatching) {
    return;
  }
  in.is_dispatching = true;
  while (in.num_queued > 0 && in.num_in_flight < in.options.max_in_flight) {
    const Queued next = PopNext(in);
    const bool is_late = clock_.SteadyNow() >= next.deadline;
    in.num_in_flight += is_late ? 0 : 1;
    Tell(*next.waiter, is_late ? Verdict::kDeadline : Verdict::kSlot);
  }
  in.is_dispatching = false;
}

void Admission::Flush(size_t lane) {
  const absl::MutexLock lock(&mu_);
  // Only those who wait now: one that is told may come back.
  std::vector<Waiter*> flushed;
  while (lanes_[lane].num_queued > 0) {
    flushed.push_back(PopNext(lanes_[lane]).waiter);
  }
  for (Waiter* waiter : flushed) {
    Tell(*waiter, Verdict::kFlushed);
  }
}

void Admission::Open(size_t lane, const Options& options) {
  {
    const absl::MutexLock lock(&mu_);
    while (lanes_.size() <= lane) {
      lanes_.push_back({options});
    }
  }
  Configure(lane, options);
}

void Admission::Configure(size_t lane, const Options& options) {
  const absl::MutexLock lock(&mu_);
  lanes_[lane].options = options;
  Dispatch(lane);
}

void Admission::Drain() {
  const absl::MutexLock lock(&mu_);
  is_draining_ = true;
}

bool Admission::IsIdle() const {
  return num_telling_ == 0 && std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
           return lane.num_in_flight == 0 && lane.num_queued == 0;
         });
}

bool Admission::AwaitIdle(std::chrono::nanoseconds timeout) {
  const absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &Admission::IsIdle), absl::FromChrono(timeout));
}

size_t Admission::num_in_flight(size_t lane) const {
  const absl::MutexLock lock(&mu_);
  return lanes_[lane].num_in_flight;
}

size_t Admission::num_queued(size_t lane) const {
  const absl::MutexLock lock(&mu_);
  return lanes_[lane].num_queued;
}

size_t Admission::num_in_flight() const {
  const absl::MutexLock lock(&mu_);
  return std::accumulate(lanes_.begin(), lanes_.end(), size_t{0},
                         [](size_t sum, const Lane& lane) { return sum + lane.num_in_flight; });
}

size_t Admission::num_queued() const {
  const absl::MutexLock lock(&mu_);
  return std::accumulate(lanes_.begin(), lanes_.end(), size_t{0},
                         [](size_t sum, const Lane& lane) { return sum + lane.num_queued; });
}

}  // namespace shoji::server
