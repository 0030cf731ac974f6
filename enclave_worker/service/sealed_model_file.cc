// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/sealed_model_file.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_import.h"
#include "lib/partition/start.h"
#include "lib/ranges_file/ranges_file.h"
#include "lib/sealed_model/open.h"

namespace shoji::enclave {
namespace {

using partition::Placement;
using sealed_model::PartKind;
using Extent = sealed_model::ConfidentialNodes::Extent;

constexpr uint64_t kMaxRangesBytes = uint64_t{16} << 20;

absl::Status InEntry(const ModelConfig& config, const absl::Status& status) {
  return {status.code(), config.where + ": model " + config.name + ": " + std::string(status.message())};
}

// What is wrong with a policy for a model with such confidential nodes, as far as it shows without the model. The rest
// is checked when its nodes are known (partition::KeepConfidential).
absl::Status CheckPolicy(const partition::PartitionPolicy& policy,
                         const sealed_model::ConfidentialNodes& confidential) {
  const auto in_enclave = [](const partition::SegmentPolicy& segment) { return segment.place == Placement::kEnclave; };
  const std::string owner = "its owner keeps " + sealed_model::Describe(confidential) + " confidential, ";
  for (size_t i = 0; i < policy.segments.size(); ++i) {
    const partition::SegmentPolicy& segment = policy.segments[i];
    const bool is_last = i + 1 == policy.segments.size();
    const bool holds_some = confidential.extent == Extent::kAll || (confidential.extent != Extent::kListed && is_last);
    if (holds_some && !in_enclave(segment)) {
      return absl::InvalidArgumentError(owner + "and " + partition::SegmentLabel(i, segment) + " is `" +
                                        partition::NameOf(segment.place) + "`: it may only be in the enclave");
    }
  }
  if (std::none_of(policy.segments.begin(), policy.segments.end(), in_enclave)) {
    return absl::InvalidArgumentError(owner + "and no segment of its policy is in the enclave");
  }
  return absl::OkStatus();
}

// All but the model: what stands beside the sealed file.
absl::StatusOr<ModelSource> LoadSurroundings(const ModelConfig& config,
                                             const sealed_model::ConfidentialNodes& confidential) {
  ASSIGN_OR_RETURN(ModelSource source, LoadSourceWithoutModel(config));
  if (config.policy.empty()) {
    // The only one that suits every sealed model.
    partition::SegmentPolicy all;
    all.confidential = true;
    source.policy = {.model = config.name, .segments = {all}, .masking = {}};
  }
  RETURN_IF_ERROR(CheckPolicy(source.policy, confidential));
  return source;
}

absl::StatusOr<quantization::ActivationRanges> ReadRanges(sealed_model::PlaintextReader& reader, uint64_t size,
                                                          const std::string& path, digest::Sha256Digest& model) {
  if (size > kMaxRangesBytes) {
    return absl::ResourceExhaustedError(path + ": its sealed ranges have " + std::to_string(size) + " bytes");
  }
  Bytes text(static_cast<size_t>(size));
  RETURN_IF_ERROR(reader.Read(text));
  ASSIGN_OR_RETURN(ranges_file::RangesFile ranges, ranges_file::ParseRanges(ToString(text), path + " (sealed ranges)"));
  model = ranges.model;
  return std::move(ranges.ranges);
}

// What the model keeps in other files is sealed with it: nothing beside the sealed file is looked at.
absl::StatusOr<std::unique_ptr<PositionedSource>> OpenExternal(sealed_model::PlaintextReader& reader,
                                                               const std::string& name) {
  const std::vector<sealed_model::Part>& parts = reader.file().header().parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].kind == PartKind::kExternalData && parts[i].name == name) {
      return std::make_unique<sealed_model::PartPieces>(reader, i);
    }
  }
  return absl::InvalidArgumentError(reader.file().path() + ": a file that the model refers to is not sealed with it");
}

// Ranges, when there are any, then the model: each byte is decrypted to where it stays.
absl::Status ReadParts(const ModelConfig& config, sealed_model::PlaintextReader& reader, ModelSource& source) {
  const std::string& path = reader.file().path();
  digest::Sha256Digest ranges_of = {};
  for (const sealed_model::Part& part : reader.file().header().parts) {
    if (part.kind == PartKind::kRanges) {
      ASSIGN_OR_RETURN(source.ranges, ReadRanges(reader, part.size, path, ranges_of));
    }
    if (part.kind == PartKind::kModel) {
      sealed_model::PartSource onnx(reader, part.size);
      graph::ImportOptions options = ImportOptionsOf(config, source);
      options.external_data = [&reader](const std::string& name) { return OpenExternal(reader, name); };
      ASSIGN_OR_RETURN(source.model, graph::ImportModel(onnx, options));
    }
  }
  if (source.ranges.has_value() && ranges_of != source.model.digest) {
    return absl::FailedPreconditionError(path + ": the ranges sealed with the model are those of another one");
  }
  if (partition::NeedsRanges(source.policy) && !source.ranges.has_value()) {
    return absl::FailedPreconditionError(
        path +
        ": its policy computes in int8, which needs calibrated ranges, and none are sealed with it; its owner can "
        "seal it with --ranges (or choose a policy that computes in float32)");
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelSource> OpenSource(const ModelConfig& config, ModelSource source,
                                       const digest::Sha256Digest& sealed_digest, const sealed_model::FileKey& key,
                                       std::shared_ptr<QueryBudget> budget) {
  ASSIGN_OR_RETURN(sealed_model::SealedFile file, sealed_model::SealedFile::Open(config.file));
  if (file.digest() != sealed_digest) {
    return absl::FailedPreconditionError(config.file + " is another file than the one whose key was released; reload");
  }
  const sealed_model::Terms terms = file.header().terms;
  ASSIGN_OR_RETURN(const std::unique_ptr<sealed_model::PlaintextReader> reader,
                   sealed_model::PlaintextReader::Create(std::move(file), key));
  RETURN_IF_ERROR(ReadParts(config, *reader, source));
  source.sealed = {.sealed_digest = sealed_digest, .terms = terms, .budget = std::move(budget)};
  return source;
}

absl::StatusOr<DescribedModel> DescribeFile(const ModelConfig& config) {
  ASSIGN_OR_RETURN(const sealed_model::SealedFile file, sealed_model::SealedFile::Open(config.file));
  const sealed_model::Terms& terms = file.header().terms;
  ASSIGN_OR_RETURN(ModelSource source, LoadSurroundings(config, terms.confidential));
  AwaitedModel model;
  model.manifest.name = config.name;
  model.manifest.sealed_digest = file.digest();
  for (size_t i = 0; i < source.policy.segments.size(); ++i) {
    const partition::SegmentPolicy& segment = source.policy.segments[i];
    model.manifest.plan.push_back(
        {partition::SegmentLabel(i, segment), partition::NameOf(segment.place), segment.confidential});
  }
  model.header_tag = file.header_tag();
  return DescribedModel{std::move(model), std::move(source)};
}

}  // namespace

absl::StatusOr<DescribedModel> DescribeSealedModel(const ModelConfig& config) {
  absl::StatusOr<DescribedModel> model = DescribeFile(config);
  return model.ok() ? std::move(model) : InEntry(config, model.status());
}

absl::StatusOr<ModelSource> LoadSealedModelSource(const ModelConfig& config, ModelSource beside,
                                                  const digest::Sha256Digest& sealed_digest,
                                                  const sealed_model::FileKey& key,
                                                  std::shared_ptr<QueryBudget> budget) {
  absl::StatusOr<ModelSource> source = OpenSource(config, std::move(beside), sealed_digest, key, std::move(budget));
  return source.ok() ? std::move(source) : InEntry(config, source.status());
}

}  // namespace shoji::enclave
