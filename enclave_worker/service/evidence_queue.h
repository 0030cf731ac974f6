// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/enclave.h"
#include "enclave_worker/evidence/evidence_provider.h"
#include "lib/attest/nonce_tree.h"
#include "lib/base/clock.h"

namespace shoji::enclave {

// Evidence for callers who wait for it. A quote takes the platform up to seconds and is made in a thread of its own,
// one at a time and at most `quotes_per_second`. It serves all who wait when it is begun: a single one over its own
// nonce, several over the root of a Merkle tree over theirs, each with its path (lib/attest/nonce_tree.h). What they
// are given is the manifest that was current at that moment, the one that the quote binds.
//
//   waiting ──(a quote may be begun)──▶ in the quote ──(it is made, or fails)──▶ Done
//      └──────────────── Leave, or the deadline passed ─────────────────▶ gone, or Done with DEADLINE
//
// Those in the quote count towards the bound too: at most `max_waiting` are here. Thread-safe.
class EvidenceQueue {
 public:
  static constexpr size_t kMaxWaiting = 16384;
  static_assert(kMaxWaiting <= size_t{1} << attest::NoncePath::kMaxDepth);

  struct Limits {
    double quotes_per_second = 20;
    size_t max_waiting = 1024;  // 1 .. kMaxWaiting
  };
  struct Options {
    Limits limits;
    // The current manifest with the report data that binds it to a nonce.
    std::function<Enclave::Claim(const attest::Nonce&)> claim;
    // Called after a quote is made, or failed, and before the first of those who waited for it hears; may be empty.
    std::function<void(const absl::Status& made)> after_quote;
  };

  // What all who shared a quote are given.
  struct Quote {
    Bytes manifest;
    attest::Evidence evidence;
  };
  struct Issued {
    std::shared_ptr<const Quote> quote;     // shared by those it serves
    std::optional<attest::NoncePath> path;  // absent: it holds the caller's own nonce
  };
  // Somebody who waits.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    // Called once at the most, from the queue's thread, without its lock; the waiter may be gone when it returns.
    // DEADLINE, DRAINING when the queue is destroyed, INTERNAL when the platform made no quote.
    virtual void Done(const absl::StatusOr<Issued>& issued) = 0;
  };

  // So far.
  struct Counts {
    uint64_t quotes = 0;   // made
    uint64_t failed = 0;   // not made
    uint64_t answers = 0;  // of the quotes made
    uint64_t refused = 0;  // OVERLOADED
  };

  // `provider` and `clock` outlive the queue. The thread starts with Start.
  EvidenceQueue(Options options, EvidenceProvider& provider, const Clock& clock);
  EvidenceQueue(const EvidenceQueue&) = delete;
  EvidenceQueue& operator=(const EvidenceQueue&) = delete;
  // Waits for the quote that is being made; all who wait then hear DRAINING.
  ~EvidenceQueue();

  // Starts the thread that makes the quotes. Without it, Step makes them.
  void Start();

  // Queues `waiter`, which stays alive until Done is called or Leave gave true. RESOURCE_EXHAUSTED (OVERLOADED) at
  // once, with advice when to retry, while too many wait. `deadline` is looked at when a quote could be begun; who
  // wants to hear of it at once leaves.
  absl::Status Add(const attest::Nonce& nonce, SteadyTime deadline, Waiter& waiter);
  // The waiter's caller is gone. True: Done is not called. False: it was, or is about to be.
  bool Leave(const Waiter& waiter);

  // Makes a quote for all who wait if one may be begun now, and returns how long it is until the next may be. By one
  // thread at a time.
  std::chrono::nanoseconds Step();

  Counts counts();

 private:
  struct Waiting {
    attest::Nonce nonce = {};
    SteadyTime deadline;
    Waiter* waiter = nullptr;
  };

  void Loop(const std::stop_token& stop);
  std::chrono::nanoseconds UntilNextLocked(SteadyTime now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Those who waited longer than they wanted to, taken out.
  std::vector<Waiting> TakeLateLocked(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // One quote for `waiting`, and its tree's paths where they are several.
  absl::StatusOr<Quote> Make(std::span<const Waiting> waiting, std::vector<attest::NoncePath>& paths);
  void Deliver(absl::StatusOr<Quote> quote, std::vector<attest::NoncePath> paths);

  const Options options_;
  const std::chrono::nanoseconds interval_;  // from the beginning of a quote to that of the next, at least
  EvidenceProvider& provider_;
  const Clock& clock_;
  absl::Mutex mu_;
  absl::CondVar changed_;
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  std::vector<Waiting> in_quote_ ABSL_GUARDED_BY(mu_);  // those who left have no waiter
  size_t num_left_ ABSL_GUARDED_BY(mu_) = 0;            // of in_quote_; they keep nobody out
  std::optional<SteadyTime> begun_ ABSL_GUARDED_BY(mu_);
  std::chrono::nanoseconds last_took_ ABSL_GUARDED_BY(mu_) = std::chrono::nanoseconds(0);
  Counts counts_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace shoji::enclave
