// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/account.h"

#include <algorithm>

namespace shoji::server {
namespace {

// `calls` at `rate` a second.
std::chrono::nanoseconds TimeOf(double calls, double rate) {
  return std::chrono::nanoseconds(static_cast<int64_t>(calls / rate * 1e9));
}

}  // namespace

void Account::SetLimits(const AccountLimits& limits) {
  const absl::MutexLock lock(&mu_);
  limits_ = limits;
}

Account::Verdict Account::Enter(SteadyTime now, std::chrono::nanoseconds& retry_after) {
  const absl::MutexLock lock(&mu_);
  if (limits_.in_flight > 0 && counts_.in_flight >= limits_.in_flight) {
    ++counts_.refused_for_in_flight;
    return Verdict::kInFlight;
  }
  if (limits_.rate > 0) {
    const double burst = limits_.burst > 0 ? static_cast<double>(limits_.burst) : std::max(limits_.rate, 1.0);
    // No further ahead than a burst, also when the limits have just become smaller.
    const SteadyTime paid = std::clamp(paid_until_, now, now + TimeOf(burst, limits_.rate));
    const std::chrono::nanoseconds ahead = paid - now - TimeOf(burst - 1, limits_.rate);
    if (ahead.count() > 0) {
      ++counts_.refused_for_rate;
      retry_after = ahead;
      return Verdict::kRate;
    }
    paid_until_ = paid + TimeOf(1, limits_.rate);
  }
  ++counts_.admitted;
  ++counts_.in_flight;
  return Verdict::kAdmitted;
}

void Account::Leave() {
  const absl::MutexLock lock(&mu_);
  --counts_.in_flight;
}

Account::Counts Account::counts() const {
  const absl::MutexLock lock(&mu_);
  return counts_;
}

}  // namespace shoji::server
