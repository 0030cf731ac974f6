// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One run of a quantized region. For each offloaded layer: the message goes out, the answer comes back, and one pass
// over the answer, row by row, unmasks, checks, requantizes, pools and builds the message of the next layer, while the
// rows lie in cache. What that pass makes goes nowhere before its check has passed; otherwise the layer is computed
// here and everything made from the answer is made anew.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "enclave_worker/core/compute_slots.h"
#include "enclave_worker/core/layer_offload.h"
#include "enclave_worker/core/pad_pool.h"
#include "enclave_worker/core/run_context.h"
#include "lib/base/clock.h"
#include "lib/quantization/program.h"

namespace shoji::enclave {

// What a run works with; outlives it.
struct RegionParts {
  const quantization::Program& program;
  // By step; null where the enclave computes.
  const std::vector<std::unique_ptr<LayerOffload>>& offloads;
  PadPool* pool = nullptr;  // null: no layer uses pads
  ComputeSlots& slots;
  const Clock& clock;
  int num_threads = 1;
};

// Owned by the thread that runs the request.
class RegionRun {
 public:
  // `frame` has had its Begin. `run` outlives it. `pad`: claimed for this run; null: layers that would use it are
  // computed here.
  RegionRun(const RegionParts& parts, quantization::Frame& frame, std::unique_ptr<Pad> pad, RunContext& run);
  RegionRun(const RegionRun&) = delete;
  RegionRun& operator=(const RegionRun&) = delete;
  ~RegionRun();

  // Every step. Called, and returns, with a compute slot held, except where it returns an error of ComputeSlots.
  absl::Status Execute();
  bool holds_slot() const { return holds_slot_; }

 private:
  struct Check;
  struct Prepared;

  absl::Status RunStep(size_t step);
  absl::Status RunHere(size_t step);
  // Whether a step goes out in this run.
  const LayerOffload* OffloadOf(size_t step) const;
  const PadKey* KeyFor(const LayerOffload& offload) const;

  // The message of `step` with its input sums, from the activations in the frame.
  std::unique_ptr<Prepared> StartMessage(size_t step) const;
  std::unique_ptr<Prepared> PrepareFromFrame(size_t step) const;
  OutgoingLayer MessageFromFrame(size_t step, OutgoingLayer::Form form) const;

  // Sends and receives; no slot is held meanwhile. Not OK: nobody answered usably.
  struct Answers {
    LayerAnswer masked;
    std::optional<LayerAnswer> random;  // with shares: the other operator's
  };
  absl::StatusOr<Answers> Exchange(size_t step, Prepared& prepared);
  // The fused pass. Whether the answer stood its check; then the frame holds the step's output and `next_` the next
  // message, if it could be built.
  bool Receive(size_t step, const Answers& answers, Prepared& prepared);
  bool Judge(size_t step, Prepared& prepared, const Answers& answers);
  void AccuseLiars(size_t step, const Answers& answers);
  ByteSpan PadWords(const LayerOffload& offload, const Answers& answers) const;
  // The step that the output of `step` goes to and can be masked for row by row; none otherwise.
  std::optional<size_t> FusedNext(size_t step) const;

  const RegionParts& parts_;
  quantization::Frame& frame_;
  const std::unique_ptr<Pad> pad_;
  std::optional<PadKey> share_key_;
  RunContext& run_;
  bool holds_slot_ = true;
  AvoidedSides avoided_;
  std::unique_ptr<Prepared> next_;  // of the step after the one that was last done
};

}  // namespace shoji::enclave
