// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/linear_model.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include "gpu_worker/cuda/linear_layer.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

// Of the inputs and outputs of the requests that are on the device together, unless one alone has more.
constexpr uint64_t kBytesTogether = uint64_t{256} << 20;
constexpr uint64_t kMostTogether = 64;
constexpr uint64_t kMostPositions = std::numeric_limits<int32_t>::max();

// Weights stay on the device; inputs and outputs come and go with each run.
// Thread-safe.
class CudaLinearModel final : public LinearModel {
 public:
  CudaLinearModel(Device& device, const RingLayer& layer, std::unique_ptr<CudaLinearLayer> on_device)
      : device_(device),
        input_shape_(layer.InputShape()),
        output_shape_(layer.OutputShape()),
        layer_(std::move(on_device)) {}

  const Shape& input_shape() const override { return input_shape_; }
  const Shape& output_shape() const override { return output_shape_; }

  absl::Status Run(ByteSpan limbs, std::span<uint8_t> words, const StopCheck& stop) override {
    return RunBatch(std::array{BatchRun{limbs, words}}, stop);
  }

  // As many at a time as `kBytesTogether` lets lie on the device; each kernel works on all of them.
  absl::Status RunBatch(std::span<const BatchRun> runs, const StopCheck& stop) override {
    const uint64_t bytes = input_shape_.num_elements() + output_shape_.num_elements();
    const uint64_t together =
        std::clamp<uint64_t>(std::min(kBytesTogether / bytes, kMostPositions / layer_->positions()), 1, kMostTogether);
    for (size_t begin = 0; begin < runs.size(); begin += together) {
      RETURN_IF_ERROR(RunTogether(runs.subspan(begin, std::min<size_t>(together, runs.size() - begin)), stop));
    }
    return absl::OkStatus();
  }

  uint64_t memory_bytes() const override {
    return layer_->weight_bytes() + input_shape_.num_elements() + output_shape_.num_elements();
  }

 private:
  absl::Status RunTogether(std::span<const BatchRun> runs, const StopCheck& stop) {
    const size_t input_bytes = input_shape_.num_elements();
    const size_t output_bytes = output_shape_.num_elements();
    ASSIGN_OR_RETURN(const Device::LentStream stream, device_.Lend());
    ASSIGN_OR_RETURN(const DeviceMemory limbs, stream->Allocate(runs.size() * input_bytes));
    ASSIGN_OR_RETURN(const DeviceMemory words, stream->Allocate(runs.size() * output_bytes));
    // What another tenant left there never leaves, whatever a kernel forgets to write.
    RETURN_IF_ERROR(device_.Check(cudaMemsetAsync(words.data(), 0, words.size(), stream->get()), "clearing memory"));
    for (size_t i = 0; i < runs.size(); ++i) {
      SHOJI_CHECK(runs[i].limbs.size() == input_bytes);
      SHOJI_CHECK(runs[i].words.size() == output_bytes);
      RETURN_IF_ERROR(stop ? stop() : absl::OkStatus());
      RETURN_IF_ERROR(stream->Upload(runs[i].limbs, limbs.data() + i * input_bytes));
    }
    RETURN_IF_ERROR(layer_->Launch(*stream, runs.size(), limbs.data(), words.data(), stop));
    for (size_t i = 0; i < runs.size(); ++i) {
      RETURN_IF_ERROR(stop && i > 0 ? stop() : absl::OkStatus());
      RETURN_IF_ERROR(stream->Download(words.data() + i * output_bytes, runs[i].words));
    }
    return absl::OkStatus();
  }

  Device& device_;
  const Shape input_shape_;
  const Shape output_shape_;
  const std::unique_ptr<CudaLinearLayer> layer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LinearModel>> CreateCudaLinearModel(Device& device, const RingLayer& layer,
                                                                   const CpuBackendOptions& limits,
                                                                   std::optional<RingKernel> kernel) {
  ASSIGN_OR_RETURN(std::unique_ptr<CudaLinearLayer> on_device, CudaLinearLayer::Create(device, layer, limits, kernel));
  return std::make_unique<CudaLinearModel>(device, layer, std::move(on_device));
}

}  // namespace shoji::accelerator
