// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Decrypted bulk data (pictures, answers) is as secret as a key, but too large to lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/bytes.h"

namespace shoji::crypto {

// A buffer that is wiped at destruction and, from kOwnPagesFrom bytes on, left out of core dumps (smaller ones share
// heap pages with other data; the enclave disables core dumps altogether). Not locked: operators turn swap off. 16-byte
// aligned. Move-only, neither comparable nor printable. Thread-compatible.
class PlaintextBytes {
 public:
  static constexpr size_t kOwnPagesFrom = size_t{64} << 10;

  PlaintextBytes() = default;
  // Zero-filled. Aborts when memory runs out.
  explicit PlaintextBytes(size_t size);
  static PlaintextBytes CopyOf(ByteSpan bytes);

  PlaintextBytes(PlaintextBytes&& other) noexcept;
  PlaintextBytes& operator=(PlaintextBytes&& other) noexcept;
  PlaintextBytes(const PlaintextBytes&) = delete;
  PlaintextBytes& operator=(const PlaintextBytes&) = delete;
  ~PlaintextBytes();

  size_t size() const { return size_; }
  ByteSpan Expose() const { return {data_, size_}; }
  std::span<uint8_t> ExposeMutable() { return {data_, size_}; }

  bool operator==(const PlaintextBytes&) const = delete;
  template <typename Stream>
  friend Stream& operator<<(Stream&, const PlaintextBytes&) = delete;

 private:
  void Release();

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace shoji::crypto
