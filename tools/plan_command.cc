// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/plan_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_import.h"
#include "lib/partition/plan.h"
#include "lib/policy_file/policy_file.h"
#include "tools/plan_report.h"

namespace shoji::tools {
namespace {

constexpr size_t kMaxModelBytes = size_t{1} << 31;

struct PlanOptions {
  std::string policy;
  std::string model;
  std::string output = "text";
};

// The deployment is not known here, so the accelerators that the policy names stand for it; one without a name where
// the policy leaves the choice open.
std::vector<partition::AcceleratorIdentity> AcceleratorsOf(const partition::PartitionPolicy& policy) {
  std::set<std::string> names;
  for (const partition::SegmentPolicy& segment : policy.segments) {
    names.insert(segment.accelerators.begin(), segment.accelerators.end());
  }
  std::vector<partition::AcceleratorIdentity> accelerators;
  accelerators.reserve(names.size());
  for (const std::string& name : names) {
    accelerators.push_back({name, "", {}});
  }
  if (accelerators.empty()) {
    accelerators.emplace_back();
  }
  return accelerators;
}

absl::Status InFile(const absl::Status& status, const std::string& path) {
  return {status.code(), path + ": " + std::string(status.message())};
}

absl::StatusOr<std::string> MakePlan(const PlanOptions& options) {
  ASSIGN_OR_RETURN(const partition::PartitionPolicy policy, policy_file::LoadPolicy(options.policy));
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(options.model, kMaxModelBytes));
  const absl::StatusOr<graph::Graph> graph = graph::ImportOnnx(file);
  if (!graph.ok()) {
    return InFile(graph.status(), options.model);
  }
  const absl::StatusOr<partition::ResolvedPlan> plan = partition::Resolve(policy, *graph, AcceleratorsOf(policy));
  if (!plan.ok()) {
    return InFile(plan.status(), options.policy);
  }
  return options.output == "json" ? PlanAsJson(*plan, *graph) : PlanAsText(*plan, *graph);
}

int RunPlan(const PlanOptions& options) {
  const absl::StatusOr<std::string> report = MakePlan(options);
  if (!report.ok()) {
    std::fprintf(stderr, "shoji-model: %s\n", std::string(report.status().message()).c_str());
    return 1;
  }
  std::fputs(report->c_str(), stdout);
  return 0;
}

}  // namespace

void AddPlanCommand(CLI::App& app, int& exit_code) {
  // Shared with the callback, which lives as long as `app`.
  const auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand("plan", "Show what a policy makes of a model: what runs where, who sees what");
  command->add_option("--policy", options->policy, "partition policy (YAML)")->required()->type_name("FILE");
  command->add_option("--model", options->model, "the model the policy is for (ONNX)")->required()->type_name("FILE");
  command->add_option("--output", options->output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([options, &exit_code] { exit_code = RunPlan(*options); });
}

}  // namespace shoji::tools
