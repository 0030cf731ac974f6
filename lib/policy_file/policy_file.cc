// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/policy_file/policy_file.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/config/node.h"

namespace shoji::policy_file {
namespace {

using config::Document;
using config::Fields;
using config::Node;
using partition::MaskingPolicy;
using partition::MaskSource;
using partition::NodeOrdinal;
using partition::OnPoolEmpty;
using partition::PartitionPolicy;
using partition::Placement;
using partition::Precision;
using partition::SegmentPolicy;
using partition::StartPoint;

constexpr size_t kMaxSegments = 1000;
constexpr size_t kMaxStartNodes = 64;
constexpr int64_t kMaxOrdinal = 1'000'000;
constexpr uint64_t kMaxPoolRequests = 1'000'000;
constexpr uint64_t kMaxPoolBytes = uint64_t{1} << 44;

constexpr std::pair<std::string_view, Placement> kPlacements[] = {
    {"enclave", Placement::kEnclave},
    {"blinded", Placement::kBlinded},
    {"verified", Placement::kVerified},
    {"open", Placement::kOpen},
};
constexpr std::pair<std::string_view, Precision> kPrecisions[] = {
    {"float32", Precision::kFloat32},
    {"int8", Precision::kInt8},
};
constexpr std::pair<std::string_view, MaskSource> kMaskSources[] = {
    {"pads", MaskSource::kPads},
    {"shares", MaskSource::kShares},
};
constexpr std::pair<std::string_view, OnPoolEmpty> kOnPoolEmpty[] = {
    {"enclave", OnPoolEmpty::kEnclave},
    {"wait", OnPoolEmpty::kWait},
    {"reject", OnPoolEmpty::kReject},
};

// `{op: MaxPool, nth: 2}` or `{layer: -1}`.
absl::StatusOr<NodeOrdinal> ReadOrdinal(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"op", "nth", "layer"}));
  NodeOrdinal ordinal;
  const char* number = "layer";
  if (fields.Has("layer") ? fields.Has("op") || fields.Has("nth") : !fields.Has("op") || !fields.Has("nth")) {
    return node.Error("a node is counted with `op` and `nth`, or with `layer` alone");
  }
  if (fields.Has("op")) {
    ASSIGN_OR_RETURN(ordinal.op_type, fields.String("op"));
    number = "nth";
  }
  ASSIGN_OR_RETURN(ordinal.number, fields.Int64(number, -kMaxOrdinal, kMaxOrdinal));
  if (ordinal.number == 0) {
    return fields.Find(number)->Error("the first is 1, the last is -1");
  }
  return ordinal;
}

absl::StatusOr<StartPoint> ReadStart(const Fields& fields) {
  const std::optional<Node> from = fields.Find("from");
  const std::optional<Node> after = fields.Find("after");
  if (from.has_value() == after.has_value()) {
    return fields.node().Error("a segment starts with exactly one of `from` and `after`");
  }
  const Node& node = from.has_value() ? *from : *after;
  StartPoint start;
  start.kind = from.has_value() ? StartPoint::Kind::kAt : StartPoint::Kind::kAfter;
  if (node.IsMap()) {
    ASSIGN_OR_RETURN(start.ordinal, ReadOrdinal(node));
    return start;
  }
  if (node.IsList()) {
    ASSIGN_OR_RETURN(start.set, node.StringList());
    if (start.set.empty() || start.set.size() > kMaxStartNodes) {
      return node.Error("needs from 1 to " + std::to_string(kMaxStartNodes) + " nodes");
    }
    return start;
  }
  ASSIGN_OR_RETURN(start.node, node.String());
  return from.has_value() && start.node == "input" ? StartPoint() : start;
}

absl::StatusOr<SegmentPolicy> ReadSegment(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields,
                   node.Map({"from", "after", "place", "verify", "accelerators", "confidential", "precision"}));
  SegmentPolicy segment;
  ASSIGN_OR_RETURN(segment.start, ReadStart(fields));
  ASSIGN_OR_RETURN(segment.place, fields.Enum<Placement>("place", kPlacements));
  if (fields.Has("verify")) {
    ASSIGN_OR_RETURN(segment.verify, fields.Bool("verify"));
  }
  if (const std::optional<Node> accelerators = fields.Find("accelerators")) {
    ASSIGN_OR_RETURN(segment.accelerators, accelerators->StringList());
    if (segment.accelerators.empty()) {
      return accelerators->Error("an empty list; leave the key out to allow any accelerator");
    }
  }
  ASSIGN_OR_RETURN(segment.confidential, fields.BoolOr("confidential", false));
  if (fields.Has("precision")) {
    ASSIGN_OR_RETURN(segment.precision, fields.Enum<Precision>("precision", kPrecisions));
  }
  return segment;
}

absl::StatusOr<MaskingPolicy> ReadMasking(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"source", "pool"}));
  MaskingPolicy masking;
  ASSIGN_OR_RETURN(masking.source, fields.EnumOr<MaskSource>("source", masking.source, kMaskSources));
  if (const std::optional<Node> pool_node = fields.Find("pool")) {
    ASSIGN_OR_RETURN(const Fields pool, pool_node->Map({"requests", "memory", "on_empty"}));
    ASSIGN_OR_RETURN(const uint64_t requests, pool.Uint64Or("requests", masking.pool_requests, 1, kMaxPoolRequests));
    masking.pool_requests = static_cast<uint32_t>(requests);
    ASSIGN_OR_RETURN(masking.pool_bytes, pool.ByteSizeOr("memory", masking.pool_bytes, 1, kMaxPoolBytes));
    ASSIGN_OR_RETURN(masking.on_empty, pool.EnumOr<OnPoolEmpty>("on_empty", masking.on_empty, kOnPoolEmpty));
  }
  return masking;
}

absl::StatusOr<PartitionPolicy> ReadPolicy(const Document& document) {
  ASSIGN_OR_RETURN(const Fields fields, document.root().Map({"model", "segments", "masking"}));
  PartitionPolicy policy;
  ASSIGN_OR_RETURN(policy.model, fields.String("model"));
  ASSIGN_OR_RETURN(const Node list, fields.Require("segments"));
  ASSIGN_OR_RETURN(const std::vector<Node> segments, list.List());
  if (segments.empty() || segments.size() > kMaxSegments) {
    return list.Error("needs from 1 to " + std::to_string(kMaxSegments) + " segments");
  }
  for (const Node& node : segments) {
    ASSIGN_OR_RETURN(SegmentPolicy segment, ReadSegment(node));
    policy.segments.push_back(std::move(segment));
  }
  if (const std::optional<Node> masking = fields.Find("masking")) {
    ASSIGN_OR_RETURN(policy.masking, ReadMasking(*masking));
  }
  return policy;
}

}  // namespace

absl::StatusOr<PartitionPolicy> LoadPolicy(const std::string& path) {
  ASSIGN_OR_RETURN(const Document document, Document::Load(path));
  return ReadPolicy(document);
}

absl::StatusOr<PartitionPolicy> ParsePolicy(std::string_view text, const std::string& name) {
  ASSIGN_OR_RETURN(const Document document, Document::Parse(text, name));
  return ReadPolicy(document);
}

}  // namespace shoji::policy_file
