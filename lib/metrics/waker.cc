// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/metrics/waker.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace shoji::metrics {
namespace {

constexpr std::chrono::milliseconds kBetween(10);

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList Resolve(const rpc::Address& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) {
    found = nullptr;
  }
  return {found, &freeaddrinfo};
}

// Whether it gets through is of no interest: an attempt that is refused finds nobody to wake.
void Knock(const addrinfo& at) {
  const int fd = socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return;
  }
  static_cast<void>(connect(fd, at.ai_addr, at.ai_addrlen));
  close(fd);
}

// std::condition_variable_any is the one that a stop_token ends at once.
void KnockUntilStopped(const std::stop_token& stop, const rpc::Address& address) {
  const AddressList found = Resolve(address);
  std::mutex mu;
  std::condition_variable_any stopped;
  std::unique_lock lock(mu);
  while (!stop.stop_requested()) {
    for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
      Knock(*at);
    }
    stopped.wait_for(lock, stop, kBetween, [] { return false; });
  }
}

}  // namespace

Waker::Waker(rpc::Address address)
    : thread_([address = std::move(address)](const std::stop_token& stop) { KnockUntilStopped(stop, address); }) {}

}  // namespace shoji::metrics
