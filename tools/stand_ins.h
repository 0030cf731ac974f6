// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Accelerators that stand for those of a deployment, where a policy is resolved without one.
#pragma once

#include <vector>

#include "lib/partition/plan.h"
#include "lib/partition/policy.h"

namespace shoji::tools {

// The accelerators that the policy names, each of an operator of its own; where it names none, one without a name; with
// `shares` a second one.
std::vector<partition::AcceleratorIdentity> StandInsFor(const partition::PartitionPolicy& policy);

// Takes what the stand-ins were made up with out of `plan`, and computes its digest anew.
void ForgetStandIns(partition::ResolvedPlan& plan);

}  // namespace shoji::tools
