// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/frame.h"

#include <string.h>

#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/execution/memory_plan.h"

namespace shoji::quantization {

absl::Status LayOut(size_t max_bytes, FrameLayout& layout) {
  std::vector<execution::Lifetime> lifetimes;
  lifetimes.reserve(layout.slots.size());
  for (const SlotInfo& slot : layout.slots) {
    lifetimes.push_back({slot.size_bytes, slot.first, slot.last});
  }
  ASSIGN_OR_RETURN(const execution::MemoryPlan plan, execution::PlanMemory(lifetimes, max_bytes));
  for (size_t i = 0; i < layout.slots.size(); ++i) {
    layout.slots[i].offset = plan.offsets[i];
  }
  layout.arena_bytes = plan.size_bytes;
  return absl::OkStatus();
}

ArenaFrame::ArenaFrame(std::shared_ptr<const FrameLayout> layout)
    : layout_(std::move(layout)), arena_(layout_->arena_bytes) {}

ArenaFrame::~ArenaFrame() { ArenaFrame::Wipe(); }

std::span<uint8_t> ArenaFrame::raw(Slot slot) {
  SHOJI_CHECK(slot < layout_->slots.size());
  const SlotInfo& info = layout_->slots[slot];
  return arena_.bytes().subspan(info.offset, info.size_bytes);
}

std::span<uint8_t> ArenaFrame::bytes(Slot slot) {
  const std::span<uint8_t> memory = raw(slot);
  SHOJI_CHECK(layout_->slots[slot].form.has_value());
  return memory;
}

std::span<float> ArenaFrame::floats(Slot slot) {
  const std::span<uint8_t> memory = raw(slot);
  SHOJI_CHECK(!layout_->slots[slot].form.has_value());
  return {reinterpret_cast<float*>(memory.data()), memory.size() / sizeof(float)};
}

std::span<int32_t> ArenaFrame::ints(Slot slot) {
  const std::span<uint8_t> memory = raw(slot);
  return {reinterpret_cast<int32_t*>(memory.data()), memory.size() / sizeof(int32_t)};
}

void ArenaFrame::Wipe() {
  const std::span<uint8_t> memory = arena_.bytes();
  if (!memory.empty()) {
    explicit_bzero(memory.data(), memory.size());
  }
}

}  // namespace shoji::quantization
