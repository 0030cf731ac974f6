// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/wiretap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace shoji::testing {
namespace {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

absl::StatusOr<SocketAddress> ParseAddress(const std::string& text) {
  SocketAddress out;
  if (text.rfind("unix:", 0) == 0) {
    const std::string path = text.substr(5);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
      return absl::InvalidArgumentError("the socket path is too long: " + path);
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    std::memcpy(&out.storage, &address, sizeof(address));
    out.size = sizeof(address);
    return out;
  }
  const size_t colon = text.rfind(':');
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  if (colon == std::string::npos || ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError("not unix:/path or an IPv4 address with a port: " + text);
  }
  address.sin_port = htons(static_cast<uint16_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10)));
  std::memcpy(&out.storage, &address, sizeof(address));
  out.size = sizeof(address);
  return out;
}

absl::Status Failed(const std::string& what) { return absl::UnavailableError(what + ": " + std::strerror(errno)); }

bool SendAll(int fd, ByteSpan data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) {
      return false;
    }
    data = data.subspan(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Wiretap>> Wiretap::Start(const std::string& listen, const std::string& forward) {
  ASSIGN_OR_RETURN(const SocketAddress address, ParseAddress(listen));
  RETURN_IF_ERROR(ParseAddress(forward).status());
  std::unique_ptr<Wiretap> tap(new Wiretap());
  tap->forward_ = forward;
  tap->stop_event_ = ::eventfd(0, EFD_CLOEXEC);
  tap->listener_ = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (address.family() == AF_UNIX) {
    ::unlink(listen.c_str() + 5);
  }
  if (::bind(tap->listener_, address.get(), address.size) != 0 || ::listen(tap->listener_, 64) != 0) {
    return Failed("cannot listen on " + listen);
  }
  tap->address_ = listen;
  if (address.family() == AF_INET) {
    sockaddr_in bound = {};
    socklen_t size = sizeof(bound);
    ::getsockname(tap->listener_, reinterpret_cast<sockaddr*>(&bound), &size);
    tap->address_ = listen.substr(0, listen.rfind(':') + 1) + std::to_string(ntohs(bound.sin_port));
  }
  tap->acceptor_ = std::jthread([raw = tap.get()] { raw->AcceptLoop(); });
  return tap;
}

Wiretap::~Wiretap() {
  if (acceptor_.joinable()) {
    const uint64_t one = 1;
    SHOJI_CHECK(::write(stop_event_, &one, sizeof(one)) == sizeof(one));
    acceptor_.join();
  }
  std::vector<std::jthread> relays;
  {
    const absl::MutexLock lock(&mu_);
    relays.swap(relays_);
  }
  relays.clear();
  ::close(listener_);
  ::close(stop_event_);
}

Bytes Wiretap::sent() const {
  const absl::MutexLock lock(&mu_);
  return sent_;
}
Bytes Wiretap::received() const {
  const absl::MutexLock lock(&mu_);
  return received_;
}
void Wiretap::Clear() {
  const absl::MutexLock lock(&mu_);
  sent_.clear();
  received_.clear();
}

void Wiretap::AcceptLoop() {
  while (true) {
    std::array<pollfd, 2> fds = {{{listener_, POLLIN, 0}, {stop_event_, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      return;
    }
    if (fds[1].revents != 0) {
      return;
    }
    if (fds[0].revents == 0) {
      continue;
    }
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) {
      const absl::MutexLock lock(&mu_);
      relays_.emplace_back([this, client] { Relay(client); });
    }
  }
}

void Wiretap::Relay(int client) {
  const absl::StatusOr<SocketAddress> target = ParseAddress(forward_);
  const int server = ::socket(target->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool open = ::connect(server, target->get(), target->size) == 0;
  Bytes buffer(size_t{1} << 16);
  while (open) {
    std::array<pollfd, 3> fds = {{{client, POLLIN, 0}, {server, POLLIN, 0}, {stop_event_, POLLIN, 0}}};
    if ((::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) || fds[2].revents != 0) {
      break;
    }
    for (size_t i = 0; i < 2 && open; ++i) {
      if (fds[i].revents == 0) {
        continue;
      }
      const ssize_t n = ::recv(fds[i].fd, buffer.data(), buffer.size(), 0);
      open = n > 0;
      if (open) {
        const ByteSpan data = ByteSpan(buffer).first(static_cast<size_t>(n));
        {
          const absl::MutexLock lock(&mu_);
          Append(i == 0 ? sent_ : received_, data);
        }
        open = SendAll(fds[1 - i].fd, data);
      }
    }
  }
  ::close(client);
  ::close(server);
}

// Every position of `haystack` is looked at once: its first bytes tell, by a table, whether a part may begin there.
bool ContainsAnyPart(ByteSpan haystack, ByteSpan needle, size_t window) {
  constexpr size_t kPrefix = 4;
  SHOJI_CHECK(needle.size() > window && window >= kPrefix);
  const auto prefix_at = [](const uint8_t* at) {
    uint32_t prefix = 0;
    std::memcpy(&prefix, at, kPrefix);
    return prefix;
  };
  std::vector<bool> may_begin(size_t{1} << 16, false);
  std::unordered_multimap<uint32_t, ByteSpan> parts;
  for (size_t start = 0; start + window <= needle.size(); start += window) {
    const ByteSpan part = needle.subspan(start, window);
    // Runs of one value occur by chance; they prove nothing.
    if (std::all_of(part.begin(), part.end(), [&](uint8_t byte) { return byte == part[0]; })) {
      continue;
    }
    const uint32_t prefix = prefix_at(part.data());
    may_begin[prefix % may_begin.size()] = true;
    parts.emplace(prefix, part);
  }
  for (size_t at = 0; at + window <= haystack.size(); ++at) {
    const uint32_t prefix = prefix_at(haystack.data() + at);
    if (!may_begin[prefix % may_begin.size()]) {
      continue;
    }
    const auto [first, last] = parts.equal_range(prefix);
    const ByteSpan here = haystack.subspan(at, window);
    if (std::any_of(first, last, [&](const auto& part) { return std::ranges::equal(part.second, here); })) {
      return true;
    }
  }
  return false;
}

}  // namespace shoji::testing
