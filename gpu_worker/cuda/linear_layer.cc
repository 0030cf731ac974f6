// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/linear_layer.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "gpu_worker/cpu/linear_model.h"
#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::accelerator {
namespace {

using kernels::ConvGeometry;

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxGridY = 65535;
// Between two questions whether to go on: about a millisecond of a data-centre card.
constexpr uint64_t kMacsPerLaunch = uint64_t{1} << 37;

bool IsPoint(const ConvGeometry& g) {
  return g.group == 1 && g.window.kernel == kernels::Extents{1, 1} && g.window.pads == std::array<int64_t, 4>{};
}
bool IsDepthwise(const ConvGeometry& g) { return g.in_channels == g.group && g.out_channels == g.group; }
// Groups begin where vectors of four channels do.
bool IsAligned(const ConvGeometry& g) {
  return g.group == 1 || (g.in_channels / g.group % 4 == 0 && g.out_channels / g.group % 4 == 0);
}

// Whether it reads weights in rows, an output channel each.
bool ReadsRows(RingKernel kernel) { return kernel == RingKernel::kTensorCore || kernel == RingKernel::kVector; }

RingKernel BestKernel(const ConvGeometry& g) {
  if (CudaKernelTakes(RingKernel::kDepthwise, g)) {
    return RingKernel::kDepthwise;
  }
  return CudaKernelTakes(RingKernel::kTensorCore, g) ? RingKernel::kTensorCore : RingKernel::kDirect;
}

// Of one tap in a row of weights.
int64_t TapBytes(const ConvGeometry& g) {
  return g.group == 1 ? static_cast<int64_t>(kernels::ring::PaddedChannels(g.in_channels)) : g.in_channels / g.group;
}

absl::StatusOr<uint64_t> Product(std::initializer_list<int64_t> factors) {
  uint64_t product = 1;
  for (const int64_t factor : factors) {
    ASSIGN_OR_RETURN(product, CheckedMul(product, static_cast<uint64_t>(factor)));
  }
  return product;
}

// Of the weights as `kernel` reads them. OUT_OF_RANGE when that overflows.
absl::StatusOr<uint64_t> PackedBytes(const ConvGeometry& g, RingKernel kernel) {
  if (!ReadsRows(kernel)) {
    return Product({g.window.kernel[0], g.window.kernel[1], g.in_channels / g.group,
                    static_cast<int64_t>(kernels::ring::PaddedChannels(g.out_channels))});
  }
  ASSIGN_OR_RETURN(const uint64_t row, Product({g.window.kernel[0], g.window.kernel[1], TapBytes(g)}));
  ASSIGN_OR_RETURN(const uint64_t padded, CheckedAdd(row, uint64_t{kRingRowBytes} - 1));
  return Product({static_cast<int64_t>(padded / kRingRowBytes), kRingRowBytes, g.out_channels});
}

// Kernels count in 32 bits.
absl::Status CheckExtents(const ConvGeometry& g, RingKernel kernel) {
  bool fits = g.output[0] <= kMaxInt32 / g.output[1];
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t padded = g.input[axis] + g.window.pads[axis] + g.window.pads[axis + 2];
    fits =
        fits && padded <= kMaxInt32 / 2 && g.window.strides[axis] <= kMaxInt32 && g.window.dilations[axis] <= kMaxInt32;
  }
  const auto in_channels = static_cast<int64_t>(kernels::ring::PaddedChannels(g.in_channels));
  const auto out_channels = static_cast<int64_t>(kernels::ring::PaddedChannels(g.out_channels));
  fits = fits && in_channels <= kMaxInt32 && out_channels <= kMaxInt32;
  if (ReadsRows(kernel)) {
    const absl::StatusOr<uint64_t> row = Product({g.window.kernel[0], g.window.kernel[1], TapBytes(g)});
    fits = fits && row.ok() && *row <= static_cast<uint64_t>(kMaxInt32 - kRingRowBytes);
  }
  return fits ? absl::OkStatus()
              : absl::InvalidArgumentError(
                    "the linear layer is too large for CUDA kernels, which count positions and a "
                    "channel's weights in 31 bits");
}

// `from` is [out_channels][in_channels / group][taps]; see RingConv.
std::vector<uint8_t> Pack(const ConvGeometry& g, RingKernel kernel, std::span<const int8_t> from, size_t bytes) {
  std::vector<uint8_t> packed(bytes);
  const auto inputs = static_cast<size_t>(g.in_channels / g.group);
  const auto outputs = static_cast<size_t>(g.out_channels);
  const auto taps = static_cast<size_t>(g.window.kernel[0] * g.window.kernel[1]);
  const size_t row_bytes = bytes / outputs;
  const auto tap_bytes = static_cast<size_t>(TapBytes(g));
  const size_t word_channels = kernels::ring::PaddedChannels(g.out_channels);
  size_t at = 0;
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t i = 0; i < inputs; ++i) {
      for (size_t tap = 0; tap < taps; ++tap) {
        const size_t to =
            ReadsRows(kernel) ? o * row_bytes + tap * tap_bytes + i : (tap * inputs + i) * word_channels + o;
        packed[to] = static_cast<uint8_t>(from[at++]);
      }
    }
  }
  return packed;
}

RingConv ConvOf(const RingLayer& layer, RingKernel kernel, uint64_t packed_bytes) {
  const ConvGeometry& g = layer.geometry;
  RingConv conv;
  const auto set = [](int32_t& to, int64_t value) { to = static_cast<int32_t>(value); };
  conv.kernel = kernel;
  set(conv.num_limbs, static_cast<int64_t>(layer.num_limbs));
  set(conv.word_bytes, static_cast<int64_t>(kernels::ring::WordBytes(layer.ring)));
  conv.padding = layer.padding * 0x01010101U;
  set(conv.in_height, g.input[0]);
  set(conv.in_width, g.input[1]);
  set(conv.pixel_bytes, static_cast<int64_t>(kernels::ring::PaddedChannels(g.in_channels)));
  conv.plane_bytes = static_cast<int64_t>(kernels::ring::PlaneBytes(g.input[1], g.in_channels));
  conv.request_bytes = static_cast<int64_t>(kernels::ring::LimbBytes(g, layer.num_limbs));
  set(conv.kernel_height, g.window.kernel[0]);
  set(conv.kernel_width, g.window.kernel[1]);
  for (size_t axis = 0; axis < 2; ++axis) {
    set(conv.strides[axis], g.window.strides[axis]);
    set(conv.dilations[axis], g.window.dilations[axis]);
    set(conv.pads[axis], g.window.pads[axis]);
  }
  set(conv.groups, g.group);
  set(conv.in_channels, g.in_channels / g.group);
  set(conv.out_channels, g.out_channels / g.group);
  set(conv.word_channels, static_cast<int64_t>(kernels::ring::PaddedChannels(g.out_channels)));
  conv.out_width = Divisor(static_cast<uint32_t>(g.output[1]));
  conv.positions = Divisor(static_cast<uint32_t>(g.output[0] * g.output[1]));
  conv.kernel_columns = Divisor(static_cast<uint32_t>(g.window.kernel[1]));
  if (ReadsRows(kernel)) {
    conv.tap_bytes = Divisor(static_cast<uint32_t>(TapBytes(g)));
    set(conv.row_bytes, static_cast<int64_t>(packed_bytes) / g.out_channels);
  }
  return conv;
}

}  // namespace

bool CudaKernelTakes(RingKernel kernel, const ConvGeometry& g) {
  const int64_t tiles = (g.out_channels / g.group + kRingTileChannels - 1) / kRingTileChannels;
  switch (kernel) {
    case RingKernel::kTensorCore:
      return IsAligned(g) && tiles <= kMaxGridY / g.group;
    case RingKernel::kVector:
      return IsPoint(g) && g.output[0] * g.output[1] <= kMaxVectorPositions;
    case RingKernel::kDepthwise:
      return IsDepthwise(g);
    case RingKernel::kDirect:
      return true;
  }
  return false;
}

CudaLinearLayer::CudaLinearLayer(Device& device, const RingLayer& layer, const RingConv& conv, DeviceMemory weights)
    : device_(device),
      conv_(conv),
      can_be_vector_(conv.kernel == RingKernel::kTensorCore && IsPoint(layer.geometry)),
      macs_per_position_(std::max<uint64_t>(1, *MacsOf(layer) / conv.positions.value)),
      weights_(std::move(weights)) {}

absl::StatusOr<std::unique_ptr<CudaLinearLayer>> CudaLinearLayer::Create(Device& device, const RingLayer& layer,
                                                                         const CpuBackendOptions& limits,
                                                                         std::optional<RingKernel> kernel) {
  RETURN_IF_ERROR(CheckLinearWork(layer, limits));
  const ConvGeometry& geometry = layer.geometry;
  if (kernel.has_value() && !CudaKernelTakes(*kernel, geometry)) {
    return absl::InvalidArgumentError("this kernel does not take the layer");
  }
  const RingKernel chosen = kernel.value_or(BestKernel(geometry));
  const absl::StatusOr<uint64_t> packed_bytes = PackedBytes(geometry, chosen);
  RETURN_IF_ERROR(CheckLinearMemory(layer, packed_bytes, limits));
  RETURN_IF_ERROR(CheckExtents(geometry, chosen));
  ASSIGN_OR_RETURN(const Device::LentStream stream, device.Lend());
  ASSIGN_OR_RETURN(DeviceMemory weights, stream->Allocate(*packed_bytes));
  RETURN_IF_ERROR(stream->Upload(Pack(geometry, chosen, layer.weights(), *packed_bytes), weights.data()));
  RETURN_IF_ERROR(stream->Synchronize());
  return std::unique_ptr<CudaLinearLayer>(
      new CudaLinearLayer(device, layer, ConvOf(layer, chosen, *packed_bytes), std::move(weights)));
}

absl::Status CudaLinearLayer::Launch(Stream& stream, size_t num_requests, const uint8_t* limbs, uint8_t* words,
                                     const StopCheck& stop) const {
  RingConv conv = conv_;
  conv.num_positions = static_cast<int32_t>(num_requests * conv.positions.value);
  if (can_be_vector_ && conv.num_positions <= kMaxVectorPositions) {
    conv.kernel = RingKernel::kVector;
  }
  const int64_t step = PositionsPerStep(conv, device_.num_multiprocessors());
  const int64_t most_steps =
      conv.kernel == RingKernel::kVector ? 1 : static_cast<int64_t>(kMacsPerLaunch / macs_per_position_) / step;
  const int64_t each = std::clamp<int64_t>(most_steps, 1, kMaxInt32 / step) * step;
  for (int64_t begin = 0; begin < conv.num_positions; begin += each) {
    const int64_t end = std::min<int64_t>(begin + each, conv.num_positions);
    RETURN_IF_ERROR(stream.Pace(stop));
    RETURN_IF_ERROR(
        device_.Check(LaunchRingConv(conv, device_.num_multiprocessors(), static_cast<int32_t>(begin),
                                     static_cast<int32_t>(end), limbs, weights_.data<int8_t>(), words, stream.get()),
                      "starting a ring kernel"));
  }
  return absl::OkStatus();
}

}  // namespace shoji::accelerator
