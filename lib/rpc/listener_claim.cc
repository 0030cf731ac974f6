// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/listener_claim.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::rpc {
namespace {

absl::Status ErrnoStatus(int error, const std::string& what) {
  const std::string message = what + ": " + std::strerror(error);
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(message + "; another process listens there");
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case ENOENT:
      return absl::NotFoundError(message);
    default:
      return absl::InvalidArgumentError(message);
  }
}

// Whether a process accepts connections on the Unix socket `path`.
bool IsServed(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return true;
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  ::close(fd);
  return result == 0 || error != ECONNREFUSED;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ListenerClaim>> ListenerClaim::Take(const Address& address) {
  std::unique_ptr<ListenerClaim> claim(new ListenerClaim());
  RETURN_IF_ERROR(address.kind == Address::Kind::kUnix ? claim->TakeUnix(address.path) : TryTcp(address));
  return claim;
}

ListenerClaim::~ListenerClaim() {
  // The lock file stays: removing it would let two processes hold locks on two files of that name.
  if (lock_fd_ >= 0) {
    ::close(lock_fd_);
  }
}

absl::Status ListenerClaim::TakeUnix(const std::string& path) {
  const std::string what = "cannot listen on unix:" + path;
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty() && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, what + ": cannot create its folder");
  }
  const std::string lock = path + ".lock";
  lock_fd_ = ::open(lock.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_fd_ < 0) {
    return ErrnoStatus(errno, what + ": cannot open " + lock);
  }
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? ErrnoStatus(EADDRINUSE, what) : ErrnoStatus(errno, what + ": cannot lock " + lock);
  }
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, what);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::InvalidArgumentError(what + ": a file that is not a socket is in its place");
  }
  if (IsServed(path)) {
    return ErrnoStatus(EADDRINUSE, what);
  }
  return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, what + ": cannot remove the stale socket");
}

absl::Status ListenerClaim::TryTcp(const Address& address) {
  const std::string what = "cannot listen on " + address.ToString();
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(what + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return ErrnoStatus(errno, what);
  }
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const int result = ::bind(fd, found->ai_addr, found->ai_addrlen);
  const int bind_error = errno;
  ::close(fd);
  return result == 0 ? absl::OkStatus() : ErrnoStatus(bind_error, what);
}

}  // namespace shoji::rpc
