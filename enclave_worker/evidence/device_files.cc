// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/device_files.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/regular_file.h"

namespace shoji::enclave {
namespace {

constexpr size_t kReadStep = 8192;  // Gramine's quote wants a buffer that holds it

}  // namespace

bool PosixDeviceFiles::Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

DeviceFiles::ReadResult PosixDeviceFiles::Read(const std::string& path, size_t max_size) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ReadResult out;
  while (file.get() >= 0) {
    const size_t size = out.bytes.size();
    out.bytes.resize(size + kReadStep);
    const ssize_t num = ::read(file.get(), out.bytes.data() + size, kReadStep);
    out.error = num < 0 ? errno : 0;
    out.bytes.resize(size + (num < 0 ? 0 : static_cast<size_t>(num)));
    if (num <= 0) {
      return out;
    }
    if (out.bytes.size() > max_size) {
      out.error = EFBIG;
      return out;
    }
  }
  out.error = errno;
  return out;
}

int PosixDeviceFiles::Write(const std::string& path, ByteSpan bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    return errno;
  }
  const ssize_t num = ::write(file, bytes.data(), bytes.size());
  const int error = num < 0 ? errno : num != static_cast<ssize_t>(bytes.size()) ? EIO : 0;
  // configfs acts on close.
  const int closed = ::close(file) == 0 ? 0 : errno;
  return error != 0 ? error : closed;
}

int PosixDeviceFiles::MakeFolder(const std::string& path) { return ::mkdir(path.c_str(), S_IRWXU) == 0 ? 0 : errno; }
int PosixDeviceFiles::RemoveFolder(const std::string& path) { return ::rmdir(path.c_str()) == 0 ? 0 : errno; }

int PosixDeviceFiles::Ioctl(const std::string& path, unsigned long request, void* argument) {
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file.get() < 0) {
    return errno;
  }
  return ::ioctl(file.get(), request, argument) == 0 ? 0 : errno;
}

}  // namespace shoji::enclave
