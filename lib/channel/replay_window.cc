// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/replay_window.h"

#include <algorithm>

#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::channel {
namespace {

uint64_t BitOf(uint64_t sequence) { return uint64_t{1} << (sequence % 64); }

}  // namespace

ReplayWindow::ReplayWindow(size_t size) : words_(std::max<size_t>(1, (size + 63) / 64)) {}

absl::Status ReplayWindow::Check(uint64_t sequence) const {
  if (sequence > highest_) {
    return absl::OkStatus();
  }
  if (highest_ - sequence >= size()) {
    return ErrorOf(Reason::kSequenceTooOld);
  }
  if ((WordOf(sequence) & BitOf(sequence)) != 0) {
    return ErrorOf(Reason::kReplayed);
  }
  return absl::OkStatus();
}

absl::Status ReplayWindow::Mark(uint64_t sequence) {
  RETURN_IF_ERROR(Check(sequence));
  if (sequence > highest_) {
    AdvanceTo(sequence);
  }
  WordOf(sequence) |= BitOf(sequence);
  return absl::OkStatus();
}

// Clears the bits of the numbers that enter the window: they stood for numbers that leave it.
void ReplayWindow::AdvanceTo(uint64_t sequence) {
  if (sequence - highest_ >= size()) {
    std::fill(words_.begin(), words_.end(), 0);
  } else {
    for (uint64_t entering = highest_ + 1; entering <= sequence && entering != 0; ++entering) {
      WordOf(entering) &= ~BitOf(entering);
    }
  }
  highest_ = sequence;
}

}  // namespace shoji::channel
