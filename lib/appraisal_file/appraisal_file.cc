// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/appraisal_file/appraisal_file.h"

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "lib/appraisal_file/reference_fields.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"

namespace shoji::appraisal_file {
namespace {

using attest::AppraisalPolicy;
using attest::ModelPolicy;
using attest::Verification;
using config::Document;
using config::Fields;
using config::Node;

constexpr std::pair<std::string_view, Verification> kVerifications[] = {{"optional", Verification::kOptional},
                                                                        {"required", Verification::kRequired}};

absl::Status ReadDigests(const Fields& fields, const char* key, std::vector<digest::Sha256Digest>& out) {
  const std::optional<Node> list = fields.Find(key);
  if (!list.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<Node> digests, list->List());
  if (digests.empty()) {
    return list->Error("an empty list; leave the key out to accept any");
  }
  for (const Node& digest : digests) {
    ASSIGN_OR_RETURN(const digest::Sha256Digest read, ReadHex<32>(digest));
    out.push_back(read);
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelPolicy> ReadModel(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields,
                   node.Map({"name", "model_digests", "plan_digests", "nothing_opened_before", "verification"}));
  ModelPolicy out;
  ASSIGN_OR_RETURN(out.name, fields.String("name"));
  RETURN_IF_ERROR(ReadDigests(fields, "model_digests", out.model_digests));
  RETURN_IF_ERROR(ReadDigests(fields, "plan_digests", out.plan_digests));
  if (fields.Has("nothing_opened_before")) {
    ASSIGN_OR_RETURN(out.nothing_opened_before, fields.String("nothing_opened_before"));
  }
  ASSIGN_OR_RETURN(out.verification, fields.EnumOr<Verification>("verification", out.verification, kVerifications));
  return out;
}

absl::Status ReadModels(const Node& node, std::vector<ModelPolicy>& out) {
  ASSIGN_OR_RETURN(const std::vector<Node> models, node.List());
  if (models.empty()) {
    return node.Error("an empty list; leave the key out to accept any model");
  }
  std::set<std::string> names;
  for (const Node& model : models) {
    ASSIGN_OR_RETURN(ModelPolicy read, ReadModel(model));
    if (!names.insert(read.name).second) {
      return model.Error("model '" + read.name + "' is listed twice");
    }
    out.push_back(std::move(read));
  }
  return absl::OkStatus();
}

absl::Status ReadPaths(const Fields& fields, const char* key, std::vector<attest::CollateralPath>& out) {
  if (const std::optional<Node> list = fields.Find(key)) {
    ASSIGN_OR_RETURN(const std::vector<Node> paths, list->List());
    for (const Node& path : paths) {
      ASSIGN_OR_RETURN(std::string read, path.Path());
      out.push_back({std::move(read), path.Where()});
    }
  }
  return absl::OkStatus();
}

absl::Status ReadUrl(const Fields& fields, const char* key, std::string& out) {
  if (const std::optional<Node> node = fields.Find(key)) {
    ASSIGN_OR_RETURN(out, node->String());
    if (const absl::Status usable = attest::CheckServiceUrl(out); !usable.ok()) {
      return node->Annotate(usable);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadServices(const Fields& fields, attest::CollateralServices& out) {
  RETURN_IF_ERROR(ReadUrl(fields, "intel_url", out.intel_url));
  RETURN_IF_ERROR(ReadUrl(fields, "intel_root_crl_url", out.intel_root_crl_url));
  RETURN_IF_ERROR(ReadUrl(fields, "amd_url", out.amd_url));
  ASSIGN_OR_RETURN(out.cache_directory, fields.PathOr("cache_directory", ""));
  ASSIGN_OR_RETURN(const std::chrono::nanoseconds timeout,
                   fields.DurationOr("timeout", out.timeout, std::chrono::milliseconds(1), std::chrono::minutes(10)));
  out.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
  if (const std::optional<Node> node = fields.Find("ca_file")) {
    ASSIGN_OR_RETURN(out.ca_file, node->Path());
    out.ca_file_named_by = node->Where();
  }
  ASSIGN_OR_RETURN(out.cache_max_files,
                   fields.Uint64Or("cache_files", out.cache_max_files, attest::kMinCacheFiles, 1'000'000));
  ASSIGN_OR_RETURN(out.cache_max_bytes,
                   fields.ByteSizeOr("cache_size", out.cache_max_bytes, attest::kMinCacheBytes, uint64_t{1} << 40));
  const absl::Status usable = attest::CheckCollateralServices(out);
  return usable.ok() ? usable : fields.node().Annotate(usable);
}

absl::Status ReadCollateral(const Node& node, AppraisalPolicy& out) {
  ASSIGN_OR_RETURN(const Fields fields,
                   node.Map({"intel", "amd", "intel_url", "intel_root_crl_url", "amd_url", "cache_directory",
                             "cache_files", "cache_size", "ca_file", "timeout", "maximum_age"}));
  RETURN_IF_ERROR(ReadPaths(fields, "intel", out.intel_collateral));
  RETURN_IF_ERROR(ReadPaths(fields, "amd", out.amd_collateral));
  RETURN_IF_ERROR(ReadServices(fields, out.services));
  const std::optional<Node> maximum_age = fields.Find("maximum_age");
  if (!maximum_age.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::chrono::nanoseconds age, maximum_age->Duration(std::chrono::minutes(1)));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age);
  if (out.sgx.has_value()) {
    out.sgx->tcb.maximum_collateral_age = seconds;
  }
  if (out.tdx.has_value()) {
    out.tdx->tcb.maximum_collateral_age = seconds;
  }
  if (out.sev_snp.has_value()) {
    out.sev_snp->maximum_collateral_age = seconds;
  }
  return absl::OkStatus();
}

absl::StatusOr<AppraisalPolicy> ReadPolicy(const Document& document) {
  ASSIGN_OR_RETURN(const Fields fields, document.root().Map({"sgx", "tdx", "sev-snp", "collateral", "models"}));
  AppraisalPolicy out;
  if (const std::optional<Node> node = fields.Find("sgx")) {
    ASSIGN_OR_RETURN(out.sgx, ReadSgx(*node));
  }
  if (const std::optional<Node> node = fields.Find("tdx")) {
    ASSIGN_OR_RETURN(out.tdx, ReadTdx(*node));
  }
  if (const std::optional<Node> node = fields.Find("sev-snp")) {
    ASSIGN_OR_RETURN(out.sev_snp, ReadSnp(*node));
  }
  if (const std::optional<Node> node = fields.Find("collateral")) {
    RETURN_IF_ERROR(ReadCollateral(*node, out));
  }
  if (const std::optional<Node> node = fields.Find("models")) {
    RETURN_IF_ERROR(ReadModels(*node, out.models));
  }
  const absl::Status usable = CheckAppraisalPolicy(out);
  return usable.ok() ? absl::StatusOr<AppraisalPolicy>(std::move(out)) : document.root().Annotate(usable);
}

}  // namespace

absl::StatusOr<AppraisalPolicy> LoadAppraisalPolicy(const std::string& path) {
  ASSIGN_OR_RETURN(const Document document, Document::Load(path));
  return ReadPolicy(document);
}

absl::StatusOr<AppraisalPolicy> ParseAppraisalPolicy(std::string_view text, const std::string& name) {
  ASSIGN_OR_RETURN(const Document document, Document::Parse(text, name));
  return ReadPolicy(document);
}

}  // namespace shoji::appraisal_file
