// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a model that came sealed brings along: its owner's terms, and the count of its queries.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/query_budget.h"
#include "lib/attest/manifest.h"
#include "lib/digest/sha2.h"
#include "lib/graph/graph.h"
#include "lib/sealed_model/header.h"
#include "lib/sealed_model/keys.h"

namespace shoji::enclave {

class Model;

// Of a sealed file that its key has opened, so that the terms are authentic.
struct SealedSource {
  digest::Sha256Digest sealed_digest = {};
  sealed_model::Terms terms;
  // The file's own, shared by every model that was ever made of it.
  std::shared_ptr<QueryBudget> budget;
};

// A sealed file without its key.
struct AwaitedModel {
  attest::AwaitedModel manifest;
  sealed_model::HeaderTag header_tag = {};  // by which the right key is told
  // Makes the model, once the key is known to be the file's. The errors are its operator's, who is told by whoever made
  // this.
  std::function<absl::StatusOr<std::unique_ptr<const Model>>(const sealed_model::FileKey& key)> open;
};

// The names of the nodes of `graph`, as imported, that `confidential` means. NOT_FOUND, with near names, for one that
// does not exist; INVALID_ARGUMENT when they are none at all.
absl::StatusOr<std::vector<std::string>> ConfidentialNames(const sealed_model::ConfidentialNodes& confidential,
                                                           const graph::Graph& graph);

}  // namespace shoji::enclave
