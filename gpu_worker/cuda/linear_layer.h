// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cpu/cpu_backend.h"
#include "gpu_worker/cuda/device.h"
#include "gpu_worker/cuda/ring_kernels.h"
#include "gpu_worker/ring_layer.h"
#include "lib/kernels/geometry.h"

namespace shoji::accelerator {

// Whether `kernel` takes layers of this geometry.
bool CudaKernelTakes(RingKernel kernel, const kernels::ConvGeometry& geometry);

// A linear layer whose weights lie on a device, for inputs and outputs that lie there too. Thread-safe.
class CudaLinearLayer {
 public:
  // Within the bounds of `limits` on one model, of which one request's input and output are part: RESOURCE_EXHAUSTED,
  // also when the device's memory does not suffice. `device` outlives it. `kernel`, for tests, replaces the choice of
  // the fastest; INVALID_ARGUMENT where it does not take the layer.
  static absl::StatusOr<std::unique_ptr<CudaLinearLayer>> Create(Device& device, const RingLayer& layer,
                                                                 const CpuBackendOptions& limits,
                                                                 std::optional<RingKernel> kernel = std::nullopt);

  uint64_t weight_bytes() const { return weights_.size(); }
  // Output positions of one request.
  uint32_t positions() const { return conv_.positions.value; }

  // Has `stream` compute `num_requests` requests, which lie one after the other as lib/kernels/ring/layout.h says; all
  // their positions together are below 2^31. Asks `stop` before each launch, about a millisecond of work,
  // but for layers of millions of terms and few positions, whose one launch can take seconds.
  absl::Status Launch(Stream& stream, size_t num_requests, const uint8_t* limbs, uint8_t* words,
                      const StopCheck& stop) const;

 private:
  CudaLinearLayer(Device& device, const RingLayer& layer, const RingConv& conv, DeviceMemory weights);

  Device& device_;
  const RingConv conv_;
  const bool can_be_vector_;
  const uint64_t macs_per_position_;
  const DeviceMemory weights_;
};

}  // namespace shoji::accelerator
