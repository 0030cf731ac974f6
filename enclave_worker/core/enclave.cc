// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/enclave.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "enclave_worker/core/payload.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/constant_time.h"

namespace shoji::enclave {
namespace {

// As many as a front end accepts.
constexpr size_t kMaxStaleKeyIds = 64;

// An owner opens a session for every release and sends it at once. One that was withheld for longer does not renew a
// budget after its owner has given it up.
constexpr std::chrono::seconds kMaxReleaseAge(30);

absl::Status CheckServed(const Served& served) {
  std::set<std::string> names;
  for (const std::shared_ptr<const Model>& model : served.models) {
    if (!names.insert(model->name()).second) {
      return absl::InvalidArgumentError("two models are called " + model->name());
    }
  }
  for (const AwaitedModel& model : served.awaited) {
    if (!names.insert(model.manifest.name).second) {
      return absl::InvalidArgumentError("two models are called " + model.manifest.name);
    }
  }
  return names.empty() ? absl::InvalidArgumentError("there is no model to serve") : absl::OkStatus();
}

channel::MakeManifest ManifestMaker(const std::string& software_version, std::shared_ptr<const Served> served) {
  return [software_version, served = std::move(served)](const attest::HpkePublicKeyBytes& public_key,
                                                        SystemTime expires_at) {
    attest::Manifest manifest;
    manifest.hpke_public_key = public_key;
    manifest.expires_at = expires_at;
    manifest.software_version = software_version;
    for (const std::shared_ptr<const Model>& model : served->models) {
      manifest.models.push_back(model->manifest());
    }
    for (const AwaitedModel& model : served->awaited) {
      manifest.awaited.push_back(model.manifest);
    }
    // Not in the order in which keys happened to come: the same models are the same manifest.
    const auto by_name = [](const auto& left, const auto& right) { return left.name < right.name; };
    std::sort(manifest.models.begin(), manifest.models.end(), by_name);
    std::sort(manifest.awaited.begin(), manifest.awaited.end(), by_name);
    return attest::EncodeManifest(manifest);
  };
}

const Model* FindModel(const Served& served, const std::string& name) {
  const auto it = std::find_if(served.models.begin(), served.models.end(),
                               [&](const auto& model) { return model->name() == name; });
  return it == served.models.end() ? nullptr : it->get();
}

// The model made of the sealed file of that digest, if one is served.
const Model* FindSealed(const Served& served, const digest::Sha256Digest& sealed_digest) {
  const auto it = std::find_if(served.models.begin(), served.models.end(), [&](const auto& model) {
    return model->manifest().sealed.has_value() && model->manifest().model_digest == sealed_digest;
  });
  return it == served.models.end() ? nullptr : it->get();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Enclave>> Enclave::Create(Options options, Served served) {
  RETURN_IF_ERROR(CheckServed(served));
  const auto shared = std::make_shared<const Served>(std::move(served));
  ASSIGN_OR_RETURN(std::unique_ptr<channel::Responder> responder,
                   channel::Responder::Create(options.channel, *options.clock,
                                              ManifestMaker(options.software_version, shared), shared));
  return std::unique_ptr<Enclave>(new Enclave(std::move(options), std::move(responder), shared));
}

Enclave::Enclave(Options options, std::unique_ptr<channel::Responder> responder, std::shared_ptr<const Served> served)
    : options_(std::move(options)), responder_(std::move(responder)), served_(std::move(served)) {}

Enclave::Claim Enclave::ClaimFor(const attest::Nonce& nonce) {
  channel::ManifestView current = responder_->Current();
  const attest::ReportData report_data = attest::ReportDataFor(current.digest, nonce);
  return {std::move(current.bytes), report_data};
}

absl::StatusOr<channel::HelloAck> Enclave::OpenSession(const channel::KeyId& key_id,
                                                       const channel::ManifestDigest& manifest_digest,
                                                       const crypto::HpkeEnc& enc, ByteSpan sealed_hello) {
  return responder_->OpenSession(key_id, manifest_digest, enc, sealed_hello);
}

bool Enclave::IsShort(const std::string& model, size_t ciphertext_bytes) {
  const std::shared_ptr<const Served> now = served();
  const Model* const found = FindModel(*now, model);
  return found != nullptr && found->IsLocal() && found->service_time().IsShort() &&
         channel::IsRequestSize(ciphertext_bytes, RequestSizesOf(*found));
}

absl::StatusOr<channel::SealedAnswer> Enclave::Infer(const channel::SealedRequest& request, RunContext& run) {
  const std::chrono::nanoseconds ran_before = options_.clock->ThreadTime();
  if (options_.clock->SteadyNow() >= run.deadline) {
    return ErrorOf(Reason::kDeadline);
  }
  if (request.purpose != channel::Purpose::kInference) {
    return ErrorOf(Reason::kInternal);
  }
  // By the name alone: requests that wait for others hear that one is on its way while it is decrypted.
  const std::shared_ptr<const Served> current = this->served();
  const Model* const expected = FindModel(*current, request.model);
  Batcher::Arrival arrival = expected == nullptr ? Batcher::Arrival() : expected->Arrive();
  std::optional<PhaseTimer> opening(std::in_place, *options_.clock, run, channel::Phase::kOpen);
  ASSIGN_OR_RETURN(const channel::OpenedRequest opened, responder_->Open(request));
  const auto served = std::static_pointer_cast<const Served>(opened.context);
  // The name and the length are public: both travel in the clear.
  const Model* model = FindModel(*served, request.model);
  if (model == nullptr) {
    return ErrorOf(Reason::kUnknownModel);
  }
  if (!channel::IsRequestSize(request.ciphertext.size(), RequestSizesOf(*model))) {
    return ErrorOf(Reason::kWrongLength);
  }
  // Before the plaintext is looked at: that a budget is used up is public, and must not tell a good input from a bad
  // one.
  RETURN_IF_ERROR(model->TakeQuery());
  absl::StatusOr<SecretTensors> live = InputsOf(*model, opened.plaintext.Expose());
  opening.reset();
  if (!live.ok()) {
    return Seal(opened, live.status(), {}, model->output_bytes(), run);
  }
  ASSIGN_OR_RETURN(const SecretTensors made, model->Infer(*std::move(live), run, std::move(arrival)));
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes outputs, OutputsOf(*model, made));
  absl::StatusOr<channel::SealedAnswer> answer =
      Seal(opened, absl::OkStatus(), outputs.Expose(), model->output_bytes(), run);
  model->service_time().Record(options_.clock->ThreadTime() - ran_before);
  return answer;
}

absl::StatusOr<channel::SealedAnswer> Enclave::Seal(const channel::OpenedRequest& opened, const absl::Status& status,
                                                    ByteSpan outputs, size_t output_bytes, RunContext& run) {
  const auto seal = [&](const std::optional<channel::PhaseTimes>& trailer) {
    return opened.sealer.Seal(status.ok() ? channel::BuildAnswer(outputs, trailer).Expose()
                                          : channel::BuildErrorAnswer(status, output_bytes, trailer).Expose());
  };
  const bool wants_phases = channel::TrailerAskedBy(opened.plaintext.Expose()) == channel::Trailer::kPhases;
  const SteadyTime started = options_.clock->SteadyNow();
  absl::StatusOr<channel::SealedAnswer> answer = seal(wants_phases ? std::optional(run.phases) : std::nullopt);
  run.phases[channel::Phase::kSeal] += options_.clock->SteadyNow() - started;
  // Sealed again, under another salt, to say what that took: the time of another's answer is not this client's to know.
  return wants_phases && answer.ok() ? seal(run.phases) : answer;
}

absl::StatusOr<channel::SealedAnswer> Enclave::Release(const channel::SealedRequest& request) {
  if (request.purpose != channel::Purpose::kRelease) {
    return ErrorOf(Reason::kInternal);
  }
  ASSIGN_OR_RETURN(const channel::OpenedRequest opened, responder_->Open(request));
  if (opened.idle_for > kMaxReleaseAge) {
    return ErrorOf(Reason::kUnknownSession);
  }
  if (is_releasing_.exchange(true)) {
    return ErrorOf(Reason::kOverloaded);
  }
  const absl::StatusOr<channel::KeyRelease> release = channel::ParseRelease(opened.plaintext.Expose());
  absl::Status outcome = release.status();
  if (release.ok()) {
    // The owner appraised the manifest of this session, or the message is not for it.
    const bool same = release->manifest_digest == opened.sealer.identity().manifest_digest;
    outcome = same ? Accept(*release, opened.context.get()) : ErrorOf(Reason::kBadInput);
  }
  is_releasing_ = false;
  return opened.sealer.Seal(outcome.ok()
                                ? channel::BuildAnswer(release->nonce).Expose()
                                : channel::BuildErrorAnswer(outcome, channel::kReleaseAnswerBodySize).Expose());
}

absl::Status Enclave::Accept(const channel::KeyRelease& release, const void* appraised) {
  if (options_.keys == nullptr) {
    return ErrorOf(Reason::kUnknownSealedModel);
  }
  const auto key = sealed_model::FileKey::CopyOf(release.file_key.Expose().first<channel::kModelKeySize>());
  const absl::MutexLock lock(&change_mu_);
  const std::shared_ptr<const Served> now = served();
  if (now.get() != appraised) {
    // A reload came between: the owner has not seen what is served now.
    return ErrorOf(Reason::kStaleManifest);
  }
  const Model* const model = FindSealed(*now, release.sealed_digest);
  if (model == nullptr) {
    return ServeAwaited(release, key);
  }
  if (!options_.keys->Holds(release.sealed_digest, key)) {
    return ErrorOf(Reason::kWrongModelKey);
  }
  RETURN_IF_ERROR(options_.keys->UseNonce(release.nonce));
  options_.keys->BudgetOf(release.sealed_digest)->Renew(model->manifest().sealed->queries_per_release);
  return absl::OkStatus();
}

absl::Status Enclave::ServeAwaited(const channel::KeyRelease& release, const sealed_model::FileKey& key) {
  const std::shared_ptr<const Served> now = served();
  const auto is_meant = [&](const AwaitedModel& model) {
    return model.manifest.sealed_digest == release.sealed_digest;
  };
  const auto first = std::find_if(now->awaited.begin(), now->awaited.end(), is_meant);
  if (first == now->awaited.end()) {
    return ErrorOf(Reason::kUnknownSealedModel);
  }
  if (!crypto::ConstantTimeEquals(sealed_model::HeaderTagOf(key), first->header_tag)) {
    return ErrorOf(Reason::kWrongModelKey);
  }
  RETURN_IF_ERROR(options_.keys->UseNonce(release.nonce));
  Served next = {.models = now->models, .awaited = {}};
  for (const AwaitedModel& model : now->awaited) {
    if (!is_meant(model)) {
      next.awaited.push_back(model);
      continue;
    }
    absl::StatusOr<std::unique_ptr<const Model>> opened = model.open(key);
    if (!opened.ok()) {
      return ErrorOf(Reason::kModelRefused);
    }
    next.models.push_back(*std::move(opened));
  }
  if (!options_.keys->Keep(release.sealed_digest, key).ok()) {
    return ErrorOf(Reason::kModelRefused);
  }
  options_.keys->BudgetOf(release.sealed_digest)->Renew(next.models.back()->manifest().sealed->queries_per_release);
  Replace(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<Enclave::Reloaded> Enclave::Reload(const std::function<absl::StatusOr<Served>()>& load) {
  const absl::MutexLock lock(&change_mu_);
  ASSIGN_OR_RETURN(Served served, load());
  RETURN_IF_ERROR(CheckServed(served));
  return Replace(std::move(served));
}

Enclave::Reloaded Enclave::Replace(Served served) {
  auto shared = std::make_shared<const Served>(std::move(served));
  const channel::MakeManifest make_manifest = ManifestMaker(options_.software_version, shared);
  const bool is_same = responder_->Adopt(make_manifest, shared);
  if (!is_same) {
    responder_->Reissue(make_manifest, shared);
  }
  // Swapped out under the lock, destroyed after it: tearing models down takes a while.
  const absl::MutexLock lock(&mu_);
  served_.swap(shared);
  return is_same ? Reloaded::kManifestKept : Reloaded::kManifestRenewed;
}

std::shared_ptr<const Served> Enclave::served() {
  const absl::MutexLock lock(&mu_);
  return served_;
}

void Enclave::Tick() { responder_->Tick(); }

PublicState Enclave::public_state() {
  PublicState state;
  state.served = served();
  state.key_ids = responder_->LiveKeyIds();
  state.stale_key_ids = responder_->StaleKeyIds(kMaxStaleKeyIds);
  for (const std::shared_ptr<const Model>& model : state.served->models) {
    if (state.not_ready_because.empty()) {
      state.not_ready_because = model->NotReadyBecause();
    }
  }
  if (state.served->models.empty()) {
    state.not_ready_because = "model " + state.served->awaited.front().manifest.name + " awaits its owner's key";
  }
  state.ready = state.not_ready_because.empty();
  return state;
}

}  // namespace shoji::enclave
