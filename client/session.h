// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The client library's one entry: encrypted inference with one model of one Shoji server.
//
// Example:
//   client::Session::Options options;
//   options.model = "cifar10_resnet";
//   ASSIGN_OR_RETURN(options.appraisal.policy, appraisal_file::LoadAppraisalPolicy("trusted.yaml"));
//   ASSIGN_OR_RETURN(auto session, client::Session::Create(std::move(options), std::move(transport)));
//   ASSIGN_OR_RETURN(const image::Image picture, image::Decode(file, "cat.png"));
//   ASSIGN_OR_RETURN(const client::Answer answer, session->Infer(picture, clock.SteadyNow() + 10s));
//   answer.outputs[0].values<float>() ... answer.model->labels
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/appraisal.h"
#include "client/attempts.h"
#include "client/model.h"
#include "client/retry.h"
#include "client/transport.h"
#include "lib/base/clock.h"
#include "lib/channel/initiator.h"
#include "lib/channel/payload.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/image/image.h"
#include "lib/tensor/tensor.h"

namespace shoji::client {

struct Answer {
  std::vector<Tensor> outputs;  // float32, of the shapes in model->manifest.outputs
  // What answered; shared with the session, which may have gone on to another manifest since.
  std::shared_ptr<const Model> model;
};

// A session appraises the enclave's evidence before it sends anything, encrypts to the attested key, and decrypts what
// comes back. When the enclave restarts, rotates its key or reloads, and when the server is away for a while, the
// session fetches new evidence, appraises it under the same policy, opens a new channel and goes on by itself until the
// caller's deadline. It does not go on with an enclave whose policy shows more to accelerators than the one it began
// with did (CheckOpensNoMore): make a new session to accept that. Every attempt is encrypted anew under a number of its
// own; an attempt that timed out may have been executed.
//
// Errors of every call: a refusal (IsRefusal; PERMISSION_DENIED) when attestation or expectations fail, and nothing was
// sent; DEADLINE_EXCEEDED, which names the last error met; UNAUTHENTICATED (OPEN_FAILED) when an answer was forged or
// altered; otherwise what the server or the enclave said, with its Reason (lib/base/reason.h). No message ever holds a
// key, a picture or a result.
//
// Thread-safe; any number of requests may be in flight.
class Session {
 public:
  struct Options {
    std::string model;  // empty: the one that the server serves, if it serves exactly one
    AppraisalPolicy appraisal;
    Expectations expectations;
    std::chrono::milliseconds create_timeout = std::chrono::seconds(10);
    // Where nobody answers at the server's address, Create tries again for so long (zero: not at all), also beyond
    // `create_timeout`, which is then that of each attempt. nullopt: kFirstPatience, or `create_timeout` where that is
    // shorter.
    std::optional<std::chrono::milliseconds> create_patience;
    // Told once when simulated evidence is accepted, once what the policy shows to accelerators, and whenever a call
    // begins to wait because nobody answers. Unset: stderr.
    std::function<void(const std::string&)> warn;
    // For tests; both must outlive the session. Unset: the real clock, and sleeping.
    const Clock* clock = nullptr;
    std::function<void(std::chrono::milliseconds)> wait;
  };

  // Attests and opens the channel. INVALID_ARGUMENT: bad options, or `model` is empty and there are several.
  static absl::StatusOr<std::unique_ptr<Session>> Create(Options options, std::unique_ptr<Transport> transport);

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // What the session speaks to now.
  std::shared_ptr<const Model> model() const;
  const std::string& model_name() const { return options_.model; }
  // Of the evidence that was accepted last.
  attest::EvidenceKind evidence_kind() const { return evidence_kind_; }

  // Scales and crops `picture` as the attested preprocessing says, and classifies it. FAILED_PRECONDITION when the
  // model has no preprocessing.
  absl::StatusOr<Answer> Infer(const image::Image& picture, SteadyTime deadline);
  // `inputs`: every input of the model in order, float32, of the manifest's shapes; INVALID_ARGUMENT otherwise.
  absl::StatusOr<Answer> Infer(std::span<const Tensor> inputs, SteadyTime deadline);

  // For callers who send requests themselves, such as load generators. New evidence, appraised, and the model's
  // description that agrees with it; one try.
  struct Attested {
    attest::Manifest manifest;
    digest::Sha256Digest manifest_digest = {};
    std::shared_ptr<const Model> model;
  };
  absl::StatusOr<Attested> Attest(SteadyTime deadline);
  // One attested channel. The session's own one is shared with its requests in flight, which may outlast it there.
  struct Channel {
    std::shared_ptr<const Model> model;
    std::unique_ptr<channel::Initiator> initiator;
    SystemTime expires_at;  // by the manifest; nothing is sealed for its key from then on, whatever the server says
  };
  // Another channel under what was attested; one try, over `transport` or else the session's own.
  absl::StatusOr<std::unique_ptr<const Channel>> Open(const Attested& attested, SteadyTime deadline,
                                                      Transport* transport = nullptr);

 private:
  // Makes the plaintext of a request for a model as it is described now.
  using MakeRequest = std::function<absl::StatusOr<crypto::PlaintextBytes>(const Model& model)>;

  Session(Options options, std::unique_ptr<Transport> transport, std::unique_ptr<Appraiser> appraiser);

  absl::Status ChooseModel(SteadyTime deadline);
  absl::StatusOr<Answer> Run(const MakeRequest& make_request, SteadyTime deadline);
  absl::StatusOr<Answer> TryOnce(const MakeRequest& make_request, SteadyTime deadline);
  absl::StatusOr<Answer> OpenAnswer(const Channel& on, uint64_t sequence, const channel::SealedAnswer& sealed) const;
  // The established channel; makes one where there is none, in one thread while the others wait.
  absl::StatusOr<std::shared_ptr<const Channel>> Current(SteadyTime deadline);
  absl::StatusOr<std::shared_ptr<const Channel>> Establish(SteadyTime deadline);
  absl::StatusOr<Appraisal> AppraiseFresh(SteadyTime deadline);
  // The session's model, in `manifest`, which must outlive it: as the policy, the expectations and what was accepted
  // first allow.
  absl::StatusOr<const attest::ModelManifest*> CheckModel(const attest::Manifest& manifest) const;
  absl::StatusOr<Model> Describe(const attest::ModelManifest& model,
                                 const std::vector<ModelDescription>& descriptions) const;
  Attempts attempts() const;
  void Forget(const Channel& established);
  void WarnOnce();

  const RealClock real_clock_;
  Options options_;                         // `model` is written in Create only
  bool is_model_chosen_by_server_ = false;  // likewise
  std::atomic<attest::EvidenceKind> evidence_kind_ = attest::EvidenceKind::kSimulated;
  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<Appraiser> appraiser_;

  mutable absl::Mutex mu_;
  bool establishing_ ABSL_GUARDED_BY(mu_) = false;
  bool warned_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<const Channel> current_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const Model> last_model_ ABSL_GUARDED_BY(mu_);
  // As first accepted: what later manifests are compared with.
  std::optional<attest::ModelManifest> first_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::client
