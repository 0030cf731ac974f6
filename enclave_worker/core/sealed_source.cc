// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/sealed_source.h"

#include "enclave_worker/core/model.h"
#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"

namespace shoji::enclave {
namespace {

using Extent = sealed_model::ConfidentialNodes::Extent;

absl::StatusOr<size_t> FirstOf(const sealed_model::ConfidentialNodes& confidential, const graph::Graph& graph) {
  switch (confidential.extent) {
    case Extent::kFrom:
      return graph::FindNode(graph, confidential.nodes.front());
    case Extent::kAfter:
      return graph::FindAfter(graph, confidential.nodes.front());
    case Extent::kAll:
    case Extent::kListed:
      break;
  }
  return size_t{0};
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ConfidentialNames(const sealed_model::ConfidentialNodes& confidential,
                                                           const graph::Graph& graph) {
  if (confidential.extent == Extent::kListed) {
    return confidential.nodes;
  }
  ASSIGN_OR_RETURN(const size_t first, FirstOf(confidential, graph));
  std::vector<std::string> names;
  for (size_t i = first; i < graph.nodes.size(); ++i) {
    names.push_back(graph.nodes[i].name);
  }
  if (names.empty()) {
    return absl::InvalidArgumentError("its owner keeps confidential what is " + sealed_model::Describe(confidential) +
                                      ", which is nothing");
  }
  return names;
}

}  // namespace shoji::enclave
