// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"

namespace shoji::server {

// Bounds the work the front end has under way. It has lanes, one for each kind of work at each enclave, so that what
// one enclave cannot take in keeps nothing from another. In a lane at most `max_in_flight` requests hold a slot and at
// most `max_queue` wait for one; any other is refused at once, and so is one that would have to wait longer than
// `max_wait` by the pace of late.
//
// The queue of a lane is served in turn between flows (callers), each in order of arrival: a flow that floods delays
// itself. When the queue is full, a newcomer whose flow has fewer waiting than the longest one takes the place of that
// one's last.
//
// Knows no gRPC. Thread-safe.
class Admission {
 public:
  struct Options {
    size_t max_in_flight = 32;
    size_t max_queue = 256;
    std::chrono::nanoseconds max_wait = std::chrono::seconds(1);
  };

  enum class Verdict : uint8_t {
    kSlot,         // it holds a slot: Release later
    kQueued,       // it waits, and will be told
    kQueueFull,    // refused, or had to make room
    kWaitTooLong,  // refused: its turn would come too late, for `max_wait` or for its deadline
    kDraining,     // refused
    kDeadline,     // its time was up before it got a slot
    kFlushed,      // the lane was given up while it waited
  };

  // Whose request it is; only compared.
  using Flow = const void*;

  class Waiter;

 private:
  struct Queued {
    Waiter* waiter = nullptr;
    SteadyTime deadline;
  };
  struct Waiting {
    Flow flow = nullptr;
    std::list<Queued> queue = {};
  };
  struct Place {
    size_t lane = 0;
    std::list<Waiting>::iterator flow;
    std::list<Queued>::iterator queued;
  };

 public:
  // A request that may have to wait. Lives until it has been told, or Cancel has returned true.
  class Waiter {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;
    // The wait is over, once: any verdict but kQueued. Called without a lock, by whichever thread brought it about.
    virtual void OnVerdict(Verdict verdict) = 0;

   private:
    friend class Admission;
    std::optional<Place> place_;
  };

  Admission(const std::vector<Options>& lanes, const Clock& clock);
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // kQueued: `waiter` will be told, perhaps before this returns. Otherwise it will not be.
  Verdict Enter(size_t lane, Waiter& waiter, Flow flow, SteadyTime deadline);
  // What Enter would say of a request without a deadline that came now; changes nothing.
  Verdict Foresee(size_t lane, Flow flow) const;
  // How long a request of `flow` that came now would wait, by the pace of late; zero when that is not known.
  std::chrono::nanoseconds ExpectedWait(size_t lane, Flow flow) const;
  // Takes `waiter` out of the queue. False when it is not there: it has been told or is about to be.
  bool Cancel(Waiter& waiter);
  // Gives a slot back.
  void Release(size_t lane);

  // Tells whatever waits in the lane kFlushed.
  void Flush(size_t lane);
  // Lane `lane`, and those before it, are there from now on; bounds as by Configure.
  void Open(size_t lane, const Options& options);
  // The bounds from now on; what holds a slot or waits beyond them stays.
  void Configure(size_t lane, const Options& options);
  // Refuses whatever comes from now on. What is queued still gets its turn.
  void Drain();
  // Waits until nothing is in flight or queued; false when that took longer than `timeout`.
  bool AwaitIdle(std::chrono::nanoseconds timeout);

  size_t num_in_flight(size_t lane) const;
  size_t num_queued(size_t lane) const;
  // Of all lanes.
  size_t num_in_flight() const;
  size_t num_queued() const;

 private:
  struct Lane {
    Options options;
    size_t num_in_flight = 0;
    size_t num_queued = 0;
    // Those who have something waiting; the first is served next.
    std::list<Waiting> flows = {};
    std::unordered_map<Flow, std::list<Waiting>::iterator> by_flow = {};
    bool is_dispatching = false;
    // The time from one slot given back to the next while requests waited, averaged; zero: not known yet.
    std::chrono::nanoseconds interval = {};
    std::optional<SteadyTime> last_release = {};
  };

  Verdict Judge(const Lane& lane, Flow flow, std::chrono::nanoseconds max_wait) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::chrono::nanoseconds ExpectedWaitIn(const Lane& lane, Flow flow) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Append(size_t lane, Waiter& waiter, Flow flow, SteadyTime deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Erase(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Queued PopNext(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Waiter& PopLastOfLongest(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Dispatch(size_t lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Without the lock, which is held again afterwards.
  void Tell(Waiter& waiter, Verdict verdict) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock& clock_;
  mutable absl::Mutex mu_;
  std::deque<Lane> lanes_ ABSL_GUARDED_BY(mu_);  // one that grows moves none of the others
  size_t num_telling_ ABSL_GUARDED_BY(mu_) = 0;
  bool is_draining_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace shoji::server
