// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/plan_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/graph/model_file.h"
#include "lib/partition/plan.h"
#include "lib/policy_file/policy_file.h"
#include "lib/ranges_file/model_ranges.h"
#include "lib/ranges_file/ranges_file.h"
#include "tools/clear_model.h"
#include "tools/plan_layers.h"
#include "tools/plan_report.h"
#include "tools/print_report.h"
#include "tools/stand_ins.h"

namespace shoji::tools {
namespace {

struct PlanOptions {
  std::string policy;
  std::string model;
  std::string input_shape;  // empty: what the file fixes
  std::string ranges;       // empty: beside the model, where there is one
  std::string name;         // empty: the model's file without its extension
  std::string output = "text";
};

absl::Status InFile(const absl::Status& status, const std::string& path) {
  return {status.code(), path + ": " + std::string(status.message())};
}

// Fills in the layers of `report.plan`, or why they are missing.
absl::Status AddLayers(const PlanOptions& options, const digest::Sha256Digest& model, const graph::Graph& graph,
                       PlanReport& report) {
  const std::vector<partition::Region> regions = partition::RegionsOf(report.plan);
  const bool quantized =
      std::any_of(regions.begin(), regions.end(), [](const auto& region) { return region.quantized; });
  if (!quantized) {
    report.layers.emplace();
    return absl::OkStatus();
  }
  const std::string path = options.ranges.empty() ? ranges_file::RangesPathOf(options.model) : options.ranges;
  const absl::StatusOr<quantization::ActivationRanges> ranges = ranges_file::LoadRangesOf(model, path);
  if (options.ranges.empty() && absl::IsNotFound(ranges.status())) {
    report.layers_missing = "int8 needs calibrated ranges, and " + ranges_file::HowToMakeRanges(options.model);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(ranges.status());
  absl::StatusOr<std::vector<LayerPlan>> layers = PlanLayers(report.plan, graph, *ranges);
  if (!layers.ok()) {
    return InFile(layers.status(), options.model);
  }
  absl::StatusOr<std::vector<PoolPlan>> pools = PoolsOf(report.plan, *layers);
  if (!pools.ok()) {
    return InFile(pools.status(), options.policy);
  }
  report.layers = *std::move(layers);
  report.pools = *std::move(pools);
  return absl::OkStatus();
}

absl::StatusOr<std::string> MakePlan(const PlanOptions& options) {
  ASSIGN_OR_RETURN(partition::PartitionPolicy file_policy, policy_file::LoadPolicy(options.policy));
  const partition::PartitionPolicy policy =
      partition::ForModel(std::move(file_policy),
                          options.name.empty() ? std::filesystem::path(options.model).stem().string() : options.name);
  ASSIGN_OR_RETURN(graph::ImportedModel model, LoadClearModel(options.model, options.input_shape));
  const absl::StatusOr<graph::Graph> graph = partition::ArrangeFor(policy, std::move(model.graph));
  if (!graph.ok()) {
    return InFile(graph.status(), options.policy);
  }
  absl::StatusOr<partition::ResolvedPlan> plan = partition::Resolve(policy, *graph, StandInsFor(policy));
  if (!plan.ok()) {
    return InFile(plan.status(), options.policy);
  }
  PlanReport report;
  report.model_digest = model.digest;
  report.plan = *std::move(plan);
  ForgetStandIns(report.plan);
  RETURN_IF_ERROR(AddLayers(options, model.digest, *graph, report));
  return options.output == "json" ? ReportAsJson(report, *graph) : ReportAsText(report, *graph);
}

}  // namespace

void AddPlanCommand(CLI::App& app, int& exit_code) {
  // Shared with the callback, which lives as long as `app`.
  const auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand("plan", "Show what a policy makes of a model: what runs where, who sees what");
  command->add_option("--policy", options->policy, "partition policy (YAML)")->required()->type_name("FILE");
  command->add_option("--model", options->model, "the model the policy is for (ONNX)")->required()->type_name("FILE");
  AddInputShapeOption(*command, options->input_shape);
  command
      ->add_option("--ranges", options->ranges,
                   "calibrated ranges of the model, for int8 (YAML); default: the file beside the model")
      ->type_name("FILE");
  command
      ->add_option("--name", options->name,
                   "the name under which it is served, for a policy for any model; default: its file's")
      ->type_name("NAME");
  command->add_option("--output", options->output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([options, &exit_code] { exit_code = PrintReport(MakePlan(*options)); });
}

}  // namespace shoji::tools
