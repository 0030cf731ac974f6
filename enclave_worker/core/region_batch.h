// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Requests that go through a quantized region together: step by step, so that a layer's weights are read once for all
// of them, and with one message to an accelerator for each layer. Each has a frame, a pad and checks of its own, and
// what becomes of one depends on no other's values. A message waits for its answer no longer than the one among them
// who has the least time left can bear; who has much less of it than another has messages of his own.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/region_run.h"
#include "enclave_worker/core/stage.h"
#include "lib/quantization/program.h"

namespace shoji::enclave {

// Owned by the thread that runs the batch. A request that has failed takes no further part.
class RegionBatch {
 public:
  // `parts` and the items, which are not the same, outlive it.
  explicit RegionBatch(const RegionParts& parts) : parts_(parts) {}
  RegionBatch(const RegionBatch&) = delete;
  RegionBatch& operator=(const RegionBatch&) = delete;

  // A request with its frame, which has had its Begin and outlives the batch, and its pad, if it has one.
  void Add(BatchItem& item, quantization::Frame& frame, std::unique_ptr<Pad> pad);

  // Every step for everyone who was added. Called, and returns, with a compute slot held, except where everybody's
  // deadline came while it waited for one.
  void Execute();
  bool holds_slot() const { return holds_slot_; }

 private:
  struct Member {
    BatchItem* item;
    std::unique_ptr<AvoidedSides> avoided;
    std::unique_ptr<RegionRun> run;
  };
  using Members = std::vector<Member*>;

  Members Alive();
  void RunStep(size_t step);
  // Computes a step here.
  void RunHere(size_t step, const Members& members);
  // Sends the layer of all `members` out and receives it; returns those for whom it is to be computed here.
  Members RunThere(size_t step, const Members& members);
  // Sends and receives; no slot is held meanwhile. In the order of `members`; not OK: nobody answered usably.
  std::vector<absl::StatusOr<LayerAnswers>> Exchange(size_t step, const Members& members);
  // The first of `order`, which is by deadline, that go in one message.
  size_t NumTogether(std::span<const size_t> order, const Members& members, size_t most) const;
  static absl::StatusOr<std::vector<LayerAnswers>> ExchangeTogether(size_t step, const Members& members);
  static absl::StatusOr<std::vector<LayerAnswers>> SendAndReceive(size_t step, const Members& members,
                                                                  AvoidedSides& avoided);
  void TakeSlotAgain();
  void FailLate(const Members& members);
  static std::vector<RunContext*> RunsOf(const Members& members);

  const RegionParts& parts_;
  std::vector<Member> members_;
  bool holds_slot_ = true;
};

}  // namespace shoji::enclave
