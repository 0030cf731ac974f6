// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"

namespace shoji::channel {

// Which sequence numbers of a session were used: the newest `size` numbers exactly, in any order, and everything older
// as used. Check before authentication has no effect; Mark follows authentication and comes before execution, so that a
// message that does not authenticate never moves the window and a message that does is executed at most once.
// Thread-compatible: the caller's lock need not span from Check to Mark, because Mark decides anew.
class ReplayWindow {
 public:
  // `size` in numbers, rounded up to a multiple of 64; at least 64.
  explicit ReplayWindow(size_t size);

  // OK when `sequence` was not used. ALREADY_EXISTS (REPLAYED), OUT_OF_RANGE (SEQUENCE_TOO_OLD).
  absl::Status Check(uint64_t sequence) const;
  // Uses `sequence` up, or fails as Check does and changes nothing.
  absl::Status Mark(uint64_t sequence);

  size_t size() const { return words_.size() * 64; }

 private:
  uint64_t& WordOf(uint64_t sequence) { return words_[sequence / 64 % words_.size()]; }
  uint64_t WordOf(uint64_t sequence) const { return words_[sequence / 64 % words_.size()]; }
  void AdvanceTo(uint64_t sequence);

  // The bit of number n is bit n % 64 of word n / 64 modulo the number of words; it counts for the numbers
  // (highest_ - size, highest_].
  std::vector<uint64_t> words_;
  uint64_t highest_ = 0;
};

}  // namespace shoji::channel
