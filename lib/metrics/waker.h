// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <thread>

#include "lib/rpc/address.h"

namespace shoji::metrics {

// Connects to `address`, a TCP listener of this process, and hangs up, again and again for as long as it lives.
// civetweb's thread that accepts looks only every two seconds whether it should stop, unless somebody connects; so
// stopping it with one of these alive takes no time. Thread-safe.
class Waker {
 public:
  explicit Waker(rpc::Address address);
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  ~Waker() = default;

 private:
  std::jthread thread_;
};

}  // namespace shoji::metrics
