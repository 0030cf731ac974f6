// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <span>

namespace shoji {

// Gives the memory of `bytes`, which came from the allocator, back to the system, as far as it is whole pages; they
// hold zeros then. For large data that is on its way to another place, so that it is never there twice.
void DropPages(std::span<uint8_t> bytes);

}  // namespace shoji
