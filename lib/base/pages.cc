// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

namespace shoji {

void DropPages(std::span<uint8_t> bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t before = (page - reinterpret_cast<uintptr_t>(bytes.data()) % page) % page;
  if (bytes.size() < before + page) {
    return;
  }
  // Where it fails, the memory is freed with the rest.
  (void)::madvise(bytes.data() + before, (bytes.size() - before) / page * page, MADV_DONTNEED);
}

}  // namespace shoji
