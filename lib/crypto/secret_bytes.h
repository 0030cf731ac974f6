// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Key material, in memory that is locked into RAM, left out of core dumps and wiped when it is given back. All of it
// lies in one arena of 2 MiB that a process maps and locks once (a locked page belongs to the whole process, so the
// arena does too). OpenSSL's own contexts hold copies on the ordinary heap for the length of one operation and wipe
// them themselves; registers and spilled stack slots are not wiped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "lib/base/bytes.h"

namespace shoji::crypto {

inline constexpr size_t kSecretMemorySize = size_t{2} << 20;
inline constexpr size_t kMaxSecretSize = 4096;

// Maps and locks the arena; call it at process start, so that a missing permission is a clear start-up error. Later
// calls return the first one's result. FAILED_PRECONDITION says how to raise the limit. A process that never calls this
// does it at its first secret, and aborts where it fails.
absl::Status InitializeSecretMemory();

// Up to kMaxSecretSize bytes of key material; the size is fixed at birth. Reading needs Expose(), which only
// lib/crypto, lib/channel, enclave_worker and client may call. Neither comparable (use ConstantTimeEquals) nor
// printable. A full arena aborts: holders of many keys bound their number. Thread-compatible.
class SecretBytes {
 public:
  // Zero-filled.
  explicit SecretBytes(size_t size);
  static SecretBytes CopyOf(ByteSpan bytes);

  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  size_t size() const { return size_; }  // 0 when moved from
  ByteSpan Expose() const { return {data_, size_}; }
  std::span<uint8_t> ExposeMutable() { return {data_, size_}; }

  bool operator==(const SecretBytes&) const = delete;
  template <typename Stream>
  friend Stream& operator<<(Stream&, const SecretBytes&) = delete;

 private:
  void Release();

  uint8_t* data_ = nullptr;
  size_t size_;
};

}  // namespace shoji::crypto
