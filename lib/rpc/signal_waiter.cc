// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/signal_waiter.h"

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <ctime>

#include "lib/base/check.h"

namespace shoji::rpc {
namespace {

sigset_t Signals() {
  sigset_t out;
  sigemptyset(&out);
  sigaddset(&out, SIGTERM);
  sigaddset(&out, SIGINT);
  sigaddset(&out, SIGHUP);
  return out;
}

Signal Meaning(int number) { return number == SIGHUP ? Signal::kReload : Signal::kDrain; }

}  // namespace

SignalWaiter::SignalWaiter() {
  const sigset_t signals = Signals();
  SHOJI_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  SHOJI_CHECK(sigaction(SIGPIPE, &ignore, nullptr) == 0);
}

Signal SignalWaiter::Wait() {
  const sigset_t signals = Signals();
  int number = 0;
  while (sigwait(&signals, &number) != 0) {
  }
  return Meaning(number);
}

std::optional<Signal> SignalWaiter::WaitFor(std::chrono::milliseconds timeout) {
  const sigset_t signals = Signals();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec wait = {};
  wait.tv_sec = static_cast<time_t>(seconds.count());
  wait.tv_nsec = static_cast<long>(std::chrono::nanoseconds(timeout - seconds).count());
  const int number = sigtimedwait(&signals, nullptr, &wait);
  return number > 0 ? std::optional<Signal>(Meaning(number)) : std::nullopt;
}

}  // namespace shoji::rpc
