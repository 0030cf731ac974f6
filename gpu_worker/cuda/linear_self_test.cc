// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The cases of the CPU's kernels are small; a case of a size that takes large tiles stands beside them, which is
// compared with the direct kernel, as the CPU would take too long.
#include <cstdint>
#include <string>
#include <vector>

#include "gpu_worker/cuda/linear_layer.h"
#include "gpu_worker/cuda/linear_model.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/ring/self_test.h"

namespace shoji::accelerator {
namespace {

using kernels::ConvGeometry;
using kernels::ring::LinearInput;
using kernels::ring::Ring;

constexpr CpuBackendOptions kLimits = {};

const char* NameOf(RingKernel kernel) {
  switch (kernel) {
    case RingKernel::kTensorCore:
      return "tensor cores";
    case RingKernel::kVector:
      return "vectors";
    case RingKernel::kDepthwise:
      return "depthwise layers";
    case RingKernel::kDirect:
      return "any layer";
  }
  return "unknown";
}

RingLayer LayerOf(const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring, size_t num_limbs,
                  uint8_t padding) {
  return {.ring = ring,
          .num_limbs = num_limbs,
          .padding = padding,
          .geometry = geometry,
          .weight_bytes = std::string(reinterpret_cast<const char*>(weights.data()), weights.size())};
}

absl::StatusOr<std::vector<uint8_t>> RunOn(Device& device, const RingLayer& layer, std::span<const uint8_t> limbs,
                                           RingKernel kernel) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LinearModel> model, CreateCudaLinearModel(device, layer, kLimits, kernel));
  // Whatever is not written stays wrong.
  std::vector<uint8_t> words(model->output_shape().num_elements(), 0xA5);
  RETURN_IF_ERROR(model->Run(limbs, words, {}));
  return words;
}

// All of one kernel; those that the kernel does not take, the direct one runs.
absl::Status TestOneKernel(Device& device, RingKernel kernel) {
  return kernels::ring::TestKernel(
      "CUDA, " + std::string(NameOf(kernel)),
      [&](const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
          const LinearInput& input) -> absl::StatusOr<std::vector<uint8_t>> {
        const RingLayer layer = LayerOf(geometry, weights, ring, input.num_limbs, input.padding);
        return RunOn(device, layer, input.limbs, CudaKernelTakes(kernel, geometry) ? kernel : RingKernel::kDirect);
      });
}

// 3x3 from 80 to 144 channels: of 160 * 136 positions large tiles are 170 * 2, more than any device has
// multiprocessors.
absl::Status TestLargeTiles(Device& device) {
  ConvGeometry geometry;
  geometry.in_channels = 80;
  geometry.out_channels = 144;
  geometry.input = geometry.output = {160, 136};
  geometry.window = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
  std::vector<int8_t> weights(144 * 80 * 9);
  uint32_t state = 1;
  const auto next = [&state] { return (state = state * 1664525 + 1013904223) >> 24; };  // Numerical Recipes' generator
  for (int8_t& weight : weights) {
    weight = static_cast<int8_t>(next());
  }
  const RingLayer layer = LayerOf(geometry, weights, Ring::k32, 4, 0);
  std::vector<uint8_t> limbs(layer.InputShape().num_elements());
  for (uint8_t& limb : limbs) {
    limb = static_cast<uint8_t>(next());
  }
  ASSIGN_OR_RETURN(const std::vector<uint8_t> expected, RunOn(device, layer, limbs, RingKernel::kDirect));
  ASSIGN_OR_RETURN(const std::vector<uint8_t> words, RunOn(device, layer, limbs, RingKernel::kTensorCore));
  return words == expected
             ? absl::OkStatus()
             : absl::InternalError("ring kernels for CUDA, tensor cores, give wrong words in large tiles");
}

}  // namespace

absl::Status TestCudaLinearModels(Device& device) {
  // Whether kernels run at all: an old device, or one newer than this program and a driver that cannot translate.
  const std::vector<int8_t> weight = {1};
  const std::vector<uint8_t> limbs(64, 1);
  const RingLayer layer = LayerOf({}, weight, Ring::k32, 1, 0);
  if (const absl::Status ran = RunOn(device, layer, limbs, RingKernel::kTensorCore).status(); !ran.ok()) {
    return absl::FailedPreconditionError("the CUDA device " + device.name() +
                                         " runs no kernel of this program: " + std::string(ran.message()));
  }
  for (const RingKernel kernel :
       {RingKernel::kTensorCore, RingKernel::kVector, RingKernel::kDepthwise, RingKernel::kDirect}) {
    RETURN_IF_ERROR(TestOneKernel(device, kernel));
  }
  return TestLargeTiles(device);
}

}  // namespace shoji::accelerator
