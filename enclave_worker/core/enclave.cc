// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/enclave.h"

#include <algorithm>
#include <set>
#include <utility>

#include "enclave_worker/core/payload.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

// As many as a front end accepts.
constexpr size_t kMaxStaleKeyIds = 64;

absl::Status CheckModels(const ModelSet& models) {
  if (models.empty()) {
    return absl::InvalidArgumentError("there is no model to serve");
  }
  std::set<std::string> names;
  for (const std::unique_ptr<Model>& model : models) {
    if (!names.insert(model->name()).second) {
      return absl::InvalidArgumentError("two models are called " + model->name());
    }
  }
  return absl::OkStatus();
}

channel::MakeManifest ManifestMaker(const std::string& software_version, std::shared_ptr<const ModelSet> models) {
  return [software_version, models = std::move(models)](const attest::HpkePublicKeyBytes& public_key,
                                                        SystemTime expires_at) {
    attest::Manifest manifest;
    manifest.hpke_public_key = public_key;
    manifest.expires_at = expires_at;
    manifest.software_version = software_version;
    for (const std::unique_ptr<Model>& model : *models) {
      manifest.models.push_back(model->manifest());
    }
    return attest::EncodeManifest(manifest);
  };
}

const Model* FindModel(const ModelSet& models, const std::string& name) {
  const auto it = std::find_if(models.begin(), models.end(), [&](const auto& model) { return model->name() == name; });
  return it == models.end() ? nullptr : it->get();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Enclave>> Enclave::Create(Options options, ModelSet models) {
  RETURN_IF_ERROR(CheckModels(models));
  const auto shared = std::make_shared<const ModelSet>(std::move(models));
  ASSIGN_OR_RETURN(std::unique_ptr<channel::Responder> responder,
                   channel::Responder::Create(options.channel, *options.clock,
                                              ManifestMaker(options.software_version, shared), shared));
  return std::unique_ptr<Enclave>(new Enclave(std::move(options), std::move(responder), shared));
}

Enclave::Enclave(Options options, std::unique_ptr<channel::Responder> responder, std::shared_ptr<const ModelSet> models)
    : options_(std::move(options)), responder_(std::move(responder)), models_(std::move(models)) {}

absl::StatusOr<Enclave::Claim> Enclave::ClaimFor(ByteSpan nonce) {
  attest::Nonce fixed = {};
  if (nonce.size() != fixed.size()) {
    return ErrorOf(Reason::kBadNonce);
  }
  std::copy(nonce.begin(), nonce.end(), fixed.begin());
  channel::ManifestView current = responder_->Current();
  const attest::ReportData report_data = attest::ReportDataFor(current.digest, fixed);
  return Claim{std::move(current.bytes), report_data};
}

absl::StatusOr<channel::HelloAck> Enclave::OpenSession(const channel::KeyId& key_id,
                                                       const channel::ManifestDigest& manifest_digest,
                                                       const crypto::HpkeEnc& enc, ByteSpan sealed_hello) {
  return responder_->OpenSession(key_id, manifest_digest, enc, sealed_hello);
}

absl::StatusOr<channel::SealedAnswer> Enclave::Infer(const channel::SealedRequest& request, SteadyTime deadline) {
  if (options_.clock->SteadyNow() >= deadline) {
    return ErrorOf(Reason::kDeadline);
  }
  ASSIGN_OR_RETURN(channel::OpenedRequest opened, responder_->Open(request));
  const auto models = std::static_pointer_cast<const ModelSet>(opened.context);
  // The name and the length are public: both travel in the clear.
  const Model* model = FindModel(*models, request.model);
  if (model == nullptr) {
    return ErrorOf(Reason::kUnknownModel);
  }
  if (!channel::IsRequestSize(request.ciphertext.size(), RequestSizesOf(*model))) {
    return ErrorOf(Reason::kWrongLength);
  }
  absl::StatusOr<SecretTensors> live = InputsOf(*model, opened.plaintext.Expose());
  if (!live.ok()) {
    return opened.sealer.Seal(channel::BuildErrorAnswer(live.status(), model->output_bytes()).Expose());
  }
  RETURN_IF_ERROR(model->Run(*live, deadline));
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes outputs, OutputsOf(*model, *live));
  return opened.sealer.Seal(channel::BuildAnswer(outputs.Expose()).Expose());
}

absl::Status Enclave::Reload(ModelSet models) {
  RETURN_IF_ERROR(CheckModels(models));
  auto shared = std::make_shared<const ModelSet>(std::move(models));
  responder_->Reissue(ManifestMaker(options_.software_version, shared), shared);
  // Swapped out under the lock, destroyed after it: tearing models down takes a while.
  const absl::MutexLock lock(&mu_);
  models_.swap(shared);
  return absl::OkStatus();
}

void Enclave::Tick() { responder_->Tick(); }

PublicState Enclave::public_state() {
  PublicState state;
  {
    const absl::MutexLock lock(&mu_);
    state.models = models_;
  }
  state.key_ids = responder_->LiveKeyIds();
  state.stale_key_ids = responder_->StaleKeyIds(kMaxStaleKeyIds);
  for (const std::unique_ptr<Model>& model : *state.models) {
    if (state.not_ready_because.empty()) {
      state.not_ready_because = model->NotReadyBecause();
    }
  }
  state.ready = state.not_ready_because.empty();
  return state;
}

}  // namespace shoji::enclave
