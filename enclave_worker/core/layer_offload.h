// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One linear layer that a policy gives to accelerators: what is registered there, how it is checked, who may compute
// it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/accelerator_group.h"
#include "enclave_worker/core/accelerator_registry.h"
#include "enclave_worker/core/challenge_keeper.h"
#include "enclave_worker/core/masking/layer_codec.h"
#include "enclave_worker/core/model_context.h"
#include "enclave_worker/core/outgoing_layer.h"
#include "lib/kernels/ring/linear.h"
#include "lib/partition/plan.h"
#include "lib/quantization/program.h"

namespace shoji::enclave {

// What an accelerator answered for one layer: hostile, but of the right form. Owned by one request.
struct LayerAnswer {
  Tensor words;
  Accelerator* from = nullptr;
};

// Of one request: accelerators that it does not ask any more. With shares, one list a side.
using AvoidedSides = std::array<AcceleratorGroup::Avoided, 2>;

// Immutable but for its counters and challenges; thread-safe.
class LayerOffload {
 public:
  struct Options {
    std::string model;
    partition::Segment segment;  // a blinded or verified one
    partition::MaskSource source = partition::MaskSource::kPads;
    uint64_t index = 0;  // the layer's number under the request's pad key
  };
  // `layer` and `kernel` outlive it. NOT_FOUND: an accelerator of the segment that is not in the deployment.
  static absl::StatusOr<std::unique_ptr<LayerOffload>> Create(const quantization::LinearLayer& layer,
                                                              const kernels::ring::LinearKernel& kernel,
                                                              Options options, const ModelContext& context);
  LayerOffload(const LayerOffload&) = delete;
  LayerOffload& operator=(const LayerOffload&) = delete;

  const quantization::LinearLayer& layer() const { return layer_; }
  const kernels::ring::LinearKernel& kernel() const { return kernel_; }
  const LayerCodec& codec() const { return codec_; }
  bool blinded() const { return options_.segment.place == partition::Placement::kBlinded; }
  bool uses_pads() const { return blinded() && options_.source == partition::MaskSource::kPads; }
  bool uses_shares() const { return blinded() && options_.source == partition::MaskSource::kShares; }
  uint64_t index() const { return options_.index; }
  // The form in which the activations themselves go out.
  OutgoingLayer::Form form() const { return blinded() ? OutgoingLayer::Form::kMasked : OutgoingLayer::Form::kClear; }

  // Who keeps the secrets for checking an answer: nobody where the policy does not verify, two where one check would
  // promise too little (quantization::kMaxLogCheckErrorBound). An answer must pass all.
  const std::vector<std::unique_ptr<ChallengeKeeper>>& keepers() const { return keepers_; }

  // Requests that may go in one message.
  size_t max_batch() const;
  // The messages of `execution.batch` requests to the accelerators of operator number `side` (0 for pads and
  // `verified`), all in one, and the words that one of them answered for each. `message(i)` makes that of request i
  // anew for each attempt, which must give the same bytes. Errors carry a Reason.
  absl::StatusOr<std::vector<LayerAnswer>> Send(size_t side, const std::function<OutgoingLayer(size_t)>& message,
                                                const Execution& execution, AcceleratorGroup::Avoided& avoided) const;

  // Says that `from` answered wrongly.
  void Accuse(const Accelerator& from) const;
  // Says that nobody answered usably.
  void Miss() const;
  uint64_t num_failed_checks() const { return num_failed_checks_; }
  uint64_t num_misses() const { return num_misses_; }
  // Whether anybody could compute it now.
  bool Served() const;

 private:
  LayerOffload(const quantization::LinearLayer& layer, const kernels::ring::LinearKernel& kernel, Options options,
               const ModelContext& context);
  absl::Status AddSides();
  absl::Status AddSide(const std::vector<partition::AcceleratorIdentity>& members,
                       const std::shared_ptr<const Bytes>& upload);

  const quantization::LinearLayer& layer_;
  const kernels::ring::LinearKernel& kernel_;
  const Options options_;
  const ModelContext& context_;
  const LayerCodec codec_;
  std::vector<std::unique_ptr<ChallengeKeeper>> keepers_;
  digest::Sha256Digest digest_ = {};
  std::vector<AcceleratorRegistry::Registration> registrations_;
  std::vector<std::unique_ptr<AcceleratorGroup>> sides_;  // one; with shares two, of one operator each
  std::vector<partition::CrossingTensor> expected_;       // of an answer
  mutable std::atomic<uint64_t> num_failed_checks_ = 0;
  mutable std::atomic<uint64_t> num_misses_ = 0;
};

}  // namespace shoji::enclave
