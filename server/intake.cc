// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/intake.h"

#include <algorithm>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::server {
namespace {

// One flow may hold so many times what it leaves to others: four fifths, where it is alone.
constexpr size_t kShare = 4;

}  // namespace

Intake::Intake(const Options& options, const Clock& clock) : clock_(clock), options_(options) {}

void Intake::CutOff(Body& body) {
  stalled_.erase(*std::exchange(body.stalled_, std::nullopt));
  Hold(body, 0);
  ++num_cut_off_;
  body.OnCutOff();
}

void Intake::Await(Body& body, size_t num_bytes) {
  body.stalled_ = stalled_.insert(stalled_.end(), &body);
  body.since_ = clock_.SteadyNow();
  Hold(body, num_bytes);
}

void Intake::Hold(Body& body, size_t num_bytes) {
  const auto of_flow = held_by_flow_.try_emplace(body.flow_, 0).first;
  of_flow->second += num_bytes - body.held_bytes_;
  num_held_bytes_ += num_bytes - body.held_bytes_;
  body.held_bytes_ = num_bytes;
  if (of_flow->second == 0) {
    held_by_flow_.erase(of_flow);
  }
}

bool Intake::IsTooMuch(Flow flow, size_t num_bytes) const {
  const auto own = held_by_flow_.find(flow);
  if (flow == nullptr || own == held_by_flow_.end()) {
    return false;
  }
  const size_t then_held = num_held_bytes_ + num_bytes;
  const size_t left = options_.max_bytes - std::min(options_.max_bytes, then_held);
  return (own->second + num_bytes) / kShare >= left;
}

bool Intake::CutOffOneOf(Flow flow, SteadyTime now) {
  const auto found =
      std::find_if(stalled_.begin(), stalled_.end(), [flow](const Body* body) { return body->flow_ == flow; });
  if (found == stalled_.end() || now - (*found)->since_ < options_.grace) {
    return false;
  }
  CutOff(**found);
  return true;
}

absl::Status Intake::Enter(Body& body, Flow flow) {
  const absl::MutexLock lock(&mu_);
  const SteadyTime now = clock_.SteadyNow();
  while (!stalled_.empty() && now - stalled_.front()->since_ >= options_.max_stall) {
    CutOff(*stalled_.front());
  }
  const size_t reservation = std::min(options_.max_message_bytes, options_.max_bytes);
  while (IsTooMuch(flow, reservation)) {
    if (!CutOffOneOf(flow, now)) {
      return ErrorOf(Reason::kOverloaded);
    }
  }
  const auto is_full = [&] {
    mu_.AssertHeld();
    return num_held_bytes_ + reservation > options_.max_bytes;
  };
  // A body frees what the new one needs; of answers, which are smaller, it may take several.
  while (is_full() && !stalled_.empty() && now - stalled_.front()->since_ >= options_.grace) {
    CutOff(*stalled_.front());
  }
  if (is_full()) {
    return ErrorOf(Reason::kOverloaded);
  }
  body.flow_ = flow;
  Await(body, reservation);
  return absl::OkStatus();
}

bool Intake::Arrived(Body& body, size_t num_bytes) {
  const absl::MutexLock lock(&mu_);
  if (!body.stalled_.has_value()) {
    return false;
  }
  stalled_.erase(*std::exchange(body.stalled_, std::nullopt));
  Hold(body, num_bytes);
  return true;
}

void Intake::Answering(Body& body, size_t num_bytes) {
  const absl::MutexLock lock(&mu_);
  Await(body, num_bytes);
}

void Intake::Leave(Body& body) {
  const absl::MutexLock lock(&mu_);
  if (body.stalled_.has_value()) {
    stalled_.erase(*std::exchange(body.stalled_, std::nullopt));
  }
  Hold(body, 0);
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
