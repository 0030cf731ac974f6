// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/intake.h"

#include <algorithm>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::server {

Intake::Intake(const Options& options, const Clock& clock) : clock_(clock), options_(options) {}

void Intake::CutOff(Body& body) {
  stalled_.erase(*std::exchange(body.stalled, std::nullopt));
  num_held_bytes_ -= std::exchange(body.held_bytes, 0);
  ++num_cut_off_;
  body.OnCutOff();
}

void Intake::Await(Body& body, size_t num_bytes) {
  body.stalled = stalled_.insert(stalled_.end(), &body);
  body.since = clock_.SteadyNow();
  num_held_bytes_ += num_bytes - body.held_bytes;
  body.held_bytes = num_bytes;
}

absl::Status Intake::Enter(Body& body) {
  const absl::MutexLock lock(&mu_);
  const SteadyTime now = clock_.SteadyNow();
  while (!stalled_.empty() && now - stalled_.front()->since >= options_.max_stall) {
    CutOff(*stalled_.front());
  }
  const size_t reservation = std::min(options_.max_message_bytes, options_.max_bytes);
  const auto is_full = [&] {
    mu_.AssertHeld();
    return num_held_bytes_ + reservation > options_.max_bytes;
  };
  // A body frees what the new one needs; of answers, which are smaller, it may take several.
  while (is_full() && !stalled_.empty() && now - stalled_.front()->since >= options_.grace) {
    CutOff(*stalled_.front());
  }
  if (is_full()) {
    return ErrorOf(Reason::kOverloaded);
  }
  Await(body, reservation);
  return absl::OkStatus();
}

bool Intake::Arrived(Body& body, size_t num_bytes) {
  const absl::MutexLock lock(&mu_);
  if (!body.stalled.has_value()) {
    return false;
  }
  stalled_.erase(*std::exchange(body.stalled, std::nullopt));
  num_held_bytes_ += num_bytes - body.held_bytes;
  body.held_bytes = num_bytes;
  return true;
}

void Intake::Answering(Body& body, size_t num_bytes) {
  const absl::MutexLock lock(&mu_);
  Await(body, num_bytes);
}

void Intake::Leave(Body& body) {
  const absl::MutexLock lock(&mu_);
  if (body.stalled.has_value()) {
    stalled_.erase(*std::exchange(body.stalled, std::nullopt));
  }
  num_held_bytes_ -= std::exchange(body.held_bytes, 0);
}

void Intake::Configure(size_t max_bytes, std::chrono::nanoseconds max_stall) {
  const absl::MutexLock lock(&mu_);
  options_.max_bytes = max_bytes;
  options_.max_stall = max_stall;
}

size_t Intake::num_held_bytes() const {
  const absl::MutexLock lock(&mu_);
  return num_held_bytes_;
}

uint64_t Intake::num_cut_off() const {
  const absl::MutexLock lock(&mu_);
  return num_cut_off_;
}

}  // namespace shoji::server
