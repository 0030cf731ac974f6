// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_model.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gpu_worker/cuda/open_launch.h"
#include "gpu_worker/cuda/open_plan.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

using open_segment::Addresses;
using open_segment::Kernel;
using open_segment::OpenPlan;

// A run is asked whether to stop once in so many operations: some tenths of a millisecond on the devices of today.
constexpr uint64_t kLegOperations = 2'000'000'000;
// How many runs have memory at the same time. Others wait for it.
constexpr size_t kMostWorkspaces = 4;
constexpr size_t kMostIdleBytes = size_t{256} << 20;  // beyond that, one
constexpr absl::Duration kBetweenQuestions = absl::Milliseconds(2);

// What launches a leg's kernels at once.
struct DestroyGraph {
  void operator()(cudaGraphExec_t graph) const { static_cast<void>(cudaGraphExecDestroy(graph)); }
  void operator()(cudaGraph_t graph) const { static_cast<void>(cudaGraphDestroy(graph)); }
};
using LegGraph = std::unique_ptr<CUgraphExec_st, DestroyGraph>;

// The memory of one run and its kernels, bound to it.
struct Workspace {
  DeviceMemory arena;
  std::vector<Kernel> kernels;
  std::vector<size_t> legs;      // the end of each leg, in `kernels`
  bool has_run = false;          // so that all its kernels are loaded
  std::vector<LegGraph> graphs;  // of each leg, from the second run on
};

// A request under way. The stream, which waits for its work when it goes back, goes back first.
struct Lane {
  std::unique_ptr<Workspace> workspace;
  Device::LentStream stream;
};

// Keeps the workspaces of finished runs for the next ones.
// Thread-safe.
class CudaOpenModel final : public Model {
 public:
  // `max_memory` is that of one model, for which `plan` was made.
  static absl::StatusOr<std::unique_ptr<CudaOpenModel>> Create(Device& device, OpenPlan plan, size_t max_memory) {
    const size_t max_idle = std::min(kMostIdleBytes, max_memory - std::min(max_memory, plan.constant_bytes));
    const size_t max_workspaces = plan.NumWorkspaces(kMostWorkspaces, max_idle);
    std::unique_ptr<CudaOpenModel> out(new CudaOpenModel(device, std::move(plan), max_workspaces));
    RETURN_IF_ERROR(out->Prepare());
    return out;
  }

  absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& stop) override {
    return RunBatch(std::move(inputs), 1, stop);
  }

  // Requests side by side, each in memory of its own and with the kernels that it has alone.
  absl::StatusOr<std::vector<Tensor>> RunBatch(std::vector<Tensor> inputs, size_t batch,
                                               const StopCheck& stop) override {
    std::vector<const Tensor*> views;
    views.reserve(inputs.size());
    for (const Tensor& input : inputs) {
      views.push_back(&input);
    }
    const size_t each = views.size() / std::max<size_t>(1, batch);
    for (size_t i = 0; i < batch; ++i) {
      RETURN_IF_ERROR(execution::CheckTensors(std::span(views).subspan(i * each, each), plan_.inputs));
    }
    std::vector<Lane> lanes;
    absl::Status status = TakeLanes(batch, stop, lanes);
    std::vector<Tensor> outputs;
    outputs.reserve(batch * plan_.outputs.size());
    for (size_t begin = 0; begin < batch && status.ok(); begin += lanes.size()) {
      const std::span<Lane> used = std::span(lanes).first(std::min(lanes.size(), batch - begin));
      status = RunLanes(used, std::span(views).subspan(begin * each, used.size() * each), stop, outputs);
    }
    for (Lane& lane : lanes) {
      lane.stream.reset();
      Return(std::move(lane.workspace));
    }
    RETURN_IF_ERROR(status);
    return outputs;
  }

  uint64_t memory_bytes() const override { return plan_.MemoryBytes(max_workspaces_); }

 private:
  static constexpr const char* kLaunching = "launching an open segment";
  static constexpr const char* kCapturing = "recording an open segment";

  CudaOpenModel(Device& device, OpenPlan plan, size_t max_workspaces)
      : device_(device), plan_(std::move(plan)), max_workspaces_(max_workspaces) {}

  absl::Status Prepare() {
    ASSIGN_OR_RETURN(const Device::LentStream stream, device_.Lend());
    ASSIGN_OR_RETURN(constants_, stream->Allocate(plan_.constant_bytes));
    for (const OpenPlan::Constant& constant : plan_.constants) {
      RETURN_IF_ERROR(stream->Upload(constant.tensor->bytes(), constants_.data() + constant.offset));
    }
    RETURN_IF_ERROR(stream->Synchronize());
    plan_.constants.clear();
    ASSIGN_OR_RETURN(std::unique_ptr<Workspace> workspace, NewWorkspace(*stream));
    const absl::MutexLock lock(&mu_);
    num_workspaces_ = 1;
    idle_.push_back(std::move(workspace));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Workspace>> NewWorkspace(Stream& stream) const {
    auto out = std::make_unique<Workspace>();
    ASSIGN_OR_RETURN(out->arena, stream.Allocate(plan_.arena_bytes));
    // It may have been another tenant's. Every kernel writes all that is read after it; should one not, zeros show.
    RETURN_IF_ERROR(device_.Check(cudaMemsetAsync(out->arena.data(), 0, plan_.arena_bytes, stream.get()), kLaunching));
    const Addresses at(plan_.buffers, out->arena.data(), constants_.data());
    out->kernels.reserve(plan_.num_kernels);  // growing would keep up to twice what is counted
    uint64_t operations = 0;
    for (const open_segment::OpenStep& step : plan_.steps) {
      step.bind(at, out->kernels);
      operations += std::min(step.operations, kLegOperations);
      if (operations >= kLegOperations) {
        out->legs.push_back(out->kernels.size());
        operations = 0;
      }
    }
    if (out->legs.empty() || out->legs.back() < out->kernels.size()) {
      out->legs.push_back(out->kernels.size());
    }
    return out;
  }

  // One lane, waited for, and as many more, up to `wanted`, as there is memory at hand: who waits holds none, so nobody
  // waits for ever.
  absl::Status TakeLanes(size_t wanted, const StopCheck& stop, std::vector<Lane>& lanes) {
    while (lanes.size() < wanted) {
      Lane lane;
      ASSIGN_OR_RETURN(lane.stream, device_.Lend());
      ASSIGN_OR_RETURN(lane.workspace, Take(*lane.stream));
      if (lane.workspace != nullptr) {
        lanes.push_back(std::move(lane));
        continue;
      }
      if (!lanes.empty()) {
        return absl::OkStatus();
      }
      lane.stream.reset();
      RETURN_IF_ERROR(stop ? stop() : absl::OkStatus());
      const absl::MutexLock lock(&mu_);
      mu_.AwaitWithTimeout(absl::Condition(this, &CudaOpenModel::HasIdle), kBetweenQuestions);
    }
    return absl::OkStatus();
  }

  bool HasIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !idle_.empty(); }

  // Null when all workspaces that there may be are in use, or when there is no memory for another one.
  absl::StatusOr<std::unique_ptr<Workspace>> Take(Stream& stream) {
    {
      const absl::MutexLock lock(&mu_);
      if (!idle_.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
      }
      if (num_workspaces_ == max_workspaces_) {
        return std::unique_ptr<Workspace>();
      }
      ++num_workspaces_;
    }
    absl::StatusOr<std::unique_ptr<Workspace>> workspace = NewWorkspace(stream);
    if (!workspace.ok()) {
      const absl::MutexLock lock(&mu_);
      --num_workspaces_;
      if (absl::IsResourceExhausted(workspace.status())) {
        return std::unique_ptr<Workspace>();  // there is at least the one of Prepare to wait for
      }
    }
    return workspace;
  }

  void Return(std::unique_ptr<Workspace> workspace) {
    const absl::MutexLock lock(&mu_);
    idle_.push_back(std::move(workspace));
  }

  // Adds the outputs of one request a lane to `outputs`.
  absl::Status RunLanes(std::span<Lane> lanes, std::span<const Tensor* const> inputs, const StopCheck& stop,
                        std::vector<Tensor>& outputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Lane& lane = lanes[i / plan_.inputs.size()];
      float* const to = AddressesOf(lane).Out(plan_.input_places[i % plan_.inputs.size()]);
      RETURN_IF_ERROR(lane.stream->Upload(inputs[i]->bytes(), reinterpret_cast<uint8_t*>(to)));
    }
    for (const Lane& lane : lanes) {
      if (lane.workspace->has_run && lane.workspace->graphs.empty()) {
        RETURN_IF_ERROR(Capture(lane));
      }
    }
    for (size_t leg = 0; leg < lanes.front().workspace->legs.size(); ++leg) {
      for (const Lane& lane : lanes) {
        RETURN_IF_ERROR(lane.stream->Pace(stop));
        RETURN_IF_ERROR(device_.Check(LaunchLeg(lane, leg), kLaunching));
      }
    }
    for (const Lane& lane : lanes) {
      for (size_t i = 0; i < plan_.outputs.size(); ++i) {
        Tensor output = Tensor::Uninitialized(plan_.outputs[i].type, plan_.outputs[i].shape);
        const float* const from = AddressesOf(lane).In(plan_.output_places[i]);
        RETURN_IF_ERROR(lane.stream->Download(reinterpret_cast<const uint8_t*>(from), output.mutable_bytes()));
        outputs.push_back(std::move(output));
      }
      lane.workspace->has_run = true;
    }
    return absl::OkStatus();
  }

  static cudaError_t LaunchLeg(const Lane& lane, size_t leg) {
    const Workspace& workspace = *lane.workspace;
    if (!workspace.graphs.empty()) {
      return cudaGraphLaunch(workspace.graphs[leg].get(), lane.stream->get());
    }
    const size_t begin = leg == 0 ? 0 : workspace.legs[leg - 1];
    for (size_t i = begin; i < workspace.legs[leg]; ++i) {
      open_segment::Launch(workspace.kernels[i], lane.stream->get());
    }
    return cudaGetLastError();
  }

  // Makes graphs of a workspace that has run once.
  absl::Status Capture(const Lane& lane) {
    cudaStream_t stream = lane.stream->get();
    std::vector<LegGraph> graphs;
    for (size_t leg = 0; leg < lane.workspace->legs.size(); ++leg) {
      RETURN_IF_ERROR(device_.Check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), kCapturing));
      const cudaError_t launched = LaunchLeg(lane, leg);
      cudaGraph_t recorded = nullptr;
      const cudaError_t ended = cudaStreamEndCapture(stream, &recorded);  // before errors are looked into
      const std::unique_ptr<CUgraph_st, DestroyGraph> graph(recorded);
      RETURN_IF_ERROR(device_.Check(launched, kLaunching));
      RETURN_IF_ERROR(device_.Check(ended, kCapturing));
      cudaGraphExec_t executable = nullptr;
      RETURN_IF_ERROR(device_.Check(cudaGraphInstantiateWithFlags(&executable, graph.get(), 0), kCapturing));
      graphs.emplace_back(executable);
    }
    lane.workspace->graphs = std::move(graphs);
    return absl::OkStatus();
  }

  Addresses AddressesOf(const Lane& lane) const {
    return {plan_.buffers, lane.workspace->arena.data(), constants_.data()};
  }

  Device& device_;
  OpenPlan plan_;
  const size_t max_workspaces_;
  DeviceMemory constants_;
  absl::Mutex mu_;
  size_t num_workspaces_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::unique_ptr<Workspace>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> CreateCudaOpenModel(Device& device, const graph::Graph& graph,
                                                           const CudaBackendOptions& options, int num_multiprocessors) {
  const auto memory = static_cast<size_t>(options.cpu.max_model_memory);
  open_segment::OpenPlanOptions plan_options;
  plan_options.max_arena_bytes = memory;
  plan_options.max_constant_bytes = memory;
  plan_options.max_memory_bytes = memory;
  plan_options.num_multiprocessors = num_multiprocessors > 0 ? num_multiprocessors : device.num_multiprocessors();
  ASSIGN_OR_RETURN(OpenPlan plan, open_segment::PlanOpenModel(graph, plan_options));
  return CudaOpenModel::Create(device, std::move(plan), memory);
}

}  // namespace shoji::accelerator
