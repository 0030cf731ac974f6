// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/stand_ins.h"

#include <set>
#include <string>

#include "lib/base/bytes.h"
#include "lib/digest/sha2.h"

namespace shoji::tools {
namespace {

constexpr char kOfAnotherOperator[] = "of another operator";

partition::AcceleratorIdentity StandIn(const std::string& name) {
  return {.name = name,
          .operator_name = "the operator of " + name,
          .public_key = ToBytes("the key of " + name),
          .address = name,
          .link = partition::LinkSecurity::kMutualTls};
}

}  // namespace

std::vector<partition::AcceleratorIdentity> StandInsFor(const partition::PartitionPolicy& policy) {
  std::set<std::string> names;
  for (const partition::SegmentPolicy& segment : policy.segments) {
    names.insert(segment.accelerators.begin(), segment.accelerators.end());
  }
  if (names.empty()) {
    names.insert("");
  }
  if (names.size() == 1 && policy.masking.source == partition::MaskSource::kShares) {
    names.insert(kOfAnotherOperator);
  }
  std::vector<partition::AcceleratorIdentity> accelerators;
  accelerators.reserve(names.size());
  for (const std::string& name : names) {
    accelerators.push_back(StandIn(name));
  }
  return accelerators;
}

void ForgetStandIns(partition::ResolvedPlan& plan) {
  for (partition::Segment& segment : plan.segments) {
    std::erase_if(segment.accelerators, [](const auto& accelerator) { return accelerator.name == kOfAnotherOperator; });
    for (partition::AcceleratorIdentity& accelerator : segment.accelerators) {
      accelerator = {.name = accelerator.name};
    }
  }
  plan.digest = digest::Sha256(partition::CanonicalEncoding(plan));
}

}  // namespace shoji::tools
