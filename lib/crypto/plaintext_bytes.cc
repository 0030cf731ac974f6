// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/plaintext_bytes.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include <openssl/crypto.h>

#include "lib/base/check.h"

namespace shoji::crypto {

PlaintextBytes::PlaintextBytes(size_t size) : size_(size) {
  if (size == 0) {
    return;
  }
  if (size < kOwnPagesFrom) {
    data_ = new uint8_t[size]();
    return;
  }
  void* const pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SHOJI_CHECK(pages != MAP_FAILED);
  SHOJI_CHECK(::madvise(pages, size, MADV_DONTDUMP) == 0);
  constexpr size_t kHugePage = size_t{2} << 20;
  if (size >= kHugePage) {
    (void)::madvise(pages, size, MADV_HUGEPAGE);  // faster to walk; a kernel without them loses nothing
  }
  data_ = static_cast<uint8_t*>(pages);
}

PlaintextBytes PlaintextBytes::CopyOf(ByteSpan bytes) {
  PlaintextBytes out(bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.data_);
  return out;
}

PlaintextBytes::PlaintextBytes(PlaintextBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

PlaintextBytes& PlaintextBytes::operator=(PlaintextBytes&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

PlaintextBytes::~PlaintextBytes() { Release(); }

void PlaintextBytes::Release() {
  if (data_ == nullptr) {
    return;
  }
  OPENSSL_cleanse(data_, size_);
  if (size_ < kOwnPagesFrom) {
    delete[] data_;
  } else {
    SHOJI_CHECK(::munmap(data_, size_) == 0);
  }
}

}  // namespace shoji::crypto
