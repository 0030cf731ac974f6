// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/accelerator.h"
#include "gpu_worker/backend.h"

namespace shoji::testing {

// An accelerator in the test's own process: the real CPU backend behind the core's interface, which can be told to
// misbehave. For tests of the core; real processes are in cluster.h. Thread-safe.
class InProcessAccelerator final : public enclave::Accelerator {
 public:
  // Sees the one input of a request for a linear layer and may change its one output; a status that is not OK is what
  // the execution returns.
  using Tamper = std::function<absl::Status(const Tensor& input, Tensor& output)>;

  explicit InProcessAccelerator(std::string name);

  void set_tamper(Tamper tamper) {
    const absl::MutexLock lock(&mu_);
    tamper_ = std::move(tamper);
  }
  void set_serving(bool serving) {
    const absl::MutexLock lock(&mu_);
    serving_ = serving;
  }
  size_t num_executions() const {
    const absl::MutexLock lock(&mu_);
    return num_executions_;
  }
  size_t num_registered() const {
    const absl::MutexLock lock(&mu_);
    return linear_.size() + open_.size();
  }

  const std::string& name() const override { return name_; }
  bool ready() const override;
  bool Serves(const digest::Sha256Digest& digest) const override;
  size_t num_in_flight() const override { return 0; }
  void Register(const digest::Sha256Digest& digest, std::shared_ptr<const Bytes> bytes,
                enclave::SubModelFormat format) override;
  void Unregister(const digest::Sha256Digest& digest) override;
  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& digest, std::span<const Tensor* const> inputs,
                                              const enclave::Execution& execution) override;

 private:
  absl::StatusOr<std::vector<Tensor>> RunLinear(accelerator::LinearModel& model, const Tensor& input,
                                                const Tamper& tamper);

  const std::string name_;
  const std::unique_ptr<accelerator::Backend> backend_;
  mutable absl::Mutex mu_;
  Tamper tamper_ ABSL_GUARDED_BY(mu_);
  bool serving_ ABSL_GUARDED_BY(mu_) = true;
  size_t num_executions_ ABSL_GUARDED_BY(mu_) = 0;
  // Shared: an execution may outlast its registration.
  std::map<digest::Sha256Digest, std::shared_ptr<accelerator::LinearModel>> linear_ ABSL_GUARDED_BY(mu_);
  std::map<digest::Sha256Digest, std::shared_ptr<accelerator::Model>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::testing
