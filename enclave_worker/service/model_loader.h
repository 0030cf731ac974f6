// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "enclave_worker/core/enclave.h"
#include "enclave_worker/core/model.h"
#include "enclave_worker/core/model_context.h"
#include "enclave_worker/core/released_keys.h"
#include "enclave_worker/service/enclave_config.h"
#include "lib/sealed_model/keys.h"
#include "lib/telemetry/log.h"

namespace shoji::enclave {

// Makes models of the entries of a configuration. All that it is given outlives it and every model that it describes.
// Thread-safe, as far as one thread at a time loads.
class ModelLoader {
 public:
  // `max_message_bytes`: the largest message that reaches the enclave or leaves it. A model none of whose requests, or
  // whose answers, could ever be one is refused.
  ModelLoader(const ModelContext& context, ReleasedKeys& keys, telemetry::Logger& logger, size_t max_message_bytes)
      : context_(context), keys_(keys), logger_(logger), max_message_bytes_(max_message_bytes) {}
  ModelLoader(const ModelLoader&) = delete;
  ModelLoader& operator=(const ModelLoader&) = delete;

  // Every entry of `config`: a sealed model whose key was not released is awaited. The first error names its entry.
  absl::StatusOr<Served> Load(const EnclaveConfig& config) const;

 private:
  absl::StatusOr<std::unique_ptr<const Model>> LoadClear(const ModelConfig& entry) const;
  absl::StatusOr<std::unique_ptr<const Model>> LoadSealed(const ModelConfig& entry, ModelSource beside,
                                                          const digest::Sha256Digest& sealed_digest,
                                                          const sealed_model::FileKey& key) const;
  absl::StatusOr<std::unique_ptr<const Model>> Make(const ModelConfig& entry, ModelSource source) const;
  absl::Status CheckMessages(const Model& model) const;
  // When an owner's key comes: opens what `awaited` describes, and logs what came of it.
  absl::StatusOr<std::unique_ptr<const Model>> OpenAwaited(const ModelConfig& entry, ModelSource beside,
                                                           const digest::Sha256Digest& sealed_digest,
                                                           const sealed_model::FileKey& key) const;

  const ModelContext& context_;
  ReleasedKeys& keys_;
  telemetry::Logger& logger_;
  const size_t max_message_bytes_;
};

}  // namespace shoji::enclave
