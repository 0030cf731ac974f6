// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the linear layers of a network take on a CUDA device, masked in 2^32 (four limbs), beside cuBLASLt on products
// of the same extents and beside this host's CPU.
//
// Layer by layer all kinds take turns; of each the median counts, and a network's time is the sum over its layers. The
// device's kernels are timed with its events, some launches at a time on the same data, which lies in its cache where
// it fits. cuBLASLt multiplies one limb, int8 by int8 to int32, as often as there are limbs: it finds the windows
// gathered, and nobody adds its limbs up.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/network_shapes.h"

namespace shoji::bench {

// Milliseconds.
struct CudaLayerTimes {
  std::string name;
  double kernels = 0;
  double cublaslt = 0;
};
struct CudaTimes {
  double kernels = 0;   // from device memory to device memory, per request
  double cublaslt = 0;  // as above
  double runs = 0;      // from host memory to host memory, wall clock, one request at a time
  double cpu = 0;       // LinearModel::Run of the CPU's backend on one thread, wall clock
  std::vector<CudaLayerTimes> layers;
};

struct CudaOptions {
  int rounds = 9;
  size_t requests = 1;  // that a kernel works on together
  // runs and cpu, which do not depend on `requests`, stay 0 without.
  enum class Hosts : uint8_t { kNo, kYes } hosts = Hosts::kYes;
};

// "NVIDIA H100 80GB HBM3". Errors say why there is no device to measure.
absl::StatusOr<std::string> CudaDeviceName();
absl::StatusOr<CudaTimes> MeasureCudaLayers(const Network& network, const CudaOptions& options);

}  // namespace shoji::bench
