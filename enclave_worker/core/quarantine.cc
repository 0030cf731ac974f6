// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/quarantine.h"

#include <algorithm>
#include <utility>

namespace shoji::enclave {

const char* NameOf(Offence offence) {
  switch (offence) {
    case Offence::kWrongAnswer:
      return "wrong_answer";
    case Offence::kMalformedAnswer:
      return "malformed_answer";
    case Offence::kNoAnswer:
      return "no_answer";
  }
  return "unknown";
}

Quarantine::Quarantine(const Clock& clock, Options options) : clock_(clock), options_(std::move(options)) {}

bool Quarantine::Holds(const Accelerator& accelerator) const {
  const SteadyTime now = clock_.SteadyNow();
  const absl::MutexLock lock(&mu_);
  const auto record = records_.find(&accelerator);
  return record != records_.end() && now < record->second.until;
}

void Quarantine::Punish(const Accelerator& accelerator, Offence offence) {
  const SteadyTime now = clock_.SteadyNow();
  std::chrono::nanoseconds term = {};
  {
    const absl::MutexLock lock(&mu_);
    ++num_offences_[static_cast<size_t>(offence)];
    const auto [found, is_new] = records_.try_emplace(&accelerator);
    Record& record = found->second;
    if (!is_new && now < record.until) {
      return;
    }
    const bool first = is_new || now - record.until >= options_.max;
    // Not term * 2, which could overflow.
    const bool longest = record.term > options_.max / 2;
    term = first ? options_.first : longest ? options_.max : record.term * 2;
    term = std::min(term, options_.max);
    record = {.term = term, .until = now + std::chrono::duration_cast<SteadyTime::duration>(term)};
    ++num_terms_;
  }
  if (options_.on_term) {
    options_.on_term(accelerator, offence, term);
  }
}

void Quarantine::ReleaseAll() {
  const absl::MutexLock lock(&mu_);
  records_.clear();
}

size_t Quarantine::num_held() const {
  const SteadyTime now = clock_.SteadyNow();
  const absl::MutexLock lock(&mu_);
  return static_cast<size_t>(
      std::count_if(records_.begin(), records_.end(), [now](const auto& entry) { return now < entry.second.until; }));
}

uint64_t Quarantine::num_offences(Offence offence) const {
  const absl::MutexLock lock(&mu_);
  return num_offences_[static_cast<size_t>(offence)];
}

uint64_t Quarantine::num_terms() const {
  const absl::MutexLock lock(&mu_);
  return num_terms_;
}

}  // namespace shoji::enclave
