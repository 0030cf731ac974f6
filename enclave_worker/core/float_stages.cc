// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/float_stages.h"

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
  EnclaveStage(std::unique_ptr<execution::Program> program, const partition::Segment& segment,
               const ModelContext& context)
      : program_(std::move(program)),
        segment_(segment),
        context_(context),
        workspaces_([this] { return program_->NewWorkspace(); }) {}

  const std::vector<partition::CrossingTensor>& inputs() const override { return segment_.inputs; }

  absl::Status Run(SecretTensors& live, RunContext& run) const override {
    ASSIGN_OR_RETURN(const std::vector<const Tensor*> inputs, FindInputs(segment_.inputs, live));
    {
      const PhaseTimer timer(context_.clock, run, channel::Phase::kQueue);
      RETURN_IF_ERROR(context_.slots.Acquire(run.deadline));
    }
    absl::StatusOr<std::vector<Tensor>> outputs = [&] {
      const PhaseTimer timer(context_.clock, run, channel::Phase::kCompute);
      ScratchPool<execution::Workspace>::Lease lease = workspaces_.Borrow();
      return program_->Run(inputs, *lease);
    }();
    context_.slots.Release();
    if (!outputs.ok()) {
      return ErrorOf(Reason::kInternal);
    }
    return PutOutputs(segment_.outputs, *std::move(outputs), live);
  }

 private:
  const std::unique_ptr<execution::Program> program_;
  const partition::Segment segment_;
  const ModelContext& context_;
  mutable ScratchPool<execution::Workspace> workspaces_;
};

class OpenStage final : public Stage {
 public:
  OpenStage(const partition::Segment& segment, const digest::Sha256Digest& digest,
            std::vector<AcceleratorRegistry::Registration> registrations, std::unique_ptr<AcceleratorGroup> group,
            const Clock& clock)
      : segment_(segment),
        digest_(digest),
        registrations_(std::move(registrations)),
        group_(std::move(group)),
        clock_(clock) {}

  const std::vector<partition::CrossingTensor>& inputs() const override { return segment_.inputs; }

  absl::Status Run(SecretTensors& live, RunContext& run) const override {
    ASSIGN_OR_RETURN(const std::vector<const Tensor*> inputs, OpenSegmentInputs(segment_, live));
    const PhaseTimer timer(clock_, run, channel::Phase::kOffloadWait);
    ASSIGN_OR_RETURN(std::vector<Tensor> outputs,
                     group_->Execute(digest_, inputs, segment_.outputs, {run.deadline, run.traceparent}));
    return PutOutputs(segment_.outputs, std::move(outputs), live);
  }

  std::string NotReadyBecause() const override {
    return group_->Serves(digest_) ? "" : "no accelerator is ready for the segment from " + segment_.first_node_name;
  }

 private:
  const partition::Segment segment_;
  const digest::Sha256Digest digest_;
  const std::vector<AcceleratorRegistry::Registration> registrations_;
  const std::unique_ptr<AcceleratorGroup> group_;
  const Clock& clock_;
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
  return std::make_unique<OpenStage>(segment, digest, std::move(registrations), std::move(group), context.clock);
}

}  // namespace shoji::enclave
