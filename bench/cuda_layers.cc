// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/cuda_layers.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "bench/cublaslt_gemm.h"
#include "gpu_worker/cpu/linear_model.h"
#include "gpu_worker/cuda/device.h"
#include "gpu_worker/cuda/linear_layer.h"
#include "gpu_worker/cuda/linear_model.h"
#include "lib/base/status_macros.h"

namespace shoji::bench {
namespace {

using accelerator::Device;
using accelerator::DeviceMemory;
using accelerator::LinearModel;
using accelerator::RingLayer;
using accelerator::Stream;

constexpr int kLaunches = 10;  // between two events
constexpr size_t kLimbs = 4;

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Two events of a device. Thread-compatible.
class EventTimer {
 public:
  explicit EventTimer(Device& device) : device_(device) {}
  EventTimer(const EventTimer&) = delete;
  EventTimer& operator=(const EventTimer&) = delete;
  ~EventTimer() {
    static_cast<void>(cudaEventDestroy(begin_));
    static_cast<void>(cudaEventDestroy(end_));
  }
  absl::Status Prepare() {
    RETURN_IF_ERROR(device_.Check(cudaEventCreate(&begin_), "making an event"));
    return device_.Check(cudaEventCreate(&end_), "making an event");
  }

  // Milliseconds of one of several launches.
  absl::StatusOr<double> Time(cudaStream_t stream, const std::function<absl::Status()>& launch) {
    constexpr const char* kDoing = "timing";
    RETURN_IF_ERROR(device_.Check(cudaEventRecord(begin_, stream), kDoing));
    for (int i = 0; i < kLaunches; ++i) {
      RETURN_IF_ERROR(launch());
    }
    RETURN_IF_ERROR(device_.Check(cudaEventRecord(end_, stream), kDoing));
    RETURN_IF_ERROR(device_.Check(cudaEventSynchronize(end_), kDoing));
    float millis = 0;
    RETURN_IF_ERROR(device_.Check(cudaEventElapsedTime(&millis, begin_, end_), kDoing));
    return static_cast<double>(millis) / kLaunches;
  }

 private:
  Device& device_;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

Bytes RandomBytes(size_t size, uint32_t seed) {
  std::minstd_rand random(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random() >> 8);
  }
  return bytes;
}

RingLayer LayerOf(const kernels::ConvGeometry& geometry) {
  const auto num_weights = static_cast<size_t>(geometry.out_channels * geometry.in_channels / geometry.group *
                                               geometry.window.kernel[0] * geometry.window.kernel[1]);
  const Bytes weights = RandomBytes(num_weights, 3);
  return {.ring = kernels::ring::Ring::k32,
          .num_limbs = kLimbs,
          .padding = 0,
          .geometry = geometry,
          .weight_bytes = std::string(weights.begin(), weights.end())};
}

// Kernels and cuBLASLt in turns.
absl::Status MeasureKernels(Device& device, const RingLayer& layer, const CudaOptions& options, CudaLayerTimes& times) {
  ASSIGN_OR_RETURN(const Device::LentStream stream, device.Lend());
  ASSIGN_OR_RETURN(const auto on_device, accelerator::CudaLinearLayer::Create(device, layer, {}));
  const Bytes input = RandomBytes(options.requests * layer.InputShape().num_elements(), 5);
  ASSIGN_OR_RETURN(const DeviceMemory limbs, stream->Allocate(input.size()));
  ASSIGN_OR_RETURN(const DeviceMemory words, stream->Allocate(options.requests * layer.OutputShape().num_elements()));
  RETURN_IF_ERROR(stream->Upload(input, limbs.data()));
  const kernels::ConvGeometry& g = layer.geometry;
  ASSIGN_OR_RETURN(const auto peer,
                   CublasLtGemm::Create(*stream, static_cast<int64_t>(options.requests) * g.output[0] * g.output[1],
                                        g.out_channels, g.in_channels * g.window.kernel[0] * g.window.kernel[1]));
  EventTimer timer(device);
  RETURN_IF_ERROR(timer.Prepare());
  const auto ours = [&] { return on_device->Launch(*stream, options.requests, limbs.data(), words.data(), {}); };
  const auto theirs = [&]() -> absl::Status {
    for (size_t limb = 0; limb < kLimbs; ++limb) {
      RETURN_IF_ERROR(peer->Launch(stream->get()));
    }
    return absl::OkStatus();
  };
  std::vector<double> own;
  std::vector<double> cublaslt;
  for (int round = -1; round < options.rounds; ++round) {
    ASSIGN_OR_RETURN(const double own_millis, timer.Time(stream->get(), ours));
    ASSIGN_OR_RETURN(const double peer_millis, timer.Time(stream->get(), theirs));
    if (round >= 0) {  // the first warms up
      own.push_back(own_millis);
      cublaslt.push_back(peer_millis);
    }
  }
  times.kernels = Median(own) / static_cast<double>(options.requests);
  times.cublaslt = Median(cublaslt) / static_cast<double>(options.requests);
  return absl::OkStatus();
}

absl::StatusOr<double> WallMillis(LinearModel& model, ByteSpan limbs, std::span<uint8_t> words) {
  const auto begin = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(model.Run(limbs, words, {}));
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

// Whole runs on the device and on the CPU in turns. INTERNAL when their words differ.
absl::Status MeasureHosts(Device& device, const RingLayer& layer, int rounds, CudaTimes& times) {
  ASSIGN_OR_RETURN(const auto cuda, accelerator::CreateCudaLinearModel(device, layer, {}));
  ASSIGN_OR_RETURN(const auto cpu, accelerator::CreateCpuLinearModel(layer, {.isa = kernels::ring::BestIsa()}));
  const Bytes limbs = RandomBytes(layer.InputShape().num_elements(), 5);
  Bytes words(layer.OutputShape().num_elements());
  Bytes cpu_words(words.size());
  std::vector<double> cuda_millis;
  std::vector<double> cpu_millis;
  for (int round = -1; round < rounds; ++round) {
    ASSIGN_OR_RETURN(const double on_cuda, WallMillis(*cuda, limbs, words));
    ASSIGN_OR_RETURN(const double on_cpu, WallMillis(*cpu, limbs, cpu_words));
    if (round >= 0) {  // the first warms up
      cuda_millis.push_back(on_cuda);
      cpu_millis.push_back(on_cpu);
    }
  }
  times.runs += Median(cuda_millis);
  times.cpu += Median(cpu_millis);
  return words == cpu_words ? absl::OkStatus() : absl::InternalError("the device's words differ from the CPU's");
}

}  // namespace

absl::StatusOr<std::string> CudaDeviceName() {
  ASSIGN_OR_RETURN(const std::unique_ptr<Device> device, Device::Open({}));
  return device->name();
}

absl::StatusOr<CudaTimes> MeasureCudaLayers(const Network& network, const CudaOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Device> device, Device::Open({}));
  CudaTimes times;
  for (const NetworkLayer& layer : network.layers) {
    const RingLayer ring = LayerOf(layer.geometry);
    CudaLayerTimes own;
    own.name = layer.name;
    RETURN_IF_ERROR(MeasureKernels(*device, ring, options, own));
    times.kernels += own.kernels;
    times.cublaslt += own.cublaslt;
    times.layers.push_back(std::move(own));
    if (options.hosts == CudaOptions::Hosts::kYes) {
      RETURN_IF_ERROR(MeasureHosts(*device, ring, options.rounds, times));
    }
  }
  return times;
}

}  // namespace shoji::bench
