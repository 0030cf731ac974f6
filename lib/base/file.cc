// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "lib/base/status_macros.h"

namespace shoji {
namespace {

absl::Status ErrnoError(int error, const std::string& what) {
  const std::string message = what + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, ByteSpan content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return ErrnoError(errno, "cannot write " + path);
    }
    content = content.subspan(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Bytes> ReadFile(const std::string& path, size_t max_size) {
  // O_NONBLOCK: opening a FIFO must not hang before fstat can refuse it.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    return ErrnoError(errno, "cannot open " + path);
  }
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoError(errno, "cannot stat " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(path + " is not a regular file");
  }
  if (static_cast<size_t>(info.st_size) > max_size) {
    return absl::ResourceExhaustedError(path + " has " + std::to_string(info.st_size) + " bytes, more than the " +
                                        std::to_string(max_size) + " that are accepted");
  }
  Bytes out(static_cast<size_t>(info.st_size));
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t n = ::read(fd.get(), out.data() + filled, out.size() - filled);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return ErrnoError(errno, "cannot read " + path);
    }
    if (n == 0) {
      break;
    }
    filled += static_cast<size_t>(n);
  }
  out.resize(filled);
  return out;
}

absl::Status WriteFileAtomically(const std::string& path, ByteSpan content) {
  const std::string part = path + ".part";
  {
    ::unlink(part.c_str());  // of an attempt that was cut off; O_EXCL follows no link that somebody laid
    const FileDescriptor fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (fd.get() < 0) {
      return ErrnoError(errno, "cannot create " + part);
    }
    RETURN_IF_ERROR(WriteAll(fd.get(), content, part));
  }
  if (std::rename(part.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, "cannot rename " + part + " to " + path);
  }
  return absl::OkStatus();
}

}  // namespace shoji
