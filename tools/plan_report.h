// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/digest/sha2.h"
#include "lib/graph/graph.h"
#include "lib/partition/plan.h"
#include "tools/plan_layers.h"

namespace shoji::tools {

struct PlanReport {
  digest::Sha256Digest model_digest = {};
  partition::ResolvedPlan plan;
  // Of its int8 segments; nullopt: not known, because `layers_missing`.
  std::optional<std::vector<LayerPlan>> layers;
  std::string layers_missing;
  std::vector<PoolPlan> pools;
};

// `report`, whose plan was resolved for `graph`, for people. Ends in a line break.
std::string ReportAsText(const PlanReport& report, const graph::Graph& graph);
// The same for programs: one JSON object.
std::string ReportAsJson(const PlanReport& report, const graph::Graph& graph);

}  // namespace shoji::tools
