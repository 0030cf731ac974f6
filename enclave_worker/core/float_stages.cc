// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/float_stages.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "enclave_worker/core/accelerator_group.h"
#include "enclave_worker/core/declassify.h"
#include "enclave_worker/core/scratch_pool.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_export.h"

namespace shoji::enclave {
namespace {

class EnclaveStage final : public Stage {
 public:
  EnclaveStage(std::unique_ptr<execution::Program> program, partition::Segment segment, const ModelContext& context)
      : program_(std::move(program)),
        segment_(std::move(segment)),
        context_(context),
        workspaces_([this] { return program_->NewWorkspace(); }) {}

  const std::vector<partition::CrossingTensor>& inputs() const override { return segment_.inputs; }

  absl::Status Run(SecretTensors& live, RunContext& run) const override {
    BatchItem item = {live, run, absl::OkStatus()};
    RunBatch({&item, 1});
    return item.status;
  }

  void RunBatch(std::span<BatchItem> items) const override {
    if (TakeSlot(AliveOf(items))) {
      Compute(AliveOf(items));
      context_.slots.Release();
    }
  }

 private:
  using Lease = ScratchPool<execution::Workspace>::Lease;

  bool TakeSlot(const std::vector<BatchItem*>& items) const {
    if (items.empty()) {
      return false;
    }
    const BatchTimer timer(context_.clock, RunsOf(items), channel::Phase::kQueue);
    const bool taken = context_.slots.Acquire(LatestDeadlineOf(items)).ok();
    FailExpired(items, context_.clock.SteadyNow());
    return taken;
  }

  // Together, so that weights are read once.
  void Compute(const std::vector<BatchItem*>& items) const {
    const BatchTimer timer(context_.clock, RunsOf(items), channel::Phase::kCompute);
    std::vector<BatchItem*> running;
    std::vector<std::vector<const Tensor*>> inputs;
    for (BatchItem* item : items) {
      absl::StatusOr<std::vector<const Tensor*>> found = FindInputs(segment_.inputs, item->live);
      item->status = found.status();
      if (found.ok()) {
        running.push_back(item);
        inputs.push_back(*std::move(found));
      }
    }
    std::vector<std::unique_ptr<Lease>> leases;
    std::vector<execution::Program::BatchRun> runs;
    for (const std::vector<const Tensor*>& of_one : inputs) {
      // A lease can be neither copied nor moved.
      leases.push_back(std::unique_ptr<Lease>(new Lease(workspaces_.Borrow())));  // NOLINT(modernize-make-unique)
      runs.push_back({of_one, &**leases.back()});
    }
    const auto stop_for_nobody = [&]() -> absl::Status {
      FailExpired(running, context_.clock.SteadyNow());
      const bool somebody =
          std::any_of(running.begin(), running.end(), [](const BatchItem* item) { return item->status.ok(); });
      return somebody ? absl::OkStatus() : absl::CancelledError("nobody waits for it");
    };
    const bool ran = program_->RunBatch(runs, stop_for_nobody).ok();
    for (size_t i = 0; i < running.size(); ++i) {
      running[i]->status.Update(ran ? PutOutputs(segment_.outputs, std::move(runs[i].outputs), running[i]->live)
                                    : ErrorOf(Reason::kInternal));
    }
  }

  const std::unique_ptr<execution::Program> program_;
  const partition::Segment segment_;
  const ModelContext& context_;
  mutable ScratchPool<execution::Workspace> workspaces_;
};

class OpenStage final : public Stage {
 public:
  OpenStage(partition::Segment segment, const digest::Sha256Digest& digest,
            std::vector<AcceleratorRegistry::Registration> registrations, std::unique_ptr<AcceleratorGroup> group,
            const ModelContext& context)
      : segment_(std::move(segment)),
        digest_(digest),
        registrations_(std::move(registrations)),
        group_(std::move(group)),
        context_(context) {}

  const std::vector<partition::CrossingTensor>& inputs() const override { return segment_.inputs; }

  absl::Status Run(SecretTensors& live, RunContext& run) const override {
    BatchItem item = {live, run, absl::OkStatus()};
    RunBatch({&item, 1});
    return item.status;
  }

  void RunBatch(std::span<BatchItem> items) const override {
    const std::vector<BatchItem*> alive = AliveOf(items);
    const BatchTimer timer(context_.clock, RunsOf(alive), channel::Phase::kOffloadWait);
    const size_t most = MaxBatch();
    for (size_t begin = 0; begin < alive.size(); begin += most) {
      RunTogether(std::span(alive).subspan(begin, std::min(most, alive.size() - begin)));
    }
  }

  std::string NotReadyBecause() const override {
    return group_->Serves(digest_) ? "" : "no accelerator is ready for the segment from " + segment_.first_node_name;
  }

 private:
  // Requests that may go in one message.
  size_t MaxBatch() const {
    const auto bytes_of = [](const std::vector<partition::CrossingTensor>& tensors) {
      uint64_t bytes = 1;
      for (const partition::CrossingTensor& tensor : tensors) {
        bytes += tensor.shape.num_elements() * SizeOf(tensor.type);
      }
      return bytes;
    };
    const uint64_t fit = context_.max_batch_bytes / std::max(bytes_of(segment_.inputs), bytes_of(segment_.outputs));
    const size_t num_tensors = std::max<size_t>({1, segment_.inputs.size(), segment_.outputs.size()});
    return static_cast<size_t>(std::clamp<uint64_t>(fit, 1, std::max<size_t>(1, kMaxBatchTensors / num_tensors)));
  }

  // One message and one answer. Whoever has an earlier deadline than the others is told of it when it has come.
  void RunTogether(std::span<BatchItem* const> items) const {
    std::vector<BatchItem*> running;
    std::vector<const Tensor*> inputs;
    for (BatchItem* item : items) {
      absl::StatusOr<std::vector<const Tensor*>> of_one = OpenSegmentInputs(segment_, item->live);
      item->status = of_one.status();
      if (of_one.ok()) {
        running.push_back(item);
        inputs.insert(inputs.end(), of_one->begin(), of_one->end());
      }
    }
    if (running.empty()) {
      return;
    }
    // A trace names one request.
    absl::StatusOr<std::vector<Tensor>> outputs =
        group_->Execute(digest_, inputs, segment_.outputs,
                        {LatestDeadlineOf(running), running.front()->run.traceparent, running.size()});
    for (size_t i = 0; i < running.size(); ++i) {
      running[i]->status = outputs.status();
      if (outputs.ok()) {
        std::vector<Tensor> own;
        for (size_t k = 0; k < segment_.outputs.size(); ++k) {
          own.push_back(std::move((*outputs)[i * segment_.outputs.size() + k]));
        }
        running[i]->status = PutOutputs(segment_.outputs, std::move(own), running[i]->live);
      }
    }
    FailExpired(running, context_.clock.SteadyNow());
  }

  // As many tensors as an answer may have.
  static constexpr size_t kMaxBatchTensors = 256;

  const partition::Segment segment_;
  const digest::Sha256Digest digest_;
  const std::vector<AcceleratorRegistry::Registration> registrations_;
  const std::unique_ptr<AcceleratorGroup> group_;
  const ModelContext& context_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Stage>> CreateEnclaveStage(graph::Graph part, const partition::Segment& segment,
                                                          const ModelContext& context) {
  execution::CompileOptions compile;
  compile.num_threads = context.threads_per_run;
  ASSIGN_OR_RETURN(std::unique_ptr<execution::Program> program, execution::Program::Compile(std::move(part), compile));
  return std::make_unique<EnclaveStage>(std::move(program), segment, context);
}

absl::StatusOr<std::unique_ptr<Stage>> CreateOpenStage(graph::Graph part, const partition::Segment& segment,
                                                       const ModelContext& context) {
  ASSIGN_OR_RETURN(Bytes onnx, graph::ExportOnnx(std::move(part)));
  const auto shared = std::make_shared<const Bytes>(std::move(onnx));
  const digest::Sha256Digest digest = digest::Sha256(*shared);
  std::vector<AcceleratorRegistry::Registration> registrations;
  std::vector<Accelerator*> members;
  for (const partition::AcceleratorIdentity& identity : segment.accelerators) {
    Accelerator* accelerator = context.accelerators.Find(identity.name);
    if (accelerator == nullptr) {
      return absl::NotFoundError("accelerator '" + identity.name + "' is not in the deployment");
    }
    registrations.push_back(context.accelerators.Register(*accelerator, digest, shared, SubModelFormat::kOnnx));
    members.push_back(accelerator);
  }
  auto group = std::make_unique<AcceleratorGroup>(std::move(members), context.readiness, context.clock,
                                                  AcceleratorGroup::Options());
  return std::make_unique<OpenStage>(segment, digest, std::move(registrations), std::move(group), context);
}

}  // namespace shoji::enclave
