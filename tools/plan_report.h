// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "lib/graph/graph.h"
#include "lib/partition/plan.h"

namespace shoji::tools {

// `plan`, resolved for `graph`, for people. Ends in a line break.
std::string PlanAsText(const partition::ResolvedPlan& plan, const graph::Graph& graph);
// The same for programs: one JSON object.
std::string PlanAsJson(const partition::ResolvedPlan& plan, const graph::Graph& graph);

}  // namespace shoji::tools
