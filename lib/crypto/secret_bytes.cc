// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/secret_bytes.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <openssl/crypto.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/check.h"

namespace shoji::crypto {
namespace {

constexpr size_t kSmallestBlock = 16;
constexpr size_t kNumClasses = 9;  // 16, 32, ... 4096
static_assert(kSmallestBlock << (kNumClasses - 1) == kMaxSecretSize);

// Blocks of power-of-two sizes, cut one after the other from the locked pages; a freed block waits in its class's list
// for the next secret of that class. Keys come in two or three sizes, so nothing is gained by merging blocks.
// Thread-safe.
class Arena {
 public:
  explicit Arena(uint8_t* base) : base_(base) {}

  uint8_t* Allocate(size_t size) {
    const size_t index = ClassOf(size);
    const size_t block = kSmallestBlock << index;
    const absl::MutexLock lock(&mu_);
    if (!free_[index].empty()) {
      uint8_t* const out = free_[index].back();
      free_[index].pop_back();
      return out;
    }
    SHOJI_CHECK(block <= kSecretMemorySize - used_);
    uint8_t* const out = base_ + used_;
    used_ += block;
    return out;
  }

  void Free(uint8_t* data, size_t size) {
    OPENSSL_cleanse(data, size);
    const absl::MutexLock lock(&mu_);
    free_[ClassOf(size)].push_back(data);
  }

 private:
  static size_t ClassOf(size_t size) {
    const size_t block = std::bit_ceil(std::max(size, kSmallestBlock));
    return static_cast<size_t>(std::countr_zero(block / kSmallestBlock));
  }

  uint8_t* const base_;
  absl::Mutex mu_;
  size_t used_ ABSL_GUARDED_BY(mu_) = 0;
  std::array<std::vector<uint8_t*>, kNumClasses> free_ ABSL_GUARDED_BY(mu_);
};

absl::Status LockError(const std::string& what) {
  return absl::FailedPreconditionError("cannot lock 2 MiB of memory for keys: " + what + ": " +
                                       std::generic_category().message(errno) +
                                       "; raise the memlock limit (ulimit -l, LimitMEMLOCK=) to at least 2048 KiB");
}

// Best effort: mlock says what is wrong when this did not suffice.
void RaiseSoftLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
  }
}

absl::StatusOr<Arena*> CreateArena() {
  void* const base = ::mmap(nullptr, kSecretMemorySize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    return LockError("mmap");
  }
  if (::madvise(base, kSecretMemorySize, MADV_DONTDUMP) != 0) {
    return LockError("madvise");
  }
  if (::mlock(base, kSecretMemorySize) != 0) {
    RaiseSoftLimit();
    if (::mlock(base, kSecretMemorySize) != 0) {
      return LockError("mlock");
    }
  }
  return new Arena(static_cast<uint8_t*>(base));
}

// Never destroyed: secrets of static lifetime may outlive any order of destruction.
const absl::StatusOr<Arena*>& TheArena() {
  static const auto* const arena = new absl::StatusOr<Arena*>(CreateArena());
  return *arena;
}

Arena& ArenaOrDie() {
  const absl::StatusOr<Arena*>& arena = TheArena();
  if (!arena.ok()) {
    std::fprintf(stderr, "%s\n", std::string(arena.status().message()).c_str());
  }
  SHOJI_CHECK(arena.ok());
  return **arena;
}

}  // namespace

absl::Status InitializeSecretMemory() { return TheArena().status(); }

SecretBytes::SecretBytes(size_t size) : size_(size) {
  SHOJI_CHECK(size <= kMaxSecretSize);
  if (size > 0) {
    data_ = ArenaOrDie().Allocate(size);
    std::memset(data_, 0, size);
  }
}

SecretBytes SecretBytes::CopyOf(ByteSpan bytes) {
  SecretBytes out(bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.data_);
  return out;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SecretBytes::~SecretBytes() { Release(); }

void SecretBytes::Release() {
  if (data_ != nullptr) {
    ArenaOrDie().Free(data_, size_);
  }
}

}  // namespace shoji::crypto
