// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What counts against a quota, from when it is taken until nobody holds it any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace shoji::accelerator {

// Adds an amount to a counter and takes it off again when it is destroyed, on whatever thread. Shares the counter,
// which may so outlast its owner.
class Charge {
 public:
  using Counter = std::atomic<uint64_t>;

  Charge() = default;
  Charge(std::shared_ptr<Counter> counter, uint64_t amount) : counter_(std::move(counter)), amount_(amount) {
    *counter_ += amount_;
  }
  Charge(Charge&& other) noexcept { *this = std::move(other); }
  Charge& operator=(Charge&& other) noexcept {
    if (this != &other) {
      GiveBack();
      counter_ = std::exchange(other.counter_, nullptr);
      amount_ = other.amount_;
    }
    return *this;
  }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge() { GiveBack(); }

 private:
  void GiveBack() {
    if (counter_ != nullptr) {
      *counter_ -= amount_;
      counter_ = nullptr;
    }
  }

  std::shared_ptr<Counter> counter_;  // null: nothing is charged
  uint64_t amount_ = 0;
};

}  // namespace shoji::accelerator
