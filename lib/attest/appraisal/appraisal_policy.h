// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a relying party accepts (RFC 9334: Appraisal Policy for Evidence), as types. lib/appraisal_file reads it from
// YAML.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/attest/appraisal/collateral_services.h"
#include "lib/attest/manifest.h"
#include "lib/attest/sev_snp/snp_verifier.h"
#include "lib/attest/sgx/sgx_verifier.h"
#include "lib/attest/step_list.h"
#include "lib/attest/tdx/tdx_verifier.h"
#include "lib/digest/sha2.h"

namespace shoji::attest {

// Whether all that accelerators answer must be checked before it is used.
enum class Verification : uint8_t { kOptional, kRequired };

// What of a model is accepted. Empty lists and names accept anything.
struct ModelPolicy {
  std::string name;
  std::vector<digest::Sha256Digest> model_digests;
  std::vector<digest::Sha256Digest> plan_digests;
  std::string nothing_opened_before;  // a node of the graph, by name
  Verification verification = Verification::kOptional;
};

// A file or folder of collateral, and what named it, for errors: "policy.yaml:7: key 'collateral.intel[0]'", or
// nothing.
struct CollateralPath {
  std::string path;
  std::string named_by = {};
};

struct AppraisalPolicy {
  // Evidence of a kind that is absent is refused. Simulated evidence is not a matter of this policy.
  std::optional<SgxPolicy> sgx;
  std::optional<TdxPolicy> tdx;
  std::optional<SnpPolicy> sev_snp;
  std::vector<CollateralPath> intel_collateral;
  std::vector<CollateralPath> amd_collateral;
  CollateralServices services;
  // Empty: any model. Else a model that is not listed is refused.
  std::vector<ModelPolicy> models;
};

// INVALID_ARGUMENT when no kind is accepted, the policy of one does not pin what it must, or a service has no usable
// address.
absl::Status CheckAppraisalPolicy(const AppraisalPolicy& policy);

// What an enclave states about one model, as far as a ModelPolicy judges it.
struct ModelStatement {
  std::string name;
  digest::Sha256Digest model_digest = {};
  std::optional<digest::Sha256Digest> plan_digest;  // absent: not resolved yet
  // First nodes of the segments that accelerators see in the clear, in the graph's order.
  std::vector<std::string> opened_from;
  // Nodes before which nothing is opened (ModelManifest).
  std::vector<std::string> unopened_before;
  // Whether every answer of an accelerator is checked before it is used.
  bool all_verified = false;
};

ModelStatement StatementOf(const ModelManifest& manifest);
// Of a model that awaits its key: its sealed file, and what its plan will open and check as far as that is certain
// before the plan is resolved.
ModelStatement StatementOf(const AwaitedModel& model);

// Steps "model", "model digest", "plan digest", "opened segments" and "verification", as far as the policy asks for
// them. What is asked for and not stated is refused.
void AppraiseModel(const AppraisalPolicy& policy, const ModelStatement& model, StepList& steps);

}  // namespace shoji::attest
