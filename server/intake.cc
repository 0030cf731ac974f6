// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/intake.h"

#include <algorithm>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::server {

Intake::Intake(const Options& options, const Clock& clock)
    : options_(options), reservation_(std::min(options.max_message_bytes, options.max_bytes)), clock_(clock) {}

absl::Status Intake::Enter(Body& body) {
  const absl::MutexLock lock(&mu_);
  const SteadyTime now = clock_.SteadyNow();
  if (num_held_bytes_ + reservation_ > options_.max_bytes) {
    // One that is cut off frees just what the new one needs.
    if (arriving_.empty() || now - arriving_.front()->since < options_.grace) {
      return ErrorOf(Reason::kOverloaded);
    }
    Body& oldest = *arriving_.front();
    arriving_.pop_front();
    oldest.arriving.reset();
    num_held_bytes_ -= std::exchange(oldest.held_bytes, 0);
    oldest.OnCutOff();
  }
  body.arriving = arriving_.insert(arriving_.end(), &body);
  body.since = now;
  body.held_bytes = reservation_;
  num_held_bytes_ += reservation_;
  return absl::OkStatus();
}

bool Intake::Arrived(Body& body, size_t num_bytes) {
  const absl::MutexLock lock(&mu_);
  if (!body.arriving.has_value()) {
    return false;
  }
  arriving_.erase(*std::exchange(body.arriving, std::nullopt));
  num_held_bytes_ -= body.held_bytes;
  body.held_bytes = num_bytes;
  num_held_bytes_ += num_bytes;
  return true;
}

void Intake::Leave(Body& body) {
  const absl::MutexLock lock(&mu_);
  if (body.arriving.has_value()) {
    arriving_.erase(*std::exchange(body.arriving, std::nullopt));
  }
  num_held_bytes_ -= std::exchange(body.held_bytes, 0);
}

size_t Intake::num_held_bytes() const {
  const absl::MutexLock lock(&mu_);
  return num_held_bytes_;
}

}  // namespace shoji::server
