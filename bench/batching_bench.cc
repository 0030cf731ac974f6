// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a request takes alone and in batches: of the enclave's core and its accelerator together, in one thread of one
// process, without sessions and transport. CPU time, so that other load on the machine does not count (but for what it
// takes of shared caches and memory). The sizes take turns; of all rounds the fastest is reported. Pads are made by
// another thread and are not in it.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "enclave_worker/core/model.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_import.h"
#include "lib/policy_file/policy_file.h"
#include "lib/quantization/calibrate.h"
#include "tests/support/in_process_accelerator.h"

namespace shoji::bench {
namespace {

constexpr size_t kMaxModelBytes = size_t{1} << 31;

struct Placement {
  const char* name;
  const char* policy;
};
constexpr Placement kPlacements[] = {
    {"enclave float32", "segments: [{from: input, place: enclave}]\n"},
    {"enclave int8", "segments: [{from: input, place: enclave, precision: int8}]\n"},
    {"slalom",
     "segments: [{from: input, place: blinded}]\n"
     "masking: {pool: {requests: 16, memory: 4GiB, on_empty: wait}}\n"},
    {"open", "segments: [{from: input, place: open}]\n"},
};

double CpuMillis() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Tensor RandomInput(const graph::Graph& graph, std::mt19937& random) {
  Tensor input(DataType::kFloat32, graph.values[graph.inputs[0]].shape);
  std::normal_distribution<float> values(0, 1);
  std::generate(input.mutable_values<float>().begin(), input.mutable_values<float>().end(),
                [&] { return values(random); });
  return input;
}

// What every model of the process shares.
struct Deployment {
  Deployment() {
    std::vector<enclave::AcceleratorRegistry::Member> members(1);
    members[0].identity = {.name = "accelerator", .operator_name = "operator", .public_key = Bytes{1}};
    members[0].accelerator = std::make_unique<testing::InProcessAccelerator>("accelerator");
    registry = std::make_unique<enclave::AcceleratorRegistry>(std::move(members));
  }
  enclave::ModelContext Context() {
    return {.accelerators = *registry,
            .readiness = readiness,
            .slots = slots,
            .clock = clock,
            .quarantine = quarantine,
            .filler = filler,
            .events = nullptr};
  }

  RealClock clock;
  enclave::ReadinessSignal readiness;
  enclave::ComputeSlots slots{1, clock};
  enclave::Quarantine quarantine{clock, {}};
  enclave::PadFiller filler{1};
  std::unique_ptr<enclave::AcceleratorRegistry> registry;
};

// CPU time of `count` requests together, each.
absl::StatusOr<double> MillisEach(const enclave::Model& model, const Tensor& input, size_t count, const Clock& clock) {
  std::vector<enclave::SecretTensors> live(count);
  std::vector<enclave::RunContext> runs(count, enclave::RunContext(clock.SteadyNow() + std::chrono::hours(1)));
  std::vector<enclave::BatchItem> items;
  for (size_t i = 0; i < count; ++i) {
    live[i].Put(model.manifest().inputs[0].name, input.Clone());
    items.push_back({live[i], runs[i], absl::OkStatus()});
  }
  while (model.counts().uses_pads && model.counts().pads_available < count) {
    std::this_thread::yield();
  }
  const double before = CpuMillis();
  model.RunBatch(items);
  const double took = CpuMillis() - before;
  for (const enclave::BatchItem& item : items) {
    RETURN_IF_ERROR(item.status);
  }
  return took / static_cast<double>(count);
}

absl::Status Measure(const std::string& file, int rounds) {
  ASSIGN_OR_RETURN(const Bytes onnx, ReadFile(file, kMaxModelBytes));
  std::mt19937 random(1);
  quantization::ActivationRanges ranges;
  Tensor input;
  {
    ASSIGN_OR_RETURN(const graph::Graph graph, graph::ImportOnnx(onnx));
    input = RandomInput(graph, random);
    ASSIGN_OR_RETURN(auto calibrator,
                     quantization::Calibrator::Create(graph, quantization::CalibrationMethod::kMinMax));
    RETURN_IF_ERROR(calibrator->Observe({&input}));
    ASSIGN_OR_RETURN(ranges, calibrator->Finish());
  }
  for (const Placement& placement : kPlacements) {
    Deployment deployment;
    const enclave::ModelContext context = deployment.Context();
    enclave::ModelSource source;
    source.name = "m";
    ASSIGN_OR_RETURN(source.model.graph, graph::ImportOnnx(onnx));
    ASSIGN_OR_RETURN(source.policy, policy_file::ParsePolicy(std::string("model: m\n") + placement.policy, "policy"));
    source.ranges = ranges;
    ASSIGN_OR_RETURN(const std::unique_ptr<enclave::Model> model, enclave::Model::Create(std::move(source), context));
    double best[2] = {std::numeric_limits<double>::max(), std::numeric_limits<double>::max()};
    for (int round = 0; round < rounds; ++round) {
      for (const size_t size : {size_t{1}, size_t{8}}) {
        RETURN_IF_ERROR(MillisEach(*model, input, size, deployment.clock).status());  // warms the caches
        ASSIGN_OR_RETURN(const double each, MillisEach(*model, input, size, deployment.clock));
        best[size == 1 ? 0 : 1] = std::min(best[size == 1 ? 0 : 1], each);
      }
    }
    std::printf("%-40s %-16s %8.2f %8.2f %6.2f\n", file.substr(file.rfind('/') + 1).c_str(), placement.name, best[0],
                best[1], best[1] / best[0]);
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  std::vector<std::string> files;
  int rounds = 5;
  CLI::App app("CPU time of a request alone and of one in a batch of 8.");
  app.add_option("FILE", files, "ONNX models")->required();
  app.add_option("--rounds", rounds, "Rounds; the fastest counts");
  CLI11_PARSE(app, argc, argv);
  std::printf("%-40s %-16s %8s %8s %6s\n", "model", "placement", "1: ms", "8: ms", "ratio");
  for (const std::string& file : files) {
    if (const absl::Status status = shoji::bench::Measure(file, rounds); !status.ok()) {
      std::fprintf(stderr, "batching_bench: %s: %s\n", file.c_str(), std::string(status.message()).c_str());
      return 1;
    }
  }
  return 0;
}
