// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <string>

#include "lib/base/bytes.h"

namespace shoji::enclave {

// What evidence providers do with the kernel's files: each call opens, does one thing and closes. A seam, so that tests
// can be the kernel. Results are errno values, 0 for success: they are the protocol of these files. Thread-safe.
class DeviceFiles {
 public:
  struct ReadResult {
    int error = 0;
    Bytes bytes;
  };

  DeviceFiles() = default;
  DeviceFiles(const DeviceFiles&) = delete;
  DeviceFiles& operator=(const DeviceFiles&) = delete;
  virtual ~DeviceFiles() = default;

  virtual bool Exists(const std::string& path) = 0;
  // To the end of the file; EFBIG for more than `max_size` bytes.
  virtual ReadResult Read(const std::string& path, size_t max_size) = 0;
  // In one write(2); EIO when it is a short one.
  virtual int Write(const std::string& path, ByteSpan bytes) = 0;
  virtual int MakeFolder(const std::string& path) = 0;
  virtual int RemoveFolder(const std::string& path) = 0;
  virtual int Ioctl(const std::string& path, unsigned long request, void* argument) = 0;
};

// The real ones.
class PosixDeviceFiles final : public DeviceFiles {
 public:
  bool Exists(const std::string& path) override;
  ReadResult Read(const std::string& path, size_t max_size) override;
  int Write(const std::string& path, ByteSpan bytes) override;
  int MakeFolder(const std::string& path) override;
  int RemoveFolder(const std::string& path) override;
  int Ioctl(const std::string& path, unsigned long request, void* argument) override;
};

}  // namespace shoji::enclave
