// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include <openssl/crypto.h>

namespace shoji::enclave {

// A zero-filled array on a cache line's boundary, which vector loads like, and in huge pages where it is large enough
// and the kernel has some: answers, pads and masked inputs stream through once, and with small pages half of that time
// goes into address translation. Wiped when it goes, because what the enclave keeps in these is secret or follows from
// a picture. T is an arithmetic type. Move-only. Thread-compatible.
template <typename T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(size_t size) : size_(size) {
    if (size != 0) {
      data_ = static_cast<T*>(::operator new(num_bytes(), Alignment()));
      if (num_bytes() >= kHugePage) {
        // Advice: where it is not taken, nothing but speed is lost.
        (void)madvise(data_, num_bytes(), MADV_HUGEPAGE);
      }
      std::memset(data_, 0, num_bytes());
    }
  }
  AlignedArray(AlignedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedArray& operator=(AlignedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedArray() {
    if (data_ != nullptr) {
      OPENSSL_cleanse(data_, num_bytes());
      ::operator delete(data_, Alignment());
    }
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;

  size_t num_bytes() const { return size_ * sizeof(T); }
  std::align_val_t Alignment() const { return std::align_val_t{num_bytes() >= kHugePage ? kHugePage : 64}; }

  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace shoji::enclave
