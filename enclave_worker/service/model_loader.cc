// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/model_loader.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "enclave_worker/service/sealed_model_file.h"
#include "lib/base/status_macros.h"
#include "lib/channel/payload.h"
#include "lib/sealed_model/open.h"

namespace shoji::enclave {
namespace {

// Names, ids and numbers of a message beside what is sealed in it.
constexpr size_t kAroundCiphertext = 1024;

}  // namespace

absl::StatusOr<Served> ModelLoader::Load(const EnclaveConfig& config) const {
  Served served;
  for (const ModelConfig& entry : config.models) {
    ASSIGN_OR_RETURN(const bool is_sealed, sealed_model::SealedFile::IsSealed(entry.file));
    if (!is_sealed) {
      ASSIGN_OR_RETURN(std::unique_ptr<const Model> model, LoadClear(entry));
      served.models.push_back(std::move(model));
      continue;
    }
    ASSIGN_OR_RETURN(DescribedModel described, DescribeSealedModel(entry));
    const digest::Sha256Digest sealed_digest = described.awaited.manifest.sealed_digest;
    if (const std::optional<sealed_model::FileKey> key = keys_.Find(sealed_digest); key.has_value()) {
      ASSIGN_OR_RETURN(std::unique_ptr<const Model> model,
                       LoadSealed(entry, std::move(described.beside), sealed_digest, *key));
      served.models.push_back(std::move(model));
      continue;
    }
    described.awaited.open = [this, entry, beside = std::move(described.beside),
                              sealed_digest](const sealed_model::FileKey& key) {
      return OpenAwaited(entry, beside, sealed_digest, key);
    };
    logger_.Info("awaits_key", {{"model", entry.name}, {"sealed_digest", HexEncode(sealed_digest)}});
    served.awaited.push_back(std::move(described.awaited));
  }
  return served;
}

absl::StatusOr<std::unique_ptr<const Model>> ModelLoader::LoadClear(const ModelConfig& entry) const {
  ASSIGN_OR_RETURN(ModelSource source, LoadModelSource(entry));
  return Make(entry, std::move(source));
}

absl::StatusOr<std::unique_ptr<const Model>> ModelLoader::LoadSealed(const ModelConfig& entry, ModelSource beside,
                                                                     const digest::Sha256Digest& sealed_digest,
                                                                     const sealed_model::FileKey& key) const {
  ASSIGN_OR_RETURN(ModelSource source,
                   LoadSealedModelSource(entry, std::move(beside), sealed_digest, key, keys_.BudgetOf(sealed_digest)));
  return Make(entry, std::move(source));
}

absl::Status ModelLoader::CheckMessages(const Model& model) const {
  const size_t request = model.preprocessing().has_value()
                             ? std::min(model.preprocessing()->num_pixel_bytes(), model.input_bytes())
                             : model.input_bytes();
  const auto check = [this](const std::string& what, size_t num_bytes) {
    return num_bytes + kAroundCiphertext <= max_message_bytes_
               ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     what + " has " + std::to_string(num_bytes) + " bytes, more than a message of 'max_message: " +
                     std::to_string(max_message_bytes_) + "' holds; raise it, and limits.max_message of the front end");
  };
  RETURN_IF_ERROR(check("its request", channel::SealedRequestSize(request)));
  return check("its answer", channel::SealedAnswerSize(model.output_bytes()));
}

absl::StatusOr<std::unique_ptr<const Model>> ModelLoader::Make(const ModelConfig& entry, ModelSource source) const {
  for (const std::string& note : source.model.graph.notes) {
    logger_.Info("model_note", {{"model", entry.name}, {"note", note}});
  }
  absl::StatusOr<std::unique_ptr<Model>> made = Model::Create(std::move(source), context_);
  const absl::Status status = made.ok() ? CheckMessages(**made) : made.status();
  if (!status.ok()) {
    return absl::Status(status.code(), entry.where + ": " + std::string(status.message()));
  }
  return *std::move(made);
}

absl::StatusOr<std::unique_ptr<const Model>> ModelLoader::OpenAwaited(const ModelConfig& entry, ModelSource beside,
                                                                      const digest::Sha256Digest& sealed_digest,
                                                                      const sealed_model::FileKey& key) const {
  absl::StatusOr<std::unique_ptr<const Model>> model = LoadSealed(entry, std::move(beside), sealed_digest, key);
  const std::string digest = HexEncode(sealed_digest);
  if (model.ok()) {
    const attest::SealedTerms& terms = *(*model)->manifest().sealed;
    logger_.Info("key_released", {{"model", entry.name},
                                  {"sealed_digest", digest},
                                  {"results", terms.results.ToString()},
                                  {"queries", terms.queries_per_release}});
  } else {
    logger_.Error("model_refused",
                  {{"model", entry.name}, {"sealed_digest", digest}, {"error", std::string(model.status().message())}});
  }
  return model;
}

}  // namespace shoji::enclave
