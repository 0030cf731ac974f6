// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/pad_filler.h"

#include <sched.h>

#include <algorithm>

namespace shoji::enclave {

PadFiller::Attachment::Attachment(PadFiller& filler, PadPool& pool) : filler_(filler), pool_(pool) {
  pool.OnRoom([&filler] {
    const absl::MutexLock lock(&filler.mu_);
    filler.maybe_room_ = true;
  });
  const absl::MutexLock lock(&filler.mu_);
  filler.attached_.push_back(this);
  filler.maybe_room_ = true;
}

PadFiller::Attachment::~Attachment() {
  const absl::MutexLock lock(&filler_.mu_);
  detaching_ = true;
  filler_.attached_.erase(std::find(filler_.attached_.begin(), filler_.attached_.end(), this));
  filler_.mu_.Await(absl::Condition(
      +[](int* num_working) { return *num_working == 0; }, &num_working_));
}

PadFiller::PadFiller(size_t num_threads) {
  for (size_t i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

PadFiller::~PadFiller() {
  const absl::MutexLock lock(&mu_);
  stopping_ = true;
}

PadFiller::Attachment* PadFiller::Next() {
  for (size_t i = 0; i < attached_.size(); ++i) {
    Attachment* attachment = attached_[(turn_ + i) % attached_.size()];
    if (attachment->pool_.HasRoom()) {
      turn_ = (turn_ + i + 1) % attached_.size();
      ++attachment->num_working_;
      return attachment;
    }
  }
  return nullptr;
}

void PadFiller::Work() {
  // At the lowest priority: requests come first. Where it is denied the threads compete as any other.
  const sched_param lowest = {};
  ::sched_setscheduler(0, SCHED_IDLE, &lowest);
  mu_.Lock();
  while (!stopping_) {
    maybe_room_ = false;
    Attachment* attachment = Next();
    if (attachment == nullptr) {
      const auto woken = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return maybe_room_ || stopping_; };
      mu_.Await(absl::Condition(&woken));
      continue;
    }
    mu_.Unlock();
    attachment->pool_.MakeOne([&] { return stopping_ || attachment->detaching_; });
    mu_.Lock();
    --attachment->num_working_;
  }
  mu_.Unlock();
}

}  // namespace shoji::enclave
