// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/policy.h"

#include <algorithm>

namespace shoji::partition {

const char* NameOf(Placement placement) {
  switch (placement) {
    case Placement::kEnclave:
      return "enclave";
    case Placement::kBlinded:
      return "blinded";
    case Placement::kVerified:
      return "verified";
    case Placement::kOpen:
      return "open";
  }
  return "?";
}

const char* NameOf(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return "float32";
    case Precision::kInt8:
      return "int8";
  }
  return "?";
}

const char* NameOf(MaskSource source) {
  switch (source) {
    case MaskSource::kPads:
      return "pads";
    case MaskSource::kShares:
      return "shares";
  }
  return "?";
}

Precision PrecisionOf(const SegmentPolicy& segment) {
  const bool offloads = segment.place == Placement::kBlinded || segment.place == Placement::kVerified;
  return segment.precision.value_or(offloads ? Precision::kInt8 : Precision::kFloat32);
}

PartitionPolicy DefaultPolicy(const std::string& model) {
  PartitionPolicy policy;
  policy.model = model;
  policy.segments.emplace_back().place = Placement::kBlinded;
  return policy;
}

PartitionPolicy ForModel(PartitionPolicy policy, const std::string& model) {
  if (policy.model == kAnyModel) {
    policy.model = model;
  }
  return policy;
}

bool NeedsRanges(const PartitionPolicy& policy) {
  return std::any_of(policy.segments.begin(), policy.segments.end(),
                     [](const SegmentPolicy& segment) { return PrecisionOf(segment) == Precision::kInt8; });
}

}  // namespace shoji::partition
