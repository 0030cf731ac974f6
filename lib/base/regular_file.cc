// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"

namespace shoji {
namespace {

// O_NONBLOCK: opening a FIFO must not hang before fstat can refuse it.
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

// The components of a relative path that stays below where it starts.
absl::StatusOr<std::vector<std::string>> Components(const std::string& relative) {
  if (relative.empty() || relative.front() == '/' || relative.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("must be the name of a file below the folder");
  }
  std::vector<std::string> out;
  for (size_t at = 0; at <= relative.size();) {
    const size_t end = std::min(relative.find('/', at), relative.size());
    std::string component = relative.substr(at, end - at);
    if (component == "..") {
      return absl::InvalidArgumentError("may not leave the folder by `..`");
    }
    if (!component.empty() && component != ".") {
      out.push_back(std::move(component));
    }
    at = end + 1;
  }
  if (out.empty() || relative.back() == '/') {
    return absl::InvalidArgumentError("must be the name of a file below the folder");
  }
  return out;
}

}  // namespace

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

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

absl::StatusOr<RegularFile> RegularFile::Adopt(FileDescriptor fd, std::string path) {
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoError(errno, "cannot stat " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(path + " is not a regular file");
  }
  return RegularFile(std::move(fd), std::move(path), static_cast<uint64_t>(info.st_size));
}

absl::StatusOr<RegularFile> RegularFile::Open(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), kReadFlags));
  if (fd.get() < 0) {
    return ErrnoError(errno, "cannot open " + path);
  }
  return Adopt(std::move(fd), path);
}

absl::Status RegularFile::ReadAt(uint64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return ErrnoError(errno, "cannot read " + path_);
    }
    if (n == 0) {
      return absl::OutOfRangeError(path_ + " ends early");
    }
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

absl::Status FileSource::Read(std::span<uint8_t> out) {
  RETURN_IF_ERROR(file_.ReadAt(position_, out));
  position_ += out.size();
  return absl::OkStatus();
}

absl::StatusOr<Folder> Folder::Open(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) {
    return ErrnoError(errno, "cannot open the folder " + path);
  }
  return Folder(std::move(fd), path);
}

absl::StatusOr<RegularFile> Folder::OpenBelow(const std::string& relative) const {
  const std::string full = path_ + "/" + relative;
  absl::StatusOr<std::vector<std::string>> components = Components(relative);
  if (!components.ok()) {
    return absl::InvalidArgumentError("'" + relative + "' " + std::string(components.status().message()) + " " + path_);
  }
  FileDescriptor at;
  for (size_t i = 0; i < components->size(); ++i) {
    const bool last = i + 1 == components->size();
    const int flags = O_NOFOLLOW | O_CLOEXEC | (last ? kReadFlags : O_PATH | O_DIRECTORY);
    const int parent = i == 0 ? fd_.get() : at.get();
    FileDescriptor next(::openat(parent, (*components)[i].c_str(), flags));
    if (next.get() >= 0) {
      at = std::move(next);
      continue;
    }
    // ELOOP: the last component is a link; ENOTDIR: another one is, or is a file.
    struct stat info = {};
    const int error = errno;
    if ((error == ELOOP || error == ENOTDIR) &&
        ::fstatat(parent, (*components)[i].c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode)) {
      return absl::InvalidArgumentError(full + ": '" + (*components)[i] +
                                        "' is a symbolic link, which is not followed");
    }
    return ErrnoError(error, "cannot open " + full);
  }
  return RegularFile::Adopt(std::move(at), full);
}

}  // namespace shoji
