// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A partition policy as its author wrote it: which part of one model runs where. lib/policy_file reads it from YAML,
// plan.h resolves it against a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shoji::partition {

enum class Placement : uint8_t {
  kEnclave,   // in the enclave
  kBlinded,   // linear layers on an accelerator, on masked data
  kVerified,  // linear layers on an accelerator in the clear, checked
  kOpen,      // the whole segment on an accelerator, in the clear
};
// Whether an accelerator works on what is not masked there.
constexpr bool Reveals(Placement placement) {
  return placement == Placement::kVerified || placement == Placement::kOpen;
}
enum class Precision : uint8_t { kFloat32, kInt8 };

// "enclave", "blinded", "verified", "open"; "float32", "int8".
const char* NameOf(Placement placement);
const char* NameOf(Precision precision);

// A node by its place in the graph instead of its name, so that one policy serves the files of several exporters.
struct NodeOrdinal {
  std::string op_type;  // as in the file ("MaxPool"); empty: any node with weights (layers.h)
  int64_t number = 1;   // from 1; or from the end, the last being -1
  bool operator==(const NodeOrdinal&) const = default;
};

// Where a segment starts: at one place in the order of the graph's nodes, or at a set of nodes that separates the
// graph, in front of all that depends on one of them, or (kAfter) behind them and all that they depend on.
struct StartPoint {
  enum class Kind : uint8_t { kInput, kAt, kAfter };
  Kind kind = Kind::kInput;
  // For kAt and kAfter, exactly one of these:
  std::string node = {};                    // a name
  std::optional<NodeOrdinal> ordinal = {};  // an ordinal
  std::vector<std::string> set = {};        // the names of a set
};

struct SegmentPolicy {
  StartPoint start;
  Placement place = Placement::kEnclave;
  std::optional<bool> verify;             // only for blinded
  std::vector<std::string> accelerators;  // names from the deployment; empty: any
  bool confidential = false;
  // Empty: float32, and int8 where linear layers are masked or checked, which is possible on integers only.
  std::optional<Precision> precision;
};
// What the segment really computes in.
Precision PrecisionOf(const SegmentPolicy& segment);

enum class MaskSource : uint8_t { kPads, kShares };
enum class OnPoolEmpty : uint8_t { kEnclave, kWait, kReject };

// "pads", "shares".
const char* NameOf(MaskSource source);

struct MaskingPolicy {
  MaskSource source = MaskSource::kPads;
  uint32_t pool_requests = 64;
  uint64_t pool_bytes = uint64_t{4} << 30;
  OnPoolEmpty on_empty = OnPoolEmpty::kEnclave;
};

// In place of a model's name: a policy for whichever model it is given to.
inline constexpr char kAnyModel[] = "*";

struct PartitionPolicy {
  std::string model;                    // or kAnyModel, until ForModel has put a name there
  std::vector<SegmentPolicy> segments;  // in graph order
  MaskingPolicy masking;
};

// The policy of a model that has none of its own: every linear layer on the accelerators, masked and checked.
PartitionPolicy DefaultPolicy(const std::string& model);
// `policy` with kAnyModel replaced by `model`; a policy that names a model stays as it is.
PartitionPolicy ForModel(PartitionPolicy policy, const std::string& model);
// Whether a segment computes in int8, which takes calibrated ranges.
bool NeedsRanges(const PartitionPolicy& policy);

}  // namespace shoji::partition
