// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <cstdint>

namespace shoji::enclave {

// How many queries of a sealed model its owner still allows. Between two calls of Renew, Take succeeds exactly as often
// as the first one said, whatever the number of threads, sessions and reloads. Starts exhausted. Thread-safe.
class QueryBudget {
 public:
  QueryBudget() = default;
  QueryBudget(const QueryBudget&) = delete;
  QueryBudget& operator=(const QueryBudget&) = delete;

  // Whether one more query is allowed; it counts from here on, whatever becomes of it.
  bool Take() {
    uint64_t left = left_.load();
    do {
      if (left == 0) {
        return false;
      }
    } while (!left_.compare_exchange_weak(left, left - 1));
    return true;
  }
  // The owner released the key: `queries` from now on, no matter how many were left.
  void Renew(uint64_t queries) { left_.store(queries); }
  uint64_t left() const { return left_.load(); }

 private:
  std::atomic<uint64_t> left_ = 0;
};

}  // namespace shoji::enclave
