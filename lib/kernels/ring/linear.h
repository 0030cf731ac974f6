// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Linear layers with int8 weights over Z_2^24 or Z_2^32, exact: what an accelerator computes on masked data, what the
// enclave computes to make pads, and, on one limb, the enclave's own int8 kernel. Slalom (arXiv 1806.03287) works in a
// prime field with float64 instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::kernels::ring {

// Which implementation computes. All give the same bits.
enum class Isa : uint8_t {
  kPortable,    // 16-bit halves, Horner's rule in the accumulator; any CPU, as all have SSE2
  kAvx2,        // the same source, compiled for AVX2
  kAvx512Vnni,  // byte limbs instead of halves
};
// "portable", "avx2", "avx512_vnni".
const char* NameOf(Isa isa);
// Whether this CPU can run it.
bool IsSupported(Isa isa);
// The fastest that is supported.
Isa BestIsa();

// Rows [begin, end) of the output.
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;
};

struct LinearInput {
  std::span<const uint8_t> limbs;  // LimbBytes(geometry, num_limbs)
  size_t num_limbs = 1;            // 1, 3 or 4; one limb holds the values themselves
  uint8_t padding = 0;             // the value that stands at padded positions; must be 0 unless num_limbs is 1
};

// One layer with its weights packed. Immutable and thread-safe: any number of runs at the same time.
class LinearKernel {
 public:
  // `geometry` has batch 1. `weights` are [out_channels][in_channels / group][kernel height][kernel width].
  // Packs them on at most `num_threads` threads, to the same end. INVALID_ARGUMENT when sizes do not fit each other,
  // UNIMPLEMENTED for an Isa that this CPU lacks.
  static absl::StatusOr<std::unique_ptr<LinearKernel>> Create(const ConvGeometry& geometry,
                                                              std::span<const int8_t> weights, Isa isa,
                                                              int num_threads = 1);
  LinearKernel() = default;
  LinearKernel(const LinearKernel&) = delete;
  LinearKernel& operator=(const LinearKernel&) = delete;
  virtual ~LinearKernel() = default;

  virtual const ConvGeometry& geometry() const = 0;
  // Of the packed weights.
  virtual size_t weight_bytes() const = 0;
  // What one Run needs as scratch memory, whatever its rows.
  virtual size_t scratch_bytes(size_t num_limbs) const = 0;

  // Output rows `rows` of W * u mod 2^Bits(ring), where u is the element that the limbs stand for, into
  // `words` (WordRowBytes(geometry, ring) a row of `rows`; the first byte is that of rows.begin). Branch-free on
  // values. Reads nothing outside `input.limbs` and writes nothing outside `words` and `scratch`; sizes are checked and
  // abort.
  virtual void Run(Ring ring, const LinearInput& input, RowRange rows, std::span<uint8_t> words,
                   std::span<uint8_t> scratch) const = 0;

  // All rows of several inputs, with the bits of Run. Where a layer is more weights than values, these are read from
  // memory once for all inputs.
  struct BatchRun {
    LinearInput input;
    std::span<uint8_t> words;
    std::span<uint8_t> scratch;  // scratch_bytes of its own
  };
  virtual void RunBatch(Ring ring, std::span<const BatchRun> runs) const;
};

// Runs adversarial cases (255 and 254 against +-127 with sums beyond 2^24, all limbs, paddings, groups, strides) on
// the kernels of `isa` and compares them with plain integer loops. INTERNAL names the first case that differs: then do
// not serve. Takes some 30 ms.
absl::Status SelfTest(Isa isa);

}  // namespace shoji::kernels::ring
