// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/backoff.h"

#include <algorithm>

namespace shoji::enclave {

std::chrono::nanoseconds Backoff::Next(double random) {
  const std::chrono::nanoseconds ceiling = std::min(next_, options_.max);
  next_ = std::min(ceiling * 2, options_.max);
  const auto half = static_cast<double>(ceiling.count()) / 2;
  return std::chrono::nanoseconds(static_cast<int64_t>(half + half * random));
}

}  // namespace shoji::enclave
