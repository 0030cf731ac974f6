// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/quantized_stage.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "enclave_worker/core/layer_offload.h"
#include "enclave_worker/core/pad_filler.h"
#include "enclave_worker/core/pad_pool.h"
#include "enclave_worker/core/region_batch.h"
#include "enclave_worker/core/region_run.h"
#include "enclave_worker/core/scratch_pool.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/quantization/program.h"

namespace shoji::enclave {
namespace {

using partition::CrossingTensor;
using partition::Segment;
using quantization::LinearStep;

// The tensors of the whole region, with the forms that its segments state.
std::vector<CrossingTensor> Crossing(const graph::Graph& part, const std::vector<graph::ValueId>& ids) {
  std::vector<CrossingTensor> out;
  for (const graph::ValueId id : ids) {
    out.push_back({part.values[id].name, part.values[id].type, part.values[id].shape});
  }
  return out;
}

// Loading waits for nobody: it takes what processors there are, in reason.
int LoadingThreads() {
  constexpr unsigned kMost = 8;
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, kMost));
}

class QuantizedStage final : public Stage {
 public:
  QuantizedStage(std::string model, const graph::Graph& part, std::unique_ptr<quantization::Program> program,
                 const ModelContext& context)
      : model_(std::move(model)),
        inputs_(Crossing(part, part.inputs)),
        outputs_(Crossing(part, part.outputs)),
        context_(context),
        program_(std::move(program)),
        frames_([this] { return program_->NewFrame(); }),
        created_at_(context.clock.SteadyNow()) {}

  absl::Status AddOffloads(std::span<const Segment> segments, const partition::MaskingPolicy& masking);

  const std::vector<CrossingTensor>& inputs() const override { return inputs_; }
  absl::Status Run(SecretTensors& live, RunContext& run) const override;
  void RunBatch(std::span<BatchItem> items) const override;
  std::string NotReadyBecause() const override;
  void AddCounts(ModelCounts& counts) const override;

 private:
  absl::Status AddPool(const partition::MaskingPolicy& masking);
  struct Claimed {
    BatchItem* item = nullptr;
    std::unique_ptr<Pad> pad;  // null: there is no pool, or none was left and the policy lets the enclave compute
  };
  using Lease = ScratchPool<quantization::Frame>::Lease;

  absl::StatusOr<std::unique_ptr<Pad>> ClaimPad(const RunContext& run) const;
  // Pads for as many of `waiting` as can start together, taken off it; those that the policy rejects have failed.
  std::vector<Claimed> ClaimPads(std::vector<BatchItem*>& waiting) const;
  void RunClaimed(std::vector<Claimed> claimed) const;
  bool TakeSlot(std::span<BatchItem* const> items) const;
  absl::Status Begin(BatchItem& item, quantization::Frame& frame) const;

  const std::string model_;
  const std::vector<CrossingTensor> inputs_;
  const std::vector<CrossingTensor> outputs_;
  const ModelContext& context_;
  const std::unique_ptr<quantization::Program> program_;
  std::vector<std::unique_ptr<LayerOffload>> offloads_;  // by step; null: in the enclave
  std::unique_ptr<PadPool> pool_;                        // null: no layer uses pads
  std::unique_ptr<PadFiller::Attachment> filling_;       // after pool_: detached first
  mutable ScratchPool<quantization::Frame> frames_;
  const SteadyTime created_at_;
  mutable std::atomic<bool> was_served_ = false;
};

absl::Status QuantizedStage::AddOffloads(std::span<const Segment> segments, const partition::MaskingPolicy& masking) {
  uint64_t num_blinded = 0;
  for (size_t i = 0; i < program_->steps().size(); ++i) {
    const quantization::Step& step = program_->steps()[i];
    offloads_.emplace_back();
    const auto* linear = std::get_if<LinearStep>(&step.kind);
    if (linear == nullptr) {
      continue;
    }
    const size_t node = segments.front().first_node + step.node;
    size_t at = 0;
    while (at + 1 < segments.size() && node >= segments[at].end_node) {
      ++at;
    }
    const Segment& segment = segments[at];
    if (segment.place == partition::Placement::kEnclave) {
      continue;
    }
    LayerOffload::Options options;
    options.model = model_;
    options.segment = segment;
    options.source = masking.source;
    options.index = segment.place == partition::Placement::kBlinded ? num_blinded++ : 0;
    ASSIGN_OR_RETURN(offloads_.back(),
                     LayerOffload::Create(linear->layer, program_->kernel(i), std::move(options), context_));
  }
  return AddPool(masking);
}

absl::Status QuantizedStage::AddPool(const partition::MaskingPolicy& masking) {
  std::vector<PadLayer> layers;
  for (const std::unique_ptr<LayerOffload>& offload : offloads_) {
    if (offload != nullptr && offload->uses_pads()) {
      layers.push_back({&offload->codec(), &offload->kernel()});
    }
  }
  if (layers.empty()) {
    return absl::OkStatus();
  }
  const PadPool::Options options = {masking.pool_requests, masking.pool_bytes, masking.on_empty};
  ASSIGN_OR_RETURN(pool_, PadPool::Create(std::move(layers), options, context_.clock));
  filling_ = std::make_unique<PadFiller::Attachment>(context_.filler, *pool_);
  return absl::OkStatus();
}

void QuantizedStage::AddCounts(ModelCounts& counts) const {
  if (pool_ != nullptr) {
    counts.uses_pads = true;
    counts.pads_available += pool_->num_available();
    counts.pads_made += pool_->num_made();
    counts.pads_claimed += pool_->num_claimed();
    counts.pool_empty += pool_->num_empty();
  }
  for (const std::unique_ptr<LayerOffload>& offload : offloads_) {
    if (offload != nullptr) {
      counts.offloads = true;
      counts.checks_failed += offload->num_failed_checks();
      counts.offloads_missed += offload->num_misses();
    }
  }
}

absl::Status QuantizedStage::Begin(BatchItem& item, quantization::Frame& frame) const {
  ASSIGN_OR_RETURN(const std::vector<const Tensor*> inputs, FindInputs(inputs_, item.live));
  return program_->Begin(inputs, frame).ok() ? absl::OkStatus() : ErrorOf(Reason::kInternal);
}

std::string QuantizedStage::NotReadyBecause() const {
  if (was_served_) {
    return "";
  }
  for (const std::unique_ptr<LayerOffload>& offload : offloads_) {
    if (offload != nullptr && !offload->Served()) {
      // The enclave can do without, but does not begin so while its accelerators may still be connecting.
      if (context_.clock.SteadyNow() - created_at_ >= context_.accelerator_grace) {
        break;
      }
      return "no accelerator is ready for layer " + offload->layer().name;
    }
  }
  was_served_ = true;
  return "";
}

absl::StatusOr<std::unique_ptr<Pad>> QuantizedStage::ClaimPad(const RunContext& run) const {
  if (pool_ == nullptr) {
    return std::unique_ptr<Pad>();
  }
  const uint64_t empty_before = pool_->num_empty();
  absl::StatusOr<std::unique_ptr<Pad>> pad = pool_->Claim(run.deadline, run.is_cancelled);
  if (const uint64_t empty = pool_->num_empty(); empty != empty_before && context_.events) {
    context_.events({EnclaveEventKind::kPoolEmpty, model_, "", "", empty});
  }
  return pad;
}

// Whoever finds the pool empty has no part in what the others find: those with pads start together, and he waits, if
// that is what the policy says, while they run.
std::vector<QuantizedStage::Claimed> QuantizedStage::ClaimPads(std::vector<BatchItem*>& waiting) const {
  const bool others_wait = pool_ != nullptr && pool_->on_empty() == partition::OnPoolEmpty::kWait;
  std::vector<Claimed> claimed;
  std::vector<BatchItem*> left;
  for (BatchItem* item : waiting) {
    std::unique_ptr<Pad> pad = pool_ == nullptr ? nullptr : pool_->TryClaim();
    if (pool_ != nullptr && pad == nullptr) {
      if (others_wait) {
        left.push_back(item);
        continue;
      }
      absl::StatusOr<std::unique_ptr<Pad>> late = ClaimPad(item->run);
      if (!late.ok()) {
        item->status = late.status();
        continue;
      }
      pad = *std::move(late);
    }
    claimed.push_back({item, std::move(pad)});
  }
  if (claimed.empty() && !left.empty()) {
    BatchItem* const first = left.front();
    left.erase(left.begin());
    absl::StatusOr<std::unique_ptr<Pad>> pad = ClaimPad(first->run);
    first->status = pad.status();
    if (pad.ok()) {
      claimed.push_back({first, *std::move(pad)});
    }
  }
  waiting = std::move(left);
  return claimed;
}

bool QuantizedStage::TakeSlot(std::span<BatchItem* const> items) const {
  const BatchTimer timer(context_.clock, RunsOf(items), channel::Phase::kQueue);
  const bool taken = context_.slots.Acquire(LatestDeadlineOf(items)).ok();
  FailExpired(items, context_.clock.SteadyNow());
  return taken;
}

void QuantizedStage::RunClaimed(std::vector<Claimed> claimed) const {
  std::vector<BatchItem*> items;
  for (const Claimed& one : claimed) {
    items.push_back(one.item);
  }
  if (items.empty() || !TakeSlot(items)) {
    return;
  }
  const RegionParts parts = {*program_,      offloads_,      pool_.get(),
                             context_.slots, context_.clock, context_.threads_per_run};
  RegionBatch batch(parts);
  std::vector<std::unique_ptr<Lease>> frames;
  {
    const BatchTimer timer(context_.clock, RunsOf(items), channel::Phase::kCompute);
    for (Claimed& one : claimed) {
      frames.push_back(std::unique_ptr<Lease>(new Lease(frames_.Borrow())));
      if (one.item->status.ok()) {
        one.item->status = Begin(*one.item, **frames.back());
      }
      if (one.item->status.ok()) {
        batch.Add(*one.item, **frames.back(), std::move(one.pad));
      }
    }
  }
  batch.Execute();
  {
    const BatchTimer timer(context_.clock, RunsOf(items), channel::Phase::kCompute);
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i]->status.ok()) {
        items[i]->status = PutOutputs(outputs_, program_->Finish(**frames[i]), items[i]->live);
      }
    }
  }
  if (batch.holds_slot()) {
    context_.slots.Release();
  }
}

absl::Status QuantizedStage::Run(SecretTensors& live, RunContext& run) const {
  BatchItem item = {live, run, absl::OkStatus()};
  RunBatch({&item, 1});
  return item.status;
}

void QuantizedStage::RunBatch(std::span<BatchItem> items) const {
  std::vector<BatchItem*> waiting = AliveOf(items);
  while (!waiting.empty()) {
    std::vector<Claimed> claimed;
    {
      // Before a compute slot is taken: whoever waits for a pad leaves the processor to those who make them.
      const BatchTimer timer(context_.clock, RunsOf(waiting), channel::Phase::kQueue);
      claimed = ClaimPads(waiting);
    }
    const BatchTimer timer(context_.clock, RunsOf(waiting), channel::Phase::kQueue);  // of those who wait for the rest
    RunClaimed(std::move(claimed));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stage>> CreateQuantizedStage(const std::string& model, graph::Graph part,
                                                            std::span<const Segment> segments,
                                                            const partition::MaskingPolicy& masking,
                                                            const quantization::ActivationRanges& ranges,
                                                            const ModelContext& context) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<quantization::Program> program,
      quantization::Program::Compile(part, ranges, {.isa = kernels::ring::BestIsa(), .num_threads = LoadingThreads()}));
  for (graph::Value& value : part.values) {
    value.constant = nullptr;  // the float weights stand quantized now
  }
  auto stage = std::make_unique<QuantizedStage>(model, part, std::move(program), context);
  RETURN_IF_ERROR(stage->AddOffloads(segments, masking));
  return stage;
}

}  // namespace shoji::enclave
