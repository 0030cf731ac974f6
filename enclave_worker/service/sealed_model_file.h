// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Model entries of enclave.yaml whose file is sealed.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "enclave_worker/core/model.h"
#include "enclave_worker/core/sealed_source.h"
#include "enclave_worker/service/enclave_config.h"
#include "lib/digest/sha2.h"
#include "lib/sealed_model/keys.h"

namespace shoji::enclave {

struct DescribedModel {
  AwaitedModel awaited;  // `open` is left empty
  // Policy, labels and preprocessing as they were read when `awaited` was made: what its owner was shown is what runs.
  ModelSource beside;
};

// What is known of `config`'s sealed file without its key. Errors name the entry: those of SealedFile::Open and of the
// files beside it, and INVALID_ARGUMENT where the policy would move confidential nodes out whatever the model looks
// like.
absl::StatusOr<DescribedModel> DescribeSealedModel(const ModelConfig& config);

// Opens `config`'s sealed file, which must still be the one of `sealed_digest`, and reads all that is in it, the ranges
// included, to go with what stands `beside`. DATA_LOSS, PERMISSION_DENIED: see lib/sealed_model/open.h;
// FAILED_PRECONDITION: another file stands there, or the policy computes in int8 and no ranges are sealed.
absl::StatusOr<ModelSource> LoadSealedModelSource(const ModelConfig& config, ModelSource beside,
                                                  const digest::Sha256Digest& sealed_digest,
                                                  const sealed_model::FileKey& key,
                                                  std::shared_ptr<QueryBudget> budget);

}  // namespace shoji::enclave
