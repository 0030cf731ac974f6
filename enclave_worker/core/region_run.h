// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One request's run of a quantized region. For each offloaded layer: the message goes out, the answer comes back, and
// one pass over the answer, row by row, unmasks, checks, requantizes, pools and builds the message of the next layer,
// while the rows lie in cache. What that pass makes goes nowhere before its check has passed; otherwise the layer is
// computed here and everything made from the answer is made anew. region_batch.h takes the requests of a batch through
// the steps together.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "enclave_worker/core/compute_slots.h"
#include "enclave_worker/core/layer_offload.h"
#include "enclave_worker/core/pad_pool.h"
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

// What accelerators answered to one request for one layer.
struct LayerAnswers {
  LayerAnswer masked;
  std::optional<LayerAnswer> random;  // with shares: the other operator's
};

// Owned by the thread that runs the request.
class RegionRun {
 public:
  // `frame` has had its Begin. `pad`: claimed for this run; null: layers that would use it are computed here. Liars go
  // to `avoided`, which outlives it.
  RegionRun(const RegionParts& parts, quantization::Frame& frame, std::unique_ptr<Pad> pad, AvoidedSides& avoided);
  RegionRun(const RegionRun&) = delete;
  RegionRun& operator=(const RegionRun&) = delete;
  ~RegionRun();

  quantization::Frame& frame() { return frame_; }
  // Whether a step goes out in this run; null: it is computed here.
  const LayerOffload* OffloadOf(size_t step) const;

  // The way of a step that goes out: Prepare; TakeMessage for each attempt, and RandomMessage with shares; Receive.
  // Prepare builds the message with its checks, unless the step before has.
  void Prepare(size_t step);
  OutgoingLayer TakeMessage(size_t step);
  // May be called beside TakeMessage, from another thread.
  OutgoingLayer RandomMessage(size_t step) const;
  // The fused pass over what was answered. Whether it stood its check; then the frame holds the step's output. If not,
  // the step is to be computed here.
  bool Receive(size_t step, LayerAnswers& answers);

 private:
  struct Check;
  struct Prepared;

  const PadKey* KeyFor(const LayerOffload& offload) const;

  // The message of `step` with its input sums, from the activations in the frame.
  std::unique_ptr<Prepared> StartMessage(size_t step) const;
  std::unique_ptr<Prepared> PrepareFromFrame(size_t step) const;
  OutgoingLayer MessageFromFrame(size_t step, OutgoingLayer::Form form) const;

  // Sets `next_` to the next message, if it could be built and the check has passed.
  bool Unmask(size_t step, const LayerAnswers& answers);
  bool Judge(size_t step, const LayerAnswers& answers);
  void AccuseLiars(size_t step, const LayerAnswers& answers);
  ByteSpan PadWords(const LayerOffload& offload, const LayerAnswers& answers) const;
  // The step that the output of `step` goes to and can be masked for row by row; none otherwise.
  std::optional<size_t> FusedNext(size_t step) const;

  const RegionParts& parts_;
  quantization::Frame& frame_;
  const std::unique_ptr<Pad> pad_;
  std::optional<PadKey> share_key_;
  AvoidedSides& avoided_;
  std::unique_ptr<Prepared> prepared_;  // of the step under way
  std::unique_ptr<Prepared> next_;      // of the step after the one that was last done
};

}  // namespace shoji::enclave
