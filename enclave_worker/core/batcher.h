// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Brings requests for one model together that are there at the same time. A batch starts
//   - when it is full;
//   - when its first request has waited `max_delay`, or half of what one of them had left until its deadline;
//   - at once when no other request is on its way to the model and none is running in it: nobody would come in time, so
//     a lone client never waits.
// Requests go together only where their time left differs by at most a factor of two: what waits for accelerators is
// shared out by the shortest. One that fits badly starts the batch before it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/run_context.h"
#include "enclave_worker/core/secret_tensors.h"
#include "enclave_worker/core/stage.h"
#include "lib/base/clock.h"

namespace shoji::enclave {

// How the requests of one model are brought together.
struct BatchingOptions {
  static constexpr size_t kMaxBatch = 64;
  size_t max_batch = 1;  // 1: each alone
  std::chrono::nanoseconds max_delay = std::chrono::milliseconds(2);
};

// Each request has a thread that waits in Run; one of them runs the batch. Thread-safe; outlives its callers.
class Batcher {
 public:
  // Runs a batch, each item to its end or its error.
  using RunBatch = std::function<void(std::span<BatchItem> items)>;

  // A request that will probably come to Run: those who wait there do so a little longer for it. Released when it comes
  // or does not.
  class Arrival {
   public:
    Arrival() = default;
    explicit Arrival(Batcher& batcher);
    Arrival(Arrival&& other) noexcept : batcher_(std::exchange(other.batcher_, nullptr)) {}
    Arrival& operator=(Arrival&&) = delete;
    ~Arrival();

   private:
    friend class Batcher;
    Batcher* batcher_ = nullptr;
  };

  // `clock` outlives it.
  Batcher(const BatchingOptions& options, const Clock& clock, RunBatch run);
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Runs `live` in a batch and returns what is left in it then. Never later than the deadline of `run`, whatever the
  // others do: DEADLINE. CANCELLED when its caller went while it waited for others; the errors of the batch's run.
  absl::StatusOr<SecretTensors> Run(SecretTensors live, RunContext& run, Arrival arrival);

  // Requests that wait for their batch to start.
  size_t num_waiting() const;
  // Batches that have started: the entry at i is of those with i + 1 requests that were still wanted.
  std::vector<uint64_t> counts() const;

 private:
  // A request, owned by its batch, so that it may be left behind when its deadline comes.
  struct Member {
    Member(SecretTensors tensors, RunContext context) : live(std::move(tensors)), run(std::move(context)) {}
    SecretTensors live;
    RunContext run;
    absl::Status status;
  };
  // Shared by those who wait for it.
  struct Batch {
    enum class State : uint8_t { kForming, kStarted, kDone };
    State state = State::kForming;
    std::vector<std::unique_ptr<Member>> members;
    SteadyTime start_by;
    std::chrono::nanoseconds shortest_left = {};  // of its members, when they came
    std::chrono::nanoseconds longest_left = {};
    const Member* runner = nullptr;  // who has the latest deadline, so that nobody waits beyond his own
    absl::CondVar changed;
  };

  std::shared_ptr<Batch> Join(std::unique_ptr<Member> member, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsDue(const Batch& batch, SteadyTime now) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void StartIfDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartForming() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Called by the batch's runner.
  void RunStarted(Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Left() ABSL_LOCKS_EXCLUDED(mu_);

  const BatchingOptions options_;
  const Clock& clock_;
  const RunBatch run_;
  mutable absl::Mutex mu_;
  std::shared_ptr<Batch> forming_ ABSL_GUARDED_BY(mu_);
  size_t num_arriving_ ABSL_GUARDED_BY(mu_) = 0;
  size_t num_running_ ABSL_GUARDED_BY(mu_) = 0;  // batches
  std::vector<uint64_t> counts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
