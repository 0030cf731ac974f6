// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "lib/base/private_file.h"
#include "lib/base/regular_file.h"
#include "lib/base/status_macros.h"

namespace shoji {
namespace {

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

absl::Status CreateAndWrite(const std::string& part, ByteSpan content, mode_t mode) {
  ::unlink(part.c_str());  // of an attempt that was cut off; O_EXCL follows no link that somebody laid
  const FileDescriptor fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (fd.get() < 0) {
    return ErrnoError(errno, "cannot create " + part);
  }
  return WriteAll(fd.get(), content, part);
}

absl::Status WriteAtomically(const std::string& path, ByteSpan content, mode_t mode) {
  const std::string part = path + ".part";
  RETURN_IF_ERROR(CreateAndWrite(part, content, mode));
  if (std::rename(part.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, "cannot rename " + part + " to " + path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Bytes> ReadFile(const std::string& path, size_t max_size) {
  ASSIGN_OR_RETURN(const RegularFile file, RegularFile::Open(path));
  if (file.size() > max_size) {
    return absl::ResourceExhaustedError(path + " has " + std::to_string(file.size()) + " bytes, more than the " +
                                        std::to_string(max_size) + " that are accepted");
  }
  Bytes out(static_cast<size_t>(file.size()));
  RETURN_IF_ERROR(file.ReadAt(0, out));
  return out;
}

absl::Status CheckCanWrite(const std::string& path) {
  struct stat there = {};
  if (::stat(path.c_str(), &there) == 0 && S_ISDIR(there.st_mode)) {
    return absl::InvalidArgumentError("cannot write " + path + ": it is a folder");
  }
  const std::string part = path + ".part";
  RETURN_IF_ERROR(CreateAndWrite(part, {}, 0600));
  ::unlink(part.c_str());
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, ByteSpan content) {
  return WriteAtomically(path, content, 0644);
}

absl::Status WritePrivateFileAtomically(const std::string& path, ByteSpan content) {
  return WriteAtomically(path, content, 0600);
}

}  // namespace shoji
