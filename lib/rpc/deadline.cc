// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/deadline.h"

#include <chrono>

namespace shoji::rpc {
namespace {

// Far enough to mean "none", near enough to add to any time without overflow.
constexpr std::chrono::hours kForever{24 * 365 * 10};

}  // namespace

std::optional<SteadyTime> FromGrpcDeadline(SystemTime deadline, const Clock& clock) {
  const SystemTime now = clock.SystemNow();
  if (deadline > now + kForever) {
    return std::nullopt;
  }
  // In the far past the difference would overflow; a deadline there is past all the same.
  const SystemTime::duration left = deadline < now - kForever ? -kForever : deadline - now;
  return clock.SteadyNow() + std::chrono::duration_cast<SteadyTime::duration>(left);
}

SystemTime ToGrpcDeadline(SteadyTime deadline, const Clock& clock) {
  const SteadyTime now = clock.SteadyNow();
  if (deadline > now + kForever) {
    return SystemTime::max();
  }
  const SteadyTime::duration left = deadline < now - kForever ? -kForever : deadline - now;
  return clock.SystemNow() + std::chrono::duration_cast<SystemTime::duration>(left);
}

}  // namespace shoji::rpc
