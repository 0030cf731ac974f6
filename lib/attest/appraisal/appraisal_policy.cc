// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/appraisal/appraisal_policy.h"

#include <algorithm>

#include "lib/base/bytes.h"
#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

std::string Join(const std::vector<digest::Sha256Digest>& digests) {
  std::string out;
  for (const digest::Sha256Digest& digest : digests) {
    out += (out.empty() ? "" : " or ") + HexEncode(digest);
  }
  return out;
}

void CheckDigest(const std::string& name, const std::vector<digest::Sha256Digest>& allowed,
                 const std::optional<digest::Sha256Digest>& found, StepList& steps) {
  if (allowed.empty()) {
    return;
  }
  if (!found.has_value()) {
    steps.Check(name, false, "none: what awaits its key is not resolved yet", Join(allowed),
                "use a policy that leaves it open until the model is served, and one that pins it from then on");
    return;
  }
  steps.Check(name, std::find(allowed.begin(), allowed.end(), *found) != allowed.end(), HexEncode(*found),
              Join(allowed), "if this is what you mean to trust, add its digest to the policy");
}

void CheckOpened(const std::string& limit, const ModelStatement& model, StepList& steps) {
  if (limit.empty()) {
    return;
  }
  const std::string expected = "nothing opened before '" + limit + "'";
  if (model.opened_from.empty()) {
    steps.Check("opened segments", true, "nothing is opened", expected);
    return;
  }
  const bool unopened =
      std::find(model.unopened_before.begin(), model.unopened_before.end(), limit) != model.unopened_before.end();
  steps.Check("opened segments", unopened, "opened from '" + model.opened_from.front() + "'", expected,
              "ask for a partition policy that opens later, or let this policy name an earlier node");
}

void CheckVerification(Verification verification, const ModelStatement& model, StepList& steps) {
  if (verification == Verification::kRequired) {
    steps.Check("verification", model.all_verified,
                model.all_verified ? "every answer is checked" : "answers that are not checked",
                "every answer of an accelerator checked",
                "ask for a partition policy without open segments and without `verify: false`");
  }
}

}  // namespace

absl::Status CheckAppraisalPolicy(const AppraisalPolicy& policy) {
  if (!policy.sgx.has_value() && !policy.tdx.has_value() && !policy.sev_snp.has_value()) {
    return absl::InvalidArgumentError("the appraisal policy accepts no kind of evidence");
  }
  if (policy.sgx.has_value()) {
    RETURN_IF_ERROR(CheckSgxPolicy(*policy.sgx));
  }
  if (policy.tdx.has_value()) {
    RETURN_IF_ERROR(CheckTdxPolicy(*policy.tdx));
  }
  if (policy.sev_snp.has_value()) {
    RETURN_IF_ERROR(CheckSnpPolicy(*policy.sev_snp));
  }
  return CheckCollateralServices(policy.services);
}

ModelStatement StatementOf(const ModelManifest& manifest) {
  ModelStatement out = {.name = manifest.name,
                        .model_digest = manifest.model_digest,
                        .plan_digest = manifest.plan_digest,
                        .opened_from = {},
                        .unopened_before = manifest.unopened_before,
                        .all_verified = manifest.all_verified};
  for (const OpenedSegment& segment : manifest.opened) {
    out.opened_from.push_back(segment.first_node);
  }
  return out;
}

ModelStatement StatementOf(const AwaitedModel& model) {
  ModelStatement out = {.name = model.name,
                        .model_digest = model.sealed_digest,
                        .plan_digest = std::nullopt,
                        .opened_from = {},
                        .unopened_before = {},
                        .all_verified = !model.plan.empty()};
  if (model.plan.empty()) {
    out.opened_from.push_back("an unknown place");
  }
  for (const PlannedSegment& segment : model.plan) {
    // Where a segment starts is text for people. Only what opens nothing, or has nothing to check, is certain.
    if (segment.place != "enclave" && segment.place != "blinded") {
      out.opened_from.push_back(segment.start);
    }
    out.all_verified = out.all_verified && (segment.place == "enclave" || segment.place == "verified");
  }
  return out;
}

void AppraiseModel(const AppraisalPolicy& policy, const ModelStatement& model, StepList& steps) {
  if (policy.models.empty()) {
    return;
  }
  const auto found = std::find_if(policy.models.begin(), policy.models.end(),
                                  [&model](const ModelPolicy& candidate) { return candidate.name == model.name; });
  if (!steps.Check("model", found != policy.models.end(), "'" + model.name + "'", "a model that the policy lists",
                   "list the model in the policy")) {
    return;
  }
  CheckDigest("model digest", found->model_digests, model.model_digest, steps);
  CheckDigest("plan digest", found->plan_digests, model.plan_digest, steps);
  CheckOpened(found->nothing_opened_before, model, steps);
  CheckVerification(found->verification, model, steps);
}

}  // namespace shoji::attest
