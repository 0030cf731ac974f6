// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace shoji::rpc {

enum class Signal : uint8_t {
  kDrain,   // SIGTERM, SIGINT
  kReload,  // SIGHUP
};

// Receives the signals that steer a daemon. Create it first of all in main(), before any thread: it blocks the signals
// in the calling thread, and threads inherit that, so that none is killed and only Wait sees them. It also ignores
// SIGPIPE. One per process; Wait belongs to one thread.
class SignalWaiter {
 public:
  SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  // Waits for the next signal.
  Signal Wait();
  // As Wait, but at most `timeout`; nullopt when none came.
  std::optional<Signal> WaitFor(std::chrono::milliseconds timeout);
};

}  // namespace shoji::rpc
