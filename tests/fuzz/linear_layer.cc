// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The upload of a linear layer, and one execution of what loads: what an enclave that is not honest, or not an enclave,
// sends to an accelerator.
//   byte 0: the kernel; then the serialized LinearLayer
#include <cstddef>
#include <cstdint>
#include <memory>

#include "gpu_worker/cpu/linear_model.h"
#include "gpu_worker/ring_layer.h"
#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::accelerator {
namespace {

// Small, so that a run is over before the fuzzer loses patience, and what unfolds is refused.
constexpr int64_t kMaxMemory = 1 << 22;
constexpr uint64_t kMaxMacs = 1 << 22;

CpuBackendOptions OptionsFor(uint8_t choice) {
  constexpr kernels::ring::Isa kAll[] = {kernels::ring::Isa::kPortable, kernels::ring::Isa::kAvx2,
                                         kernels::ring::Isa::kAvx512Vnni};
  const kernels::ring::Isa isa = kAll[choice % 3];
  return {.num_threads = 1 + choice / 3 % 2,
          .isa = kernels::ring::IsSupported(isa) ? isa : kernels::ring::Isa::kPortable,
          .max_model_memory = kMaxMemory,
          .max_model_macs = kMaxMacs};
}

void Try(ByteSpan input) {
  if (input.empty()) {
    return;
  }
  const absl::StatusOr<RingLayer> layer = ParseRingLayer(input.subspan(1));
  if (!layer.ok()) {
    SHOJI_CHECK(absl::IsInvalidArgument(layer.status()));
    return;
  }
  const absl::StatusOr<std::unique_ptr<LinearModel>> model = CreateCpuLinearModel(*layer, OptionsFor(input[0]));
  if (!model.ok()) {
    SHOJI_CHECK(absl::IsResourceExhausted(model.status()) || absl::IsInvalidArgument(model.status()));
    return;
  }
  SHOJI_CHECK((*model)->memory_bytes() <= static_cast<uint64_t>(kMaxMemory));
  // Heap memory of exactly these sizes, so that a sanitizer sees a step over the end.
  Bytes limbs((*model)->input_shape().num_elements());
  for (size_t i = 0; i < limbs.size(); ++i) {
    limbs[i] = static_cast<uint8_t>(i * 131 + i / 256);
  }
  Bytes words((*model)->output_shape().num_elements());
  SHOJI_CHECK((*model)->Run(limbs, words, {}).ok());
  // The portable kernel is the oracle of the others.
  const auto oracle = CreateCpuLinearModel(*layer, {.max_model_memory = 2 * kMaxMemory});
  if (oracle.ok()) {
    Bytes expected(words.size());
    SHOJI_CHECK((*oracle)->Run(limbs, expected, {}).ok());
    SHOJI_CHECK(words == expected);
  }
}

}  // namespace
}  // namespace shoji::accelerator

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shoji::accelerator::Try({data, size});
  return 0;
}
