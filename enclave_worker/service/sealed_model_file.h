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

// What is known of `config`'s sealed file without its key; `open` of the result is left empty. Errors name the entry:
// those of SealedFile::Open and of the files beside it, and INVALID_ARGUMENT where the policy would move confidential
// nodes out whatever the model looks like.
absl::StatusOr<AwaitedModel> DescribeSealedModel(const ModelConfig& config);

// Opens `config`'s sealed file, which must still be the one of `sealed_digest`, and reads all that belongs to it; the
// ranges come out of it too. DATA_LOSS, PERMISSION_DENIED: see lib/sealed_model/open.h; FAILED_PRECONDITION: another
// file stands there, or the policy computes in int8 and no ranges are sealed.
absl::StatusOr<ModelSource> LoadSealedModelSource(const ModelConfig& config, const digest::Sha256Digest& sealed_digest,
                                                  const sealed_model::FileKey& key,
                                                  std::shared_ptr<QueryBudget> budget);

}  // namespace shoji::enclave
