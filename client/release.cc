// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/release.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "client/retry.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/channel/initiator.h"
#include "lib/channel/payload.h"
#include "lib/channel/release.h"
#include "lib/crypto/random.h"

namespace shoji::client {
namespace {

constexpr char kSimulatedWarning[] =
    "WARNING: the enclave's evidence is SIMULATED. There is no TEE: whoever runs the server can read the model that "
    "this "
    "key opens. Use this for trying out only.";

// That what the enclave says of a model that it serves is what its owner sealed.
absl::Status CheckTerms(const attest::SealedTerms& served, const sealed_model::Terms& sealed) {
  if (served.results == sealed.results && served.queries_per_release == sealed.queries_per_release) {
    return absl::OkStatus();
  }
  return RefusalError("the enclave states other terms for the sealed model than its header does");
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeyReleaser>> KeyReleaser::Create(Options options, std::unique_ptr<Transport> transport,
                                                                 const sealed_model::SealedFile& file,
                                                                 const sealed_model::FileKey& key) {
  ASSIGN_OR_RETURN(std::unique_ptr<Appraiser> appraiser, Appraiser::Create(options.appraisal));
  return std::unique_ptr<KeyReleaser>(
      new KeyReleaser(std::move(options), std::move(transport), std::move(appraiser), file, key));
}

KeyReleaser::KeyReleaser(Options options, std::unique_ptr<Transport> transport, std::unique_ptr<Appraiser> appraiser,
                         const sealed_model::SealedFile& file, const sealed_model::FileKey& key)
    : options_(std::move(options)),
      transport_(std::move(transport)),
      appraiser_(std::move(appraiser)),
      file_(file),
      key_(key) {
  SetDefaults(real_clock_, options_.clock, options_.wait, options_.warn);
}

Attempts KeyReleaser::attempts() const { return {*transport_, *options_.clock, options_.wait, options_.warn}; }

absl::StatusOr<SealedModelState> KeyReleaser::Attest(SteadyTime deadline) {
  SealedModelState state;
  const auto attempt = [&](SteadyTime until) -> absl::Status {
    ASSIGN_OR_RETURN(state, AttestOnce(until));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(attempts().Repeat(attempt, {.deadline = deadline, .patience = options_.patience}));
  return state;
}

absl::StatusOr<SealedModelState> KeyReleaser::AttestOnce(SteadyTime deadline) {
  nonce_ = crypto::RandomArray<sizeof(attest::Nonce)>();
  ASSIGN_OR_RETURN(const EvidenceReply reply, transport_->GetSealedModelEvidence(nonce_, file_.digest(), deadline));
  SealedModelState state;
  state.appraisal = appraiser_->Appraise(reply, nonce_, options_.clock->SystemNow());
  RETURN_IF_ERROR(state.appraisal.ToStatus());
  if (state.appraisal.result.kind == attest::EvidenceKind::kSimulated && !std::exchange(warned_, true)) {
    options_.warn(kSimulatedWarning);
  }
  const attest::Manifest& manifest = *state.appraisal.manifest;
  std::copy_if(manifest.awaited.begin(), manifest.awaited.end(), std::back_inserter(state.awaited),
               [&](const auto& model) { return model.sealed_digest == file_.digest(); });
  for (const attest::AwaitedModel& awaited : state.awaited) {
    RETURN_IF_ERROR(appraiser_->CheckModel(attest::StatementOf(awaited)));
  }
  // Every entry of the file that is served: a release renews the budget of them all.
  for (const attest::ModelManifest& model : manifest.models) {
    if (model.sealed.has_value() && model.model_digest == file_.digest()) {
      RETURN_IF_ERROR(appraiser_->CheckModel(attest::StatementOf(model)));
      RETURN_IF_ERROR(CheckTerms(*model.sealed, file_.header().terms));
      state.served = model;
    }
  }
  if (!state.served.has_value() && state.awaited.empty()) {
    return ErrorOf(Reason::kUnknownSealedModel);
  }
  return state;
}

absl::Status KeyReleaser::Release(const SealedModelState& state, SteadyTime deadline) {
  std::unique_ptr<channel::Initiator> initiator;
  const auto open = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(initiator, Open(state, deadline));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(attempts().WhileOverloaded(open, deadline));
  return attempts().WhileOverloaded([&] { return Send(*initiator, state, deadline); }, deadline);
}

absl::StatusOr<std::unique_ptr<channel::Initiator>> KeyReleaser::Open(const SealedModelState& state,
                                                                      SteadyTime deadline) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<channel::Initiator> initiator,
      channel::Initiator::Create(state.appraisal.manifest->hpke_public_key, state.appraisal.manifest_digest));
  ASSIGN_OR_RETURN(const SessionReply reply, transport_->OpenSession({initiator->key_id(), initiator->manifest_digest(),
                                                                      initiator->enc(), initiator->sealed_hello()},
                                                                     deadline));
  RETURN_IF_ERROR(initiator->VerifyHello(reply.session_id, reply.hello));
  return initiator;
}

absl::Status KeyReleaser::Send(channel::Initiator& initiator, const SealedModelState& state, SteadyTime deadline) {
  const std::string& model = state.awaited.empty() ? state.served->name : state.awaited.front().name;
  channel::KeyRelease release;
  release.nonce = nonce_;
  release.sealed_digest = file_.digest();
  release.manifest_digest = state.appraisal.manifest_digest;
  release.file_key = crypto::SecretBytes::CopyOf(key_.Expose());
  ASSIGN_OR_RETURN(const channel::SealedRequest request,
                   initiator.Seal(model, channel::BuildRelease(release).Expose(), channel::Purpose::kRelease));
  ASSIGN_OR_RETURN(const channel::SealedAnswer sealed, transport_->ReleaseKey(request, deadline));
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes plaintext, initiator.OpenResponse(request.sequence, model, sealed));
  ASSIGN_OR_RETURN(const channel::AnswerView answer,
                   channel::ParseAnswer(plaintext.Expose(), channel::kReleaseAnswerBodySize));
  RETURN_IF_ERROR(answer.status);
  return std::equal(answer.body.begin(), answer.body.end(), nonce_.begin(), nonce_.end())
             ? absl::OkStatus()
             : ErrorOf(Reason::kOpenFailed);
}

}  // namespace shoji::client
