// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cpu/linear_model.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/check.h"
#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::accelerator {
namespace {

using kernels::ring::LinearKernel;

// Between two questions whether to go on: about a millisecond. A layer of one output row is not interrupted.
constexpr uint64_t kMacsPerBlock = uint64_t{1} << 26;

size_t RoundUp(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

absl::Status TooMuchMemory(const std::string& bytes, int64_t limit) {
  return absl::ResourceExhaustedError("the linear layer needs " + bytes + " bytes of memory, more than the " +
                                      std::to_string(limit) + " a model may use (quotas.model_memory)");
}

// What packed weights take at most, before they are packed: kernels round the channels of each group up to whole
// vectors, so that a small upload of many narrow groups unfolds. OUT_OF_RANGE when that overflows.
absl::StatusOr<uint64_t> MostWeightBytes(const kernels::ConvGeometry& geometry) {
  const auto group = static_cast<uint64_t>(geometry.group);
  const uint64_t outputs = RoundUp(static_cast<uint64_t>(geometry.out_channels) / group, 64);
  const uint64_t inputs = RoundUp(static_cast<uint64_t>(geometry.in_channels) / group, 4);
  uint64_t bytes = outputs;
  for (const uint64_t factor :
       {inputs, static_cast<uint64_t>(geometry.window.kernel[0]), static_cast<uint64_t>(geometry.window.kernel[1])}) {
    ASSIGN_OR_RETURN(bytes, CheckedMul(bytes, factor));
  }
  ASSIGN_OR_RETURN(bytes, CheckedAdd<uint64_t>(bytes, outputs * 2));  // where each panel lies
  return CheckedMul(bytes, group);
}

absl::StatusOr<uint64_t> Sum(std::initializer_list<uint64_t> terms) {
  uint64_t sum = 0;
  for (const uint64_t term : terms) {
    ASSIGN_OR_RETURN(sum, CheckedAdd(sum, term));
  }
  return sum;
}

// Threads share a run by taking blocks of output rows in turn. Keeps the scratch memory of some finished runs for the
// next ones.
// Thread-safe.
class CpuLinearModel final : public LinearModel {
 public:
  CpuLinearModel(const RingLayer& layer, std::unique_ptr<LinearKernel> kernel, const CpuBackendOptions& options)
      : kernel_(std::move(kernel)),
        ring_(layer.ring),
        num_limbs_(layer.num_limbs),
        padding_(layer.padding),
        input_shape_(layer.InputShape()),
        output_shape_(layer.OutputShape()),
        rows_per_block_(RowsPerBlock(layer)),
        num_threads_(NumThreads(layer, rows_per_block_, options.num_threads)),
        max_idle_(options.max_idle_workspaces * num_threads_) {}

  const Shape& input_shape() const override { return input_shape_; }
  const Shape& output_shape() const override { return output_shape_; }

  absl::Status Run(ByteSpan limbs, std::span<uint8_t> words, const StopCheck& stop) override {
    SHOJI_CHECK(limbs.size() == input_shape_.num_elements());
    SHOJI_CHECK(words.size() == output_shape_.num_elements());
    Progress progress;
    const auto work = [&] { RunBlocks({limbs, num_limbs_, padding_}, words, stop, progress); };
    {
      std::vector<std::jthread> others;
      for (size_t i = 1; i < num_threads_; ++i) {
        others.emplace_back(work);
      }
      work();
    }
    const absl::MutexLock lock(&progress.mu);
    return progress.stopped;
  }

  // Layers of one row, which read each of their weights once for each row, read them once for all requests.
  absl::Status RunBatch(std::span<const BatchRun> runs, const StopCheck& stop) override {
    constexpr size_t kTogether = 8;  // what is lent of scratch memory at a time
    if (output_shape_[0] > 1) {
      return LinearModel::RunBatch(runs, stop);
    }
    for (size_t begin = 0; begin < runs.size(); begin += kTogether) {
      RETURN_IF_ERROR(stop ? stop() : absl::OkStatus());
      std::vector<std::vector<uint8_t>> scratch;
      std::vector<LinearKernel::BatchRun> together;
      for (const BatchRun& run : runs.subspan(begin, std::min(kTogether, runs.size() - begin))) {
        SHOJI_CHECK(run.limbs.size() == input_shape_.num_elements());
        SHOJI_CHECK(run.words.size() == output_shape_.num_elements());
        scratch.push_back(TakeScratch());
        together.push_back({{run.limbs, num_limbs_, padding_}, run.words, scratch.back()});
      }
      kernel_->RunBatch(ring_, together);
      for (std::vector<uint8_t>& lent : scratch) {
        ReturnScratch(std::move(lent));
      }
    }
    return absl::OkStatus();
  }

  uint64_t memory_bytes() const override {
    return kernel_->weight_bytes() + num_threads_ * kernel_->scratch_bytes(num_limbs_) + input_shape_.num_elements() +
           output_shape_.num_elements();
  }

 private:
  // Of one run.
  struct Progress {
    std::atomic<int64_t> next_row{0};
    absl::Mutex mu;
    absl::Status stopped ABSL_GUARDED_BY(mu);
  };

  static int64_t RowsPerBlock(const RingLayer& layer) {
    const uint64_t row = std::max<uint64_t>(1, *MacsOf(layer) / static_cast<uint64_t>(layer.geometry.output[0]));
    return std::max<int64_t>(1, static_cast<int64_t>(kMacsPerBlock / row));
  }
  static size_t NumThreads(const RingLayer& layer, int64_t rows_per_block, int wanted) {
    const int64_t blocks = (layer.geometry.output[0] + rows_per_block - 1) / rows_per_block;
    return static_cast<size_t>(std::max<int64_t>(1, std::min<int64_t>(wanted, blocks)));
  }

  void RunBlocks(const kernels::ring::LinearInput& input, std::span<uint8_t> words, const StopCheck& stop,
                 Progress& progress) {
    const int64_t height = output_shape_[0];
    const auto row_bytes = static_cast<size_t>(output_shape_[1]);
    std::vector<uint8_t> scratch = TakeScratch();
    while (true) {
      const int64_t begin = progress.next_row.fetch_add(rows_per_block_);
      if (begin >= height) {
        break;
      }
      if (const absl::Status go_on = stop ? stop() : absl::OkStatus(); !go_on.ok()) {
        progress.next_row = height;  // nobody takes another block
        const absl::MutexLock lock(&progress.mu);
        progress.stopped.Update(go_on);
        break;
      }
      const int64_t end = std::min(begin + rows_per_block_, height);
      const auto first = static_cast<size_t>(begin) * row_bytes;
      const auto size = static_cast<size_t>(end - begin) * row_bytes;
      kernel_->Run(ring_, input, {begin, end}, words.subspan(first, size), scratch);
    }
    ReturnScratch(std::move(scratch));
  }

  std::vector<uint8_t> TakeScratch() {
    {
      const absl::MutexLock lock(&mu_);
      if (!idle_.empty()) {
        std::vector<uint8_t> scratch = std::move(idle_.back());
        idle_.pop_back();
        return scratch;
      }
    }
    return std::vector<uint8_t>(kernel_->scratch_bytes(num_limbs_));
  }

  void ReturnScratch(std::vector<uint8_t> scratch) {
    const absl::MutexLock lock(&mu_);
    if (idle_.size() < max_idle_) {
      idle_.push_back(std::move(scratch));
    }
  }

  const std::unique_ptr<LinearKernel> kernel_;
  const kernels::ring::Ring ring_;
  const size_t num_limbs_;
  const uint8_t padding_;
  const Shape input_shape_;
  const Shape output_shape_;
  const int64_t rows_per_block_;
  const size_t num_threads_;
  const size_t max_idle_;
  absl::Mutex mu_;
  std::vector<std::vector<uint8_t>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::Status CheckLinearWork(const RingLayer& layer, const CpuBackendOptions& limits) {
  const absl::StatusOr<uint64_t> macs = MacsOf(layer);
  if (!macs.ok() || *macs > limits.max_model_macs) {
    return absl::ResourceExhaustedError(
        "one run of the linear layer takes " + (macs.ok() ? std::to_string(*macs) : "more than 2^64") +
        " operations; a model may take " + std::to_string(limits.max_model_macs) + " (quotas.model_macs)");
  }
  return absl::OkStatus();
}

absl::Status CheckLinearMemory(const RingLayer& layer, const absl::StatusOr<uint64_t>& weight_bytes,
                               const CpuBackendOptions& limits) {
  const absl::StatusOr<uint64_t> sum =
      weight_bytes.ok() ? Sum({*weight_bytes, layer.InputShape().num_elements(), layer.OutputShape().num_elements()})
                        : weight_bytes;
  if (!sum.ok() || *sum > static_cast<uint64_t>(limits.max_model_memory)) {
    return TooMuchMemory(sum.ok() ? "up to " + std::to_string(*sum) : "more than 2^64", limits.max_model_memory);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LinearModel>> CreateCpuLinearModel(const RingLayer& layer,
                                                                  const CpuBackendOptions& options) {
  RETURN_IF_ERROR(CheckLinearWork(layer, options));
  RETURN_IF_ERROR(CheckLinearMemory(layer, MostWeightBytes(layer.geometry), options));
  ASSIGN_OR_RETURN(std::unique_ptr<LinearKernel> kernel,
                   LinearKernel::Create(layer.geometry, layer.weights(), options.isa));
  auto model = std::make_unique<CpuLinearModel>(layer, std::move(kernel), options);
  if (model->memory_bytes() > static_cast<uint64_t>(options.max_model_memory)) {
    return TooMuchMemory(std::to_string(model->memory_bytes()), options.max_model_memory);
  }
  return model;
}

}  // namespace shoji::accelerator
