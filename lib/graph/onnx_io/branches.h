// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// If, which exporters of scripted models leave behind where they could not tell which branch is taken. Import can,
// where shapes or constants alone decide: the nodes of that branch then take the place of the If, and what the other
// one holds does not matter.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/onnx_io/builder.h"

namespace onnx {
class GraphProto;
class NodeProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

bool IsIf(const ::onnx::NodeProto& node);

// What CheckStructure wants of an If: its two branches and nothing else, with at most `max_nodes` nodes together, those
// of branches within counted, and no external or sparse tensors. The nodes themselves are not looked at before one is
// taken.
absl::Status CheckBranches(const ::onnx::NodeProto& node, size_t max_nodes);

// The nodes of `graph`, each at the place in memory that it has had.
std::vector<std::unique_ptr<::onnx::NodeProto>> ExtractNodes(::onnx::GraphProto& graph);

// Where names lead inside a branch: what it makes itself has another name in the graph that it is placed in; all others
// are names outside of it. Thread-compatible.
class BranchNames {
 public:
  // `outer`, which outlives this: of the branch that this one is in; null: it is in the graph itself.
  explicit BranchNames(const BranchNames* outer) : outer_(outer) {}

  // False when this branch makes `name` already.
  bool Define(const std::string& name, const std::string& placed) { return made_.emplace(name, placed).second; }
  const std::string& Find(const std::string& name) const;

 private:
  const BranchNames* outer_;
  std::unordered_map<std::string, std::string> made_;
};

// Takes each node that stands for an If; `names` are those where it came from.
using PlaceNode = std::function<absl::Status(std::unique_ptr<::onnx::NodeProto> node, const BranchNames* names)>;

// Hands the nodes of the branch that `node`, an If that CheckBranches accepted, takes to `place`, in order, with names
// that are new to `builder`: node `n` is "<name of the If>/n", as are values, and those that the branch gives back have
// the names of the If's outputs. Initializers become Constant nodes. `names` are those where the If stands; null: the
// graph's. Each node is handed over before the names that the next one reads are looked up. UNIMPLEMENTED: the
// condition is no constant; INVALID_ARGUMENT: a branch that contradicts itself.
absl::Status PlaceBranch(::onnx::NodeProto& node, const BranchNames* names, GraphBuilder& builder,
                         const PlaceNode& place);

}  // namespace shoji::graph::onnx_io
