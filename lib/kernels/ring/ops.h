// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The inner loops of the ring kernels, one table an instruction set. Their sources are compiled with flags that not
// every CPU bears, so they see plain structs and pointers only: whatever inline function they shared with other code,
// the linker might keep the copy that the wrong CPU cannot run. For the same reason this header defines no function.
//
// All loops trust their arguments, and none branches on a value.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoji::kernels::ring {

// A piece of one input row, all limbs, on its way into scratch memory: `left` padded positions, then `middle` ones of
// the input, then `right` padded ones. Counts are of elements (position x channel).
struct LoadArgs {
  const uint8_t* limbs = nullptr;  // limb 0, at the first element
  size_t plane_bytes = 0;          // from one limb to the next in the input
  size_t num_limbs = 1;
  size_t left = 0;
  size_t middle = 0;
  size_t right = 0;
  uint8_t padding = 0;
  uint8_t* out = nullptr;
  size_t out_limb_bytes = 0;  // from one limb to the next in scratch memory
};

// A tile of the output: `pixels` adjacent positions of one row, `vectors` vectors of output channels.
struct TileArgs {
  const uint8_t* const* rows = nullptr;  // for each kernel row, the input row it meets
  size_t offset = 0;                     // in bytes, of the tile's first position and channel in all of them
  size_t limb_bytes = 0;                 // from one limb to the next, where limbs stay apart
  size_t num_limbs = 1;                  // of the input
  size_t kernel_rows = 1;
  size_t taps = 1;       // of a kernel row
  size_t tap_bytes = 0;  // from one tap to the next
  size_t steps = 1;      // of the inner loop, for each tap
  size_t pixel_bytes = 0;
  size_t pixels = 1;
  size_t vectors = 1;
  // [kernel row][tap][step][vectors][lanes][channels of a step], Ops::weight_bytes each, at a multiple of 64 bytes
  const int8_t* weights = nullptr;
  uint8_t* words = nullptr;
  size_t word_bytes = 4;
  size_t pixel_words_bytes = 0;  // from one position to the next in the output
  size_t channels = 1;           // to store, at most vectors * lanes
};

// The same where each channel is convolved with itself alone: all channels of `pixels` adjacent positions.
struct DepthwiseArgs {
  const uint8_t* const* rows = nullptr;
  size_t offset = 0;
  size_t kernel_rows = 1;
  size_t taps = 1;
  size_t tap_bytes = 0;
  size_t pixel_bytes = 0;
  size_t pixels = 1;
  const uint32_t* weights = nullptr;  // [kernel row][tap][channels padded to 16]
  size_t weight_channels = 0;         // channels padded to 16
  uint8_t* words = nullptr;
  size_t word_bytes = 4;
  size_t channels = 4;  // padded to 4
};

struct Ops {
  size_t element_bytes = 1;  // of a value in scratch memory: 1 (limbs stay apart) or 4 (joined)
  size_t step_channels = 1;  // input channels that one step of the inner loop takes
  size_t weight_bytes = 1;   // of a packed weight: 1 (as it came) or 2 (widened)
  size_t lanes = 1;          // output channels of a vector
  size_t max_pixels = 1;     // of a tile
  size_t max_vectors = 1;    // of a tile with max_pixels
  size_t narrow_pixels = 0;  // tiles of at most so many pixels may have `narrow_vectors`
  size_t narrow_vectors = 0;
  void (*load)(const LoadArgs&) = nullptr;
  void (*tile)(const TileArgs&) = nullptr;
  void (*depthwise)(const DepthwiseArgs&) = nullptr;  // null where it takes more than words
};

const Ops& PairOpsPortable();
const Ops& PairOpsAvx2();
const Ops& WordOpsPortable();
const Ops& WordOpsAvx2();
const Ops& WordOpsAvx512();
const Ops& LimbOpsAvx512Vnni();

}  // namespace shoji::kernels::ring
