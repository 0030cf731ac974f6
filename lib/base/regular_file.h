// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Files opened for reading in pieces. Every error names the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"

namespace shoji {

// The Status for an `errno`, beginning with `what`.
absl::Status ErrnoError(int error, const std::string& what);

// Owns a file descriptor, or none (-1).
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

// A regular file, open. Thread-compatible.
class RegularFile {
 public:
  // Follows symbolic links, as the path is its owner's. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (no regular
  // file).
  static absl::StatusOr<RegularFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened
  // OUT_OF_RANGE when the file ends before `out` is full.
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) const;

 private:
  friend class Folder;
  static absl::StatusOr<RegularFile> Adopt(FileDescriptor fd, std::string path);
  RegularFile(FileDescriptor fd, std::string path, uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}

  FileDescriptor fd_;
  std::string path_;
  uint64_t size_;
};

// A file from front to back.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(RegularFile file) : file_(std::move(file)) {}

  uint64_t size() const override { return file_.size(); }
  absl::Status Read(std::span<uint8_t> out) override;

 private:
  const RegularFile file_;
  uint64_t position_ = 0;
};

// A folder whose files other, less trusted files name. Thread-compatible.
class Folder {
 public:
  static absl::StatusOr<Folder> Open(const std::string& path);

  // The regular file `relative` below the folder. Each component is opened by itself and none may be a symbolic link,
  // so that a path checked is the path opened, whatever is renamed meanwhile. INVALID_ARGUMENT for an absolute path,
  // `..`, a symbolic link or what is no regular file; else as RegularFile::Open.
  absl::StatusOr<RegularFile> OpenBelow(const std::string& relative) const;

 private:
  Folder(FileDescriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  FileDescriptor fd_;
  std::string path_;
};

}  // namespace shoji
