// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/time/time.h"
#include "client/encode.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/random.h"

namespace shoji::client {
namespace {

constexpr char kSimulatedWarning[] =
    "WARNING: the enclave's evidence is SIMULATED. There is no TEE: whoever runs the server can read the pictures and "
    "the answers. Use this for trying out only.";

std::vector<Tensor> SplitOutputs(ByteSpan body, const std::vector<attest::TensorType>& types) {
  std::vector<Tensor> outputs;
  for (const attest::TensorType& type : types) {
    Tensor& output = outputs.emplace_back(type.type, type.shape);
    std::copy_n(body.begin(), output.size_bytes(), output.mutable_bytes().begin());
    body = body.subspan(output.size_bytes());
  }
  return outputs;
}

}  // namespace

Session::Session(Options options, std::unique_ptr<Transport> transport, std::unique_ptr<Appraiser> appraiser)
    : options_(std::move(options)), transport_(std::move(transport)), appraiser_(std::move(appraiser)) {
  SetDefaults(real_clock_, options_.clock, options_.wait, options_.warn);
}

Session::~Session() = default;

absl::StatusOr<std::unique_ptr<Session>> Session::Create(Options options, std::unique_ptr<Transport> transport) {
  ASSIGN_OR_RETURN(std::unique_ptr<Appraiser> appraiser, Appraiser::Create(options.appraisal));
  std::unique_ptr<Session> session(new Session(std::move(options), std::move(transport), std::move(appraiser)));
  const Options& set = session->options_;
  const std::chrono::milliseconds patience = set.create_patience.value_or(std::min(kFirstPatience, set.create_timeout));
  const SteadyTime last = set.clock->SteadyNow() + std::max(set.create_timeout, patience);
  const auto attempt = [&](SteadyTime deadline) -> absl::Status {
    RETURN_IF_ERROR(session->ChooseModel(deadline));
    return session->Current(deadline).status();
  };
  RETURN_IF_ERROR(
      session->attempts().Repeat(attempt, {.deadline = last, .each = set.create_timeout, .patience = patience}));
  return session;
}

std::shared_ptr<const Model> Session::model() const {
  const absl::MutexLock lock(&mu_);
  return last_model_;
}

absl::Status Session::ChooseModel(SteadyTime deadline) {
  if (!options_.model.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<ModelDescription> models, transport_->ListModels(deadline));
  if (models.empty()) {
    return ErrorOf(Reason::kNoEnclave);
  }
  if (models.size() > 1) {
    std::string names;
    for (const ModelDescription& model : models) {
      names += (names.empty() ? "" : ", ") + model.name;
    }
    return absl::InvalidArgumentError("the server serves several models; name one of: " + names);
  }
  options_.model = models.front().name;
  is_model_chosen_by_server_ = true;
  return absl::OkStatus();
}

absl::StatusOr<Answer> Session::Infer(const image::Image& picture, SteadyTime deadline) {
  return Run([&](const Model& model) { return EncodePicture(picture, model); }, deadline);
}

absl::StatusOr<Answer> Session::Infer(std::span<const Tensor> inputs, SteadyTime deadline) {
  return Run([&](const Model& model) { return EncodeTensors(inputs, model); }, deadline);
}

absl::StatusOr<Answer> Session::Run(const MakeRequest& make_request, SteadyTime deadline) {
  Answer answer;
  const auto attempt = [&](SteadyTime until) -> absl::Status {
    ASSIGN_OR_RETURN(answer, TryOnce(make_request, until));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(attempts().Repeat(attempt, {.deadline = deadline}));
  return answer;
}

Attempts Session::attempts() const { return {*transport_, *options_.clock, options_.wait, options_.warn}; }

absl::StatusOr<Answer> Session::TryOnce(const MakeRequest& make_request, SteadyTime deadline) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Channel> on, Current(deadline));
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes plaintext, make_request(*on->model));
  const absl::StatusOr<channel::SealedRequest> request = on->initiator->Seal(options_.model, plaintext.Expose());
  if (!request.ok()) {
    if (request.status().code() == absl::StatusCode::kResourceExhausted) {
      Forget(*on);  // it has sealed all it may
      return ErrorOf(Reason::kUnknownSession);
    }
    return request.status();
  }
  const absl::StatusOr<channel::SealedAnswer> sealed = transport_->Infer(*request, deadline);
  absl::StatusOr<Answer> answer =
      sealed.ok() ? OpenAnswer(*on, request->sequence, *sealed) : absl::StatusOr<Answer>(sealed.status());
  if (!answer.ok() && NextStepAfter(answer.status()) == NextStep::kAttest) {
    Forget(*on);
  } else if (answer.ok()) {
    answer->model = on->model;
  }
  return answer;
}

absl::StatusOr<Answer> Session::OpenAnswer(const Channel& on, uint64_t sequence,
                                           const channel::SealedAnswer& sealed) const {
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes plaintext,
                   on.initiator->OpenResponse(sequence, options_.model, sealed));
  ASSIGN_OR_RETURN(const channel::AnswerView view, channel::ParseAnswer(plaintext.Expose(), on.model->output_bytes));
  RETURN_IF_ERROR(view.status);
  Answer answer;
  answer.outputs = SplitOutputs(view.body, on.model->manifest.outputs);
  return answer;
}

absl::StatusOr<std::shared_ptr<const Session::Channel>> Session::Current(SteadyTime deadline) {
  const absl::MutexLock lock(&mu_);
  if (current_ != nullptr && options_.clock->SystemNow() >= current_->expires_at) {
    current_ = nullptr;
  }
  while (current_ == nullptr) {
    if (establishing_) {
      const auto left = absl::FromChrono(deadline - options_.clock->SteadyNow());
      const auto finished = +[](bool* establishing) { return !*establishing; };
      if (!mu_.AwaitWithTimeout(absl::Condition(finished, &establishing_), left)) {
        return absl::DeadlineExceededError("the deadline passed while new evidence was fetched");
      }
      continue;
    }
    establishing_ = true;
    mu_.Unlock();
    absl::StatusOr<std::shared_ptr<const Channel>> made = Establish(deadline);
    mu_.Lock();
    establishing_ = false;
    if (!made.ok()) {
      return made.status();
    }
    current_ = *std::move(made);
    last_model_ = current_->model;
  }
  return current_;
}

void Session::Forget(const Channel& established) {
  const absl::MutexLock lock(&mu_);
  if (current_.get() == &established) {
    current_ = nullptr;
  }
}

absl::StatusOr<std::shared_ptr<const Session::Channel>> Session::Establish(SteadyTime deadline) {
  ASSIGN_OR_RETURN(const Attested attested, Attest(deadline));
  std::shared_ptr<const Channel> established;
  const auto open = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(established, Open(attested, deadline));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(attempts().WhileOverloaded(open, deadline));
  bool is_first = false;
  {
    const absl::MutexLock lock(&mu_);
    is_first = !first_.has_value();
    if (is_first) {
      first_ = attested.model->manifest;
    }
  }
  if (const std::string shown = WhatIsShown(attested.model->manifest); is_first && !shown.empty()) {
    options_.warn("NOTE: the policy of model '" + options_.model + "' shows " + shown);
  }
  return established;
}

absl::StatusOr<std::unique_ptr<const Session::Channel>> Session::Open(const Attested& attested, SteadyTime deadline,
                                                                      Transport* transport) {
  Transport& over = transport == nullptr ? *transport_ : *transport;
  auto opened = std::make_unique<Channel>();
  ASSIGN_OR_RETURN(opened->initiator,
                   channel::Initiator::Create(attested.manifest.hpke_public_key, attested.manifest_digest));
  const channel::Initiator& initiator = *opened->initiator;
  ASSIGN_OR_RETURN(const SessionReply reply, over.OpenSession({initiator.key_id(), initiator.manifest_digest(),
                                                               initiator.enc(), initiator.sealed_hello()},
                                                              deadline));
  RETURN_IF_ERROR(opened->initiator->VerifyHello(reply.session_id, reply.hello));
  opened->model = attested.model;
  opened->expires_at = attested.manifest.expires_at;
  return opened;
}

absl::StatusOr<Session::Attested> Session::Attest(SteadyTime deadline) {
  // A reload between the two calls shows as a description that does not fit. Seen again and again, it is a lie.
  constexpr int kMaxTries = 3;
  absl::StatusOr<Model> model = absl::UnknownError("");
  for (int i = 0; i < kMaxTries; ++i) {
    ASSIGN_OR_RETURN(Appraisal appraisal, AppraiseFresh(deadline));
    ASSIGN_OR_RETURN(const attest::ModelManifest* const stated, CheckModel(*appraisal.manifest));
    std::vector<ModelDescription> descriptions;
    const auto list = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(descriptions, transport_->ListModels(deadline));
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(attempts().WhileOverloaded(list, deadline));
    model = Describe(*stated, descriptions);
    if (model.ok()) {
      return Attested{*std::move(appraisal.manifest), appraisal.manifest_digest,
                      std::make_shared<const Model>(*std::move(model))};
    }
    if (model.status().code() != absl::StatusCode::kFailedPrecondition) {
      return model.status();
    }
  }
  return RefusalError(std::string(model.status().message()));
}

absl::StatusOr<Appraisal> Session::AppraiseFresh(SteadyTime deadline) {
  const auto nonce = crypto::RandomArray<32>();
  ASSIGN_OR_RETURN(const EvidenceReply reply, FetchEvidence(*transport_, nonce, options_.model, deadline));
  Appraisal appraisal = appraiser_->Appraise(reply, nonce, options_.clock->SystemNow());
  RETURN_IF_ERROR(appraisal.ToStatus());
  evidence_kind_ = appraisal.result.kind;
  if (appraisal.result.kind == attest::EvidenceKind::kSimulated) {
    WarnOnce();
  }
  return appraisal;
}

absl::StatusOr<const attest::ModelManifest*> Session::CheckModel(const attest::Manifest& manifest) const {
  if (is_model_chosen_by_server_ && manifest.models.size() != 1) {
    // The list of models is the front end's word; which one it is must not be.
    return RefusalError("the enclave serves several models; name one of them");
  }
  ASSIGN_OR_RETURN(const attest::ModelManifest* const model, FindModel(manifest, options_.model));
  RETURN_IF_ERROR(appraiser_->CheckModel(attest::StatementOf(*model)));
  RETURN_IF_ERROR(CheckExpectations(*model, options_.expectations));
  const absl::MutexLock lock(&mu_);
  if (first_.has_value()) {
    RETURN_IF_ERROR(CheckOpensNoMore(*first_, *model));
  }
  return model;
}

absl::StatusOr<Model> Session::Describe(const attest::ModelManifest& model,
                                        const std::vector<ModelDescription>& descriptions) const {
  const auto description = std::find_if(descriptions.begin(), descriptions.end(),
                                        [&](const ModelDescription& d) { return d.name == options_.model; });
  if (description == descriptions.end()) {
    return absl::FailedPreconditionError("the server does not describe model '" + options_.model + "'");
  }
  return CheckDescription(model, *description);
}

void Session::WarnOnce() {
  {
    const absl::MutexLock lock(&mu_);
    if (std::exchange(warned_, true)) {
      return;
    }
  }
  options_.warn(kSimulatedWarning);
}

}  // namespace shoji::client
