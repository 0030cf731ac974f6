// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"

namespace shoji::server {

// What the holder of one token may do. Zero: no limit.
struct AccountLimits {
  double rate = 0;       // calls a second, on average
  uint64_t burst = 0;    // calls at once, before `rate` holds them back; 0: as many as `rate` allows in a second
  size_t in_flight = 0;  // calls under way, those that wait included

  bool operator==(const AccountLimits&) const = default;
};

// Who calls: the holder of a token, or of one of several under one name. Also the flow that admission is fair to.
// Thread-safe.
class Account {
 public:
  enum class Verdict : uint8_t { kAdmitted, kRate, kInFlight };
  struct Counts {
    uint64_t admitted = 0;
    uint64_t refused_for_rate = 0;
    uint64_t refused_for_in_flight = 0;
    size_t in_flight = 0;
  };

  // `name` is the operator's, for logs and metrics; empty: none was given.
  explicit Account(std::string name) : name_(std::move(name)) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  const std::string& name() const { return name_; }
  void SetLimits(const AccountLimits& limits);

  // kAdmitted: the call counts until Leave. kRate: not before `retry_after`.
  Verdict Enter(SteadyTime now, std::chrono::nanoseconds& retry_after);
  void Leave();
  Counts counts() const;

 private:
  const std::string name_;
  mutable absl::Mutex mu_;
  AccountLimits limits_ ABSL_GUARDED_BY(mu_);
  Counts counts_ ABSL_GUARDED_BY(mu_);
  // When the calls admitted so far would all have come, had they come at the rate: the generic cell rate algorithm of
  // ITU-T I.371, a token bucket in one number.
  SteadyTime paid_until_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::server
