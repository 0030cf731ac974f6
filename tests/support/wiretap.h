// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an eavesdropper on one hop sees: a relay between two sockets that records every byte, both ways. Tests and the
// quickstart put it in front of a process to learn what that process handles.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/bytes.h"

namespace shoji::testing {

// Thread-safe.
class Wiretap {
 public:
  // Listens on `listen` and forwards each connection to `forward`; both "unix:/path" or "127.0.0.1:port" (0 picks one).
  static absl::StatusOr<std::unique_ptr<Wiretap>> Start(const std::string& listen, const std::string& forward);
  ~Wiretap();
  Wiretap(const Wiretap&) = delete;
  Wiretap& operator=(const Wiretap&) = delete;

  // Where to connect: the real port in place of 0.
  const std::string& address() const { return address_; }
  // Everything so far: towards the forwarded address, and back from it.
  Bytes sent() const;
  Bytes received() const;
  void Clear();

 private:
  Wiretap() = default;
  void AcceptLoop();
  void Relay(int client);

  std::string address_;
  std::string forward_;
  int listener_ = -1;
  int stop_event_ = -1;
  std::jthread acceptor_;
  mutable absl::Mutex mu_;
  std::vector<std::jthread> relays_ ABSL_GUARDED_BY(mu_);
  Bytes sent_ ABSL_GUARDED_BY(mu_);
  Bytes received_ ABSL_GUARDED_BY(mu_);
};

// Whether `haystack` holds any run of `window` bytes of `needle` at a multiple of `window`: what is split into frames
// on the way is found all the same. `needle` must be longer than `window`.
bool ContainsAnyPart(ByteSpan haystack, ByteSpan needle, size_t window);

}  // namespace shoji::testing
