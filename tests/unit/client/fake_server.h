// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A front end and an enclave in one object, behind the client's Transport: the real channel and real (simulated)
// evidence, with places where a test can break or forge what passes.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/transport.h"
#include "lib/attest/manifest.h"
#include "lib/attest/simulated/simulated_evidence.h"
#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/reason.h"
#include "lib/channel/payload.h"
#include "lib/channel/release.h"
#include "lib/channel/responder.h"
#include "lib/image/preprocessing.h"
#include "tests/support/fake_clock.h"
#include "tests/support/simulated_signer.h"

namespace shoji::client {

using testing::FakeClock;

// What the enclave has loaded. The "network" answers [first byte of the body, length of the body, kind].
struct FakeModel {
  attest::ModelManifest manifest;
  std::vector<attest::ModelManifest> others = {};  // that the enclave serves as well; the front end lists none of them
  Bytes preprocessing;
  Bytes labels;
  std::vector<attest::AwaitedModel> awaited = {};

  channel::RequestBodySizes sizes() const {
    const auto parsed = image::ParsePreprocessing(preprocessing);
    return {parsed.ok() ? parsed->num_pixel_bytes() : channel::RequestBodySizes::kNone, 8};
  }
};

inline FakeModel MakeFakeModel(uint32_t crop = 2) {
  image::Preprocessing p;
  p.resize_shorter_side = p.crop_width = p.crop_height = crop;
  p.mean = {0, 0, 0};
  p.std = {1, 1, 1};
  FakeModel model;
  model.preprocessing = image::Serialize(p);
  model.labels = ToBytes("cat\ndog\nbird\n");
  model.manifest.name = "pets";
  model.manifest.model_digest.fill(7);
  model.manifest.plan_digest.fill(8);
  model.manifest.preprocessing_digest = digest::Sha256(model.preprocessing);
  model.manifest.labels_digest = digest::Sha256(model.labels);
  model.manifest.inputs = {{"x", DataType::kFloat32, Shape({1, 2})}};
  model.manifest.outputs = {{"y", DataType::kFloat32, Shape({1, 3})}};
  return model;
}

inline attest::OpenedSegment Opens(const std::string& first_node) {
  return {first_node, "last", {"operator"}, {{"features", DataType::kFloat32, Shape({1, 4})}}};
}

// Thread-safe, the hooks excepted: set them while no call is in flight.
class FakeServer {
 public:
  explicit FakeServer(FakeModel model = MakeFakeModel()) { Restart(std::move(model)); }

  // A new process: new keys, no memory of any session.
  void Restart(FakeModel model) {
    const absl::MutexLock lock(&mu_);
    model_ = std::make_shared<const FakeModel>(std::move(model));
    auto responder = channel::Responder::Create({}, clock, ManifestMaker(model_), model_);
    SHOJI_CHECK(responder.ok());
    responder_ = *std::move(responder);
  }
  // The same process under another model or policy.
  void Reload(FakeModel model) {
    const absl::MutexLock lock(&mu_);
    model_ = std::make_shared<const FakeModel>(std::move(model));
    responder_->Reissue(ManifestMaker(model_), model_);
  }
  // The next `count` Infer calls fail with `status` before they reach the enclave.
  void FailInfer(int count, const absl::Status& status) {
    const absl::MutexLock lock(&mu_);
    for (int i = 0; i < count; ++i) {
      infer_failures_.push_back(status);
    }
  }

  absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& nonce) {
    ++num_evidence;
    EvidenceReply reply = MakeEvidence(nonce);
    if (on_shared_evidence) {
      on_shared_evidence(reply, nonce);
    }
    if (on_evidence) {
      on_evidence(reply);
    }
    return reply;
  }

  EvidenceReply MakeEvidence(const attest::Nonce& nonce) {
    const auto responder = this->responder();
    const channel::ManifestView view = responder->Current();
    attest::SimulatedEvidence evidence;
    evidence.report_data = attest::ReportDataFor(view.digest, nonce);
    return {view.bytes, {attest::EvidenceKind::kSimulated, attest::EncodeSimulatedEvidence(signer.Sign(evidence))}};
  }

  std::vector<ModelDescription> ListModels() {
    const absl::MutexLock lock(&mu_);
    std::vector<ModelDescription> out = {{model_->manifest.name, model_->preprocessing, model_->labels}};
    if (on_models) {
      on_models(out);
    }
    return out;
  }

  absl::StatusOr<SessionReply> OpenSession(const SessionOffer& offer) {
    ++num_sessions;
    const auto responder = this->responder();
    const auto ack = responder->OpenSession(offer.key_id, offer.manifest_digest, offer.enc, offer.sealed_hello);
    if (!ack.ok()) {
      return ack.status();
    }
    SessionReply reply = {ack->session_id, ack->sealed_hello};
    if (on_session) {
      on_session(reply);
    }
    return reply;
  }

  absl::StatusOr<channel::SealedAnswer> Infer(const channel::SealedRequest& request) {
    {
      const absl::MutexLock lock(&mu_);
      ++num_infers_;
      SHOJI_CHECK(seen_.emplace(request.session_id, request.sequence).second);  // never twice, whatever happened
      if (!infer_failures_.empty()) {
        const absl::Status status = infer_failures_.front();
        infer_failures_.pop_front();
        return status;
      }
    }
    if (before_infer) {
      before_infer();
    }
    absl::StatusOr<channel::SealedAnswer> answer = Execute(request);
    if (answer.ok() && on_answer) {
      on_answer(*answer);
    }
    return answer;
  }

  // Opens a release and answers it as `on_release` says.
  absl::StatusOr<channel::SealedAnswer> ReleaseKey(const channel::SealedRequest& request) {
    absl::StatusOr<channel::OpenedRequest> opened = responder()->Open(request);
    if (!opened.ok()) {
      return opened.status();
    }
    const absl::StatusOr<channel::KeyRelease> release = channel::ParseRelease(opened->plaintext.Expose());
    SHOJI_CHECK(release.ok());
    const absl::Status status = on_release ? on_release(*release) : absl::OkStatus();
    absl::StatusOr<channel::SealedAnswer> answer =
        opened->sealer.Seal(status.ok() ? channel::BuildAnswer(release->nonce).Expose()
                                        : channel::BuildErrorAnswer(status, channel::kReleaseAnswerBodySize).Expose());
    if (answer.ok() && on_answer) {
      on_answer(*answer);
    }
    return answer;
  }

  int num_infers() {
    const absl::MutexLock lock(&mu_);
    return num_infers_;
  }

  testing::SimulatedSigner signer;
  FakeClock clock;
  std::atomic<int> num_evidence = 0;
  std::atomic<int> num_sessions = 0;
  absl::Status sealed_error;  // not OK: what every request's sealed answer says
  std::function<void(EvidenceReply&)> on_evidence;
  std::function<void(EvidenceReply&, const attest::Nonce&)> on_shared_evidence;  // knows what was asked for
  std::function<void(std::vector<ModelDescription>&)> on_models;
  std::function<void(SessionReply&)> on_session;
  std::function<void()> before_infer;
  std::function<absl::Status(const channel::KeyRelease&)> on_release;
  std::function<void(channel::SealedAnswer&)> on_answer;

 private:
  static channel::MakeManifest ManifestMaker(std::shared_ptr<const FakeModel> model) {
    return [model = std::move(model)](const crypto::HpkePublicKey& key, SystemTime expires_at) {
      attest::Manifest manifest;
      manifest.hpke_public_key = key;
      manifest.expires_at = expires_at;
      manifest.software_version = "fake";
      manifest.models = {model->manifest};
      manifest.awaited = model->awaited;
      manifest.models.insert(manifest.models.end(), model->others.begin(), model->others.end());
      return attest::EncodeManifest(manifest);
    };
  }

  // Shared, since a restart may replace it under a call.
  std::shared_ptr<channel::Responder> responder() {
    const absl::MutexLock lock(&mu_);
    return responder_;
  }

  absl::StatusOr<channel::SealedAnswer> Execute(const channel::SealedRequest& sealed) {
    const auto responder = this->responder();
    absl::StatusOr<channel::OpenedRequest> opened = responder->Open(sealed);
    if (!opened.ok()) {
      return opened.status();
    }
    const auto& model = *static_cast<const FakeModel*>(opened->context.get());
    const auto request = channel::ParseRequest(opened->plaintext.Expose(), model.sizes());
    const absl::Status error = sealed_error.ok() ? request.status() : sealed_error;
    if (!error.ok()) {
      return opened->sealer.Seal(channel::BuildErrorAnswer(error, 12).Expose());
    }
    const float values[3] = {static_cast<float>(request->body[0]), static_cast<float>(request->body.size()),
                             static_cast<float>(request->kind)};
    Bytes body(sizeof(values));
    std::memcpy(body.data(), values, sizeof(values));
    return opened->sealer.Seal(channel::BuildAnswer(body).Expose());
  }

  absl::Mutex mu_;
  std::shared_ptr<const FakeModel> model_ ABSL_GUARDED_BY(mu_);  // shared with the sessions made under it
  std::shared_ptr<channel::Responder> responder_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Status> infer_failures_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<channel::SessionId, uint64_t>> seen_ ABSL_GUARDED_BY(mu_);
  int num_infers_ ABSL_GUARDED_BY(mu_) = 0;
};

// Calls `server`, which must outlive it. Thread-safe.
class FakeTransport : public Transport {
 public:
  explicit FakeTransport(FakeServer& server) : server_(server) {}

  absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& nonce, const std::string&, SteadyTime) override {
    return server_.GetEvidence(nonce);
  }
  absl::StatusOr<std::vector<ModelDescription>> ListModels(SteadyTime) override { return server_.ListModels(); }
  absl::StatusOr<SessionReply> OpenSession(const SessionOffer& offer, SteadyTime) override {
    return server_.OpenSession(offer);
  }
  absl::StatusOr<channel::SealedAnswer> Infer(const channel::SealedRequest& request, SteadyTime) override {
    return server_.Infer(request);
  }
  absl::StatusOr<EvidenceReply> GetSealedModelEvidence(const attest::Nonce& nonce, const digest::Sha256Digest&,
                                                       SteadyTime) override {
    return server_.GetEvidence(nonce);
  }
  absl::StatusOr<channel::SealedAnswer> ReleaseKey(const channel::SealedRequest& request, SteadyTime) override {
    return server_.ReleaseKey(request);
  }
  std::chrono::milliseconds RetryAfter(const absl::Status&) const override { return std::chrono::milliseconds(0); }

 private:
  FakeServer& server_;
};

}  // namespace shoji::client
