// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The slots of a program and the memory of one run. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "lib/execution/workspace.h"
#include "lib/quantization/program.h"

namespace shoji::quantization {

// A value, or scratch memory of a step. `form` is set for bytes; other slots hold 4-byte elements.
struct SlotInfo {
  std::optional<ByteTensor> form;
  size_t size_bytes = 0;
  size_t first = 0;  // the times at which it is in use: 0 is Begin, then the steps, then Finish
  size_t last = 0;
  size_t offset = 0;  // in the arena
};

// Immutable once laid out.
struct FrameLayout {
  std::vector<SlotInfo> slots;
  size_t arena_bytes = 0;
};

// Gives every slot its offset: slots in use at the same time do not overlap. RESOURCE_EXHAUSTED beyond `max_bytes`.
absl::Status LayOut(size_t max_bytes, FrameLayout& layout);

class ArenaFrame : public Frame {
 public:
  explicit ArenaFrame(std::shared_ptr<const FrameLayout> layout);
  ~ArenaFrame() override;

  std::span<uint8_t> bytes(Slot slot) override;
  std::span<float> floats(Slot slot) override;
  // Of a slot that holds integers: sums, ring elements.
  std::span<int32_t> ints(Slot slot);
  // Of any slot.
  std::span<uint8_t> raw(Slot slot);
  void Wipe() override;
  size_t size_bytes() const override { return arena_.bytes().size(); }

  const FrameLayout& layout() const { return *layout_; }

  // A step that the one before it has done as well: true once for it.
  void SetDoneAhead(size_t step) { done_ahead_ = step; }
  void ForgetDoneAhead() { done_ahead_.reset(); }
  bool IsDoneAhead(size_t step) {
    const bool is_done = done_ahead_ == step;
    done_ahead_.reset();
    return is_done;
  }

 private:
  const std::shared_ptr<const FrameLayout> layout_;
  execution::Arena arena_;
  std::optional<size_t> done_ahead_;
};

}  // namespace shoji::quantization
