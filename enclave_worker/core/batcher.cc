// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A batch is forming_ until it starts, and then belongs to those who wait for it. Nobody leaves one that is forming,
// because it starts before the first deadline among its members; whoever leaves one that has started leaves his member
// behind, which the runner may be working on.
#include "enclave_worker/core/batcher.h"

#include <algorithm>

#include "absl/time/time.h"
#include "lib/base/reason.h"

namespace shoji::enclave {
namespace {

// The most by which the time left of two requests of a batch differs.
constexpr int kMaxRatio = 2;

}  // namespace

Batcher::Arrival::Arrival(Batcher& batcher) : batcher_(&batcher) {
  const absl::MutexLock lock(&batcher.mu_);
  ++batcher.num_arriving_;
}

Batcher::Arrival::~Arrival() {
  if (batcher_ != nullptr) {
    batcher_->Left();
  }
}

void Batcher::Left() {
  const absl::MutexLock lock(&mu_);
  --num_arriving_;
  StartIfDue();
}

Batcher::Batcher(const BatchingOptions& options, const Clock& clock, RunBatch run)
    : options_(options), clock_(clock), run_(std::move(run)), counts_(options.max_batch, 0) {}

size_t Batcher::num_waiting() const {
  const absl::MutexLock lock(&mu_);
  return forming_ == nullptr ? 0 : forming_->members.size();
}

std::vector<uint64_t> Batcher::counts() const {
  const absl::MutexLock lock(&mu_);
  return counts_;
}

bool Batcher::IsDue(const Batch& batch, SteadyTime now) const {
  return batch.members.size() >= options_.max_batch || now >= batch.start_by ||
         (num_arriving_ == 0 && num_running_ == 0);
}

void Batcher::StartIfDue() {
  if (forming_ != nullptr && IsDue(*forming_, clock_.SteadyNow())) {
    StartForming();
  }
}

void Batcher::StartForming() {
  Batch& batch = *forming_;
  size_t num_wanted = 0;
  for (const std::unique_ptr<Member>& member : batch.members) {
    // All callers are still here, and what they gave to ask with is.
    if (member->run.IsCancelled()) {
      member->status = absl::CancelledError("cancelled");
    }
    member->run.is_cancelled = nullptr;
    num_wanted += member->status.ok() ? 1U : 0U;
  }
  if (num_wanted > 0) {
    ++counts_[num_wanted - 1];
  }
  const auto latest = std::max_element(batch.members.begin(), batch.members.end(),
                                       [](const auto& a, const auto& b) { return a->run.deadline < b->run.deadline; });
  batch.runner = latest->get();
  batch.state = Batch::State::kStarted;
  ++num_running_;
  batch.changed.SignalAll();
  forming_ = nullptr;
}

std::shared_ptr<Batcher::Batch> Batcher::Join(std::unique_ptr<Member> member, SteadyTime now) {
  const std::chrono::nanoseconds left = member->run.deadline - now;
  if (forming_ != nullptr &&
      (forming_->longest_left / kMaxRatio > left || left / kMaxRatio > forming_->shortest_left)) {
    StartForming();
  }
  if (forming_ == nullptr) {
    forming_ = std::make_shared<Batch>();
    forming_->start_by = now + std::chrono::duration_cast<SteadyTime::duration>(options_.max_delay);
    forming_->shortest_left = forming_->longest_left = left;
  }
  Batch& batch = *forming_;
  batch.start_by = std::min(batch.start_by, now + std::chrono::duration_cast<SteadyTime::duration>(left / 2));
  batch.shortest_left = std::min(batch.shortest_left, left);
  batch.longest_left = std::max(batch.longest_left, left);
  batch.members.push_back(std::move(member));
  return forming_;
}

void Batcher::RunStarted(Batch& batch) {
  mu_.Unlock();
  {
    std::vector<BatchItem> items;
    items.reserve(batch.members.size());
    for (const std::unique_ptr<Member>& member : batch.members) {
      items.push_back({member->live, member->run, member->status});
    }
    run_(items);
    for (size_t i = 0; i < items.size(); ++i) {
      batch.members[i]->status = items[i].status;
    }
  }
  mu_.Lock();
  batch.state = Batch::State::kDone;
  batch.changed.SignalAll();
  --num_running_;
  StartIfDue();
}

absl::StatusOr<SecretTensors> Batcher::Run(SecretTensors live, RunContext& run, Arrival arrival) {
  auto owned = std::make_unique<Member>(std::move(live), run);
  Member& member = *owned;
  const SteadyTime joined = clock_.SteadyNow();
  if (joined >= run.deadline) {
    return ErrorOf(Reason::kDeadline);
  }
  const absl::MutexLock lock(&mu_);
  const std::shared_ptr<Batch> batch = Join(std::move(owned), joined);
  if (arrival.batcher_ == this) {
    --num_arriving_;  // not before it has joined: nothing may start between the two
    arrival.batcher_ = nullptr;
  }
  StartIfDue();
  while (batch->state == Batch::State::kForming) {
    batch->changed.WaitWithTimeout(&mu_, absl::FromChrono(batch->start_by - clock_.SteadyNow()));
    StartIfDue();
  }
  const SteadyTime::duration waited = clock_.SteadyNow() - joined;
  if (batch->runner == &member) {
    RunStarted(*batch);
  }
  while (batch->state != Batch::State::kDone) {
    const SteadyTime now = clock_.SteadyNow();
    if (now >= run.deadline) {
      return ErrorOf(Reason::kDeadline);
    }
    batch->changed.WaitWithTimeout(&mu_, absl::FromChrono(run.deadline - now));
  }
  run.phases = member.run.phases;
  run.phases[channel::Phase::kQueue] += waited;
  if (!member.status.ok()) {
    return member.status;
  }
  return std::move(member.live);
}

}  // namespace shoji::enclave
