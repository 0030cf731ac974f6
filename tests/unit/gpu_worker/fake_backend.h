// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gpu_worker/backend.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator::testing {

// Holds runs and loads back while it is closed. Thread-safe.
class Gate {
 public:
  void Close() {
    const absl::MutexLock lock(&mu_);
    open_ = false;
  }
  void Open() {
    const absl::MutexLock lock(&mu_);
    open_ = true;
  }
  void Pass() {
    const absl::MutexLock lock(&mu_);
    ++num_waiting_;
    mu_.Await(absl::Condition(&open_));
    --num_waiting_;
  }
  // Returns once `n` are held back.
  void AwaitWaiting(int n) {
    const absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return num_waiting_ == n; };
    mu_.Await(absl::Condition(&enough));
  }

 private:
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  int num_waiting_ ABSL_GUARDED_BY(mu_) = 0;
};

// "Sub-models" are texts: "add N ..." answers its first input with N added to every float, "big" answers with 1 Mi
// floats, "nothing" with no outputs, anything else does not load. For tests only. Thread-safe.
class FakeBackend final : public Backend {
 public:
  const std::string& name() const override { return name_; }

  using Backend::Load;
  absl::StatusOr<std::unique_ptr<Model>> Load(ByteSource& onnx) override {
    load_gate.Pass();
    Bytes bytes(static_cast<size_t>(onnx.size()));
    RETURN_IF_ERROR(onnx.Read(bytes));
    const std::string text = ToString(bytes);
    if (text.starts_with("add ") || text == "big" || text == "nothing") {
      ++num_models;
      return std::make_unique<FakeModel>(*this, text);
    }
    return absl::InvalidArgumentError("not a model: line\nbreak \x80");
  }

  // Adds 1 to every byte of its input, as far as the output goes.
  absl::StatusOr<std::unique_ptr<LinearModel>> LoadLinear(const RingLayer& layer) override {
    load_gate.Pass();
    ++num_models;
    return std::make_unique<FakeLinearModel>(*this, layer);
  }

  Gate run_gate;
  Gate load_gate;
  std::atomic<int> num_models{0};          // alive
  std::atomic<int> num_runs{0};            // begun
  std::atomic<int> num_stopped{0};         // of those begun
  std::atomic<uint64_t> model_memory{10};  // of each

 private:
  class FakeModel final : public Model {
   public:
    FakeModel(FakeBackend& backend, std::string text) : backend_(backend), text_(std::move(text)) {}
    ~FakeModel() override { --backend_.num_models; }

    absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& stop) override {
      ++backend_.num_runs;
      backend_.run_gate.Pass();
      if (absl::Status status = stop(); !status.ok()) {
        ++backend_.num_stopped;
        return status;
      }
      std::vector<Tensor> outputs;
      if (text_ == "big") {
        outputs.emplace_back(DataType::kFloat32, Shape({1 << 20}));
      } else if (text_ != "nothing") {
        if (inputs.empty() || inputs[0].type() != DataType::kFloat32) {
          return absl::InvalidArgumentError("takes one float32 tensor");
        }
        const auto addend = static_cast<float>(std::atoi(text_.c_str() + 4));
        for (float& value : inputs[0].mutable_values<float>()) {
          value += addend;
        }
        outputs.push_back(std::move(inputs[0]));
      }
      return outputs;
    }

    uint64_t memory_bytes() const override { return backend_.model_memory; }

   private:
    FakeBackend& backend_;
    const std::string text_;
  };

  class FakeLinearModel final : public LinearModel {
   public:
    FakeLinearModel(FakeBackend& backend, const RingLayer& layer)
        : backend_(backend), input_shape_(layer.InputShape()), output_shape_(layer.OutputShape()) {}
    ~FakeLinearModel() override { --backend_.num_models; }

    const Shape& input_shape() const override { return input_shape_; }
    const Shape& output_shape() const override { return output_shape_; }
    absl::Status Run(ByteSpan limbs, std::span<uint8_t> words, const StopCheck& stop) override {
      ++backend_.num_runs;
      backend_.run_gate.Pass();
      if (absl::Status status = stop(); !status.ok()) {
        ++backend_.num_stopped;
        return status;
      }
      for (size_t i = 0; i < std::min(limbs.size(), words.size()); ++i) {
        words[i] = static_cast<uint8_t>(limbs[i] + 1);
      }
      return absl::OkStatus();
    }
    uint64_t memory_bytes() const override { return backend_.model_memory; }

   private:
    FakeBackend& backend_;
    const Shape input_shape_;
    const Shape output_shape_;
  };

  const std::string name_ = "fake";
};

}  // namespace shoji::accelerator::testing
