// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A partition policy resolved against the graph it is for: what an enclave really does, and the digest of that which
// its manifest states.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/graph/graph.h"
#include "lib/partition/policy.h"

namespace shoji::partition {

// How the link to an accelerator is protected, as far as it decides who may hold a share.
enum class LinkSecurity : uint8_t {
  kOther,      // a Unix socket, plaintext, or TLS in which only one side proves who it is
  kMutualTls,  // over TCP; both sides prove who they are, and the enclave's end is inside it
};

// An accelerator of the deployment, as far as a plan is concerned.
struct AcceleratorIdentity {
  std::string name = {};
  std::string operator_name = {};
  Bytes public_key = {};  // DER SubjectPublicKeyInfo to which its link is pinned; empty: not pinned
  // Not part of what a plan promises: only to tell whether two operators are one (shares.h).
  std::string address = {};
  LinkSecurity link = LinkSecurity::kOther;
};

struct CrossingTensor {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape;
  size_t size_bytes() const { return shape.num_elements() * SizeOf(type); }
};

struct Segment {
  Placement place = Placement::kEnclave;
  Precision precision = Precision::kFloat32;
  bool verify = false;
  bool confidential = false;
  // int8 and confidential, and compiled without its int8 neighbours (confidential.h); not part of what a plan promises.
  bool apart = false;
  size_t first_node = 0;  // in the resolved graph's nodes
  size_t end_node = 0;
  std::string first_node_name;
  std::string last_node_name;
  std::vector<AcceleratorIdentity> accelerators;  // those that may serve it; empty for kEnclave
  std::vector<CrossingTensor> inputs;             // live tensors that enter, in the order of graph::Cut's inputs
  std::vector<CrossingTensor> outputs;            // and that leave
  bool holds_result = false;                      // an output of the model is among `outputs` or `inputs`
};

struct ResolvedPlan {
  std::string model;
  std::vector<Segment> segments;
  MaskingPolicy masking;
  bool result_opened = false;  // an open or verified segment makes an output of the model: the accelerator sees it
  // SHA-256 over CanonicalEncoding(plan).
  std::array<uint8_t, 32> digest = {};
};

// `graph` with the nodes of each segment of `policy` together, in the order of the segments: what Resolve and all that
// uses its plan take. Only a policy with a segment that starts at a set of nodes moves any. Errors as Resolve.
absl::StatusOr<graph::Graph> ArrangeFor(const PartitionPolicy& policy, graph::Graph graph);

// Resolves `policy` for `graph`, arranged for it, with the deployment's accelerators. Errors explain themselves to the
// operator, and call segments by their number from 1: NOT_FOUND (a node or accelerator that does not exist; suggests
// near names), INVALID_ARGUMENT (segments out of order or empty, first segment not at the input, `verify` where it has
// no meaning or is forbidden, float32 where it is, confidential outside the enclave or of weights that leave it,
// accelerators for the enclave, or none for a segment that needs one; one operator that could see both shares:
// shares.h), UNIMPLEMENTED (int8 in an open segment: not available yet), reported only for a policy that is otherwise in
// order.
absl::StatusOr<ResolvedPlan> Resolve(const PartitionPolicy& policy, const graph::Graph& graph,
                                     const std::vector<AcceleratorIdentity>& accelerators);

// A run of segments that the enclave compiles as one.
struct Region {
  size_t first_segment = 0;  // in ResolvedPlan::segments
  size_t end_segment = 0;
  bool quantized = false;
  bool operator==(const Region&) const = default;
};

// The segments of `plan` in order, each in one region. Neighbours that all compute in int8 are one region, so that
// where a policy cuts between them changes no bit: what lies between two layers is quantized once, for the whole
// region. Every float32 segment is a region of its own, and so is one that is compiled apart.
std::vector<Region> RegionsOf(const ResolvedPlan& plan);

// What each pool of pads may take: every region with a blinded segment has one, and the policy's budget is for all of
// them together.
uint64_t PoolBytesEach(const ResolvedPlan& plan);

// All that a plan promises and nothing else: not addresses, accelerator names or pool sizes. In one unambiguous
// encoding:
//
//   plan     = "shoji plan v1" text(model) u32(number of segments) segment* text(masking source) u8(result_opened)
//   segment  = text(place) text(precision) u8(verify) u8(confidential) text(first node) text(last node)
//              u32(number of operators) operator* tensors(inputs) tensors(outputs)
//   operator = text(operator name) bytes(public key)          each pair once, in byte order
//   tensors  = u32(number) { text(name) text(data type) u32(rank) u64(extent)* }*
//   text, bytes = u32(length) followed by that many bytes; u32, u64 are big-endian; u8 here is 0 or 1
//
// Places, precisions and the masking source are spelled as in the policy file.
Bytes CanonicalEncoding(const ResolvedPlan& plan);

}  // namespace shoji::partition
