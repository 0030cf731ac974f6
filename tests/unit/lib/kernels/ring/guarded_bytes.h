// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/check.h"

namespace shoji::kernels::ring {

// Bytes with a page that cannot be read or written right before (kBegin) or right behind (kEnd) them; on the other
// side, known bytes up to the end of the page.
class GuardedBytes {
 public:
  enum class At : uint8_t { kBegin, kEnd };

  GuardedBytes(size_t size, At at) : size_(size) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    middle_ = (size + page - 1) / page * page + page;
    whole_ = middle_ + 2 * page;
    void* memory = mmap(nullptr, whole_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOJI_CHECK(memory != MAP_FAILED);
    base_ = static_cast<uint8_t*>(memory);
    open_ = base_ + page;
    SHOJI_CHECK(mprotect(open_, middle_, PROT_READ | PROT_WRITE) == 0);
    std::fill_n(open_, middle_, kCanary);
    begin_ = at == At::kBegin ? open_ : open_ + (middle_ - size);
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { munmap(base_, whole_); }

  std::span<uint8_t> span() const { return {begin_, size_}; }
  bool SurroundingsAreUntouched() const {
    const auto is_canary = [](uint8_t byte) { return byte == kCanary; };
    return std::all_of(open_, begin_, is_canary) && std::all_of(begin_ + size_, open_ + middle_, is_canary);
  }

 private:
  static constexpr uint8_t kCanary = 0xC3;
  size_t size_;
  size_t middle_ = 0;
  size_t whole_ = 0;
  uint8_t* base_ = nullptr;
  uint8_t* open_ = nullptr;
  uint8_t* begin_ = nullptr;
};

}  // namespace shoji::kernels::ring
