// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A client that does each step by hand, so that a test can alter, repeat or reorder what it sends. It appraises
// nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"
#include "lib/channel/framing.h"
#include "lib/channel/initiator.h"
#include "lib/channel/payload.h"
#include "lib/crypto/plaintext_bytes.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::testing {

// Thread-compatible.
class RawClient {
 public:
  // Connects to a front end in plaintext; nothing is sent yet.
  explicit RawClient(const std::string& address);

  absl::StatusOr<v1::GetEvidenceResponse> GetEvidence(ByteSpan nonce, const std::string& model = "");
  // Fetches the manifest and opens a session under it.
  absl::Status Attest(const std::string& model);
  // What OpenSession would send for the manifest of the last Attest, and the sending of it.
  absl::StatusOr<v1::OpenSessionRequest> MakeHello();
  absl::StatusOr<v1::OpenSessionResponse> SendHello(const v1::OpenSessionRequest& hello);
  // Another session under the manifest of the last Attest; the one before is no longer this client's.
  absl::Status OpenAnother();
  // Puts `session` in the place of this client's, and gives that one back.
  std::unique_ptr<channel::Initiator> Exchange(std::unique_ptr<channel::Initiator> session) {
    return std::exchange(initiator_, std::move(session));
  }

  // Goes with every call from then on.
  void SetToken(std::string token) { token_ = std::move(token); }
  // Goes with every request from then on.
  void SetTraceParent(std::string traceparent) { traceparent_ = std::move(traceparent); }

  const attest::Manifest& manifest() const { return manifest_; }
  const channel::Initiator& initiator() const { return *initiator_; }
  channel::Initiator& initiator() { return *initiator_; }

  // Seals a request with `body` for `model`.
  absl::StatusOr<channel::SealedRequest> Seal(channel::RequestKind kind, ByteSpan body, const std::string& model);
  // Sends it as it is, by the method of its purpose. Errors carry their Reason.
  absl::StatusOr<channel::SealedAnswer> Send(const channel::SealedRequest& request);
  // The same, cancelled when `give_up` returns true, if there is no answer by then.
  absl::StatusOr<channel::SealedAnswer> SendUntil(const channel::SealedRequest& request,
                                                  const std::function<bool()>& give_up);
  // Opens the answer to `request`.
  absl::StatusOr<crypto::PlaintextBytes> Open(const channel::SealedRequest& request,
                                              const channel::SealedAnswer& answer) const;
  // Seal, Send, Open: whether a well-formed request is answered with a result.
  absl::Status Roundtrip(channel::RequestKind kind, ByteSpan body, const std::string& model);

 private:
  void Prepare(grpc::ClientContext& context) const;
  absl::StatusOr<channel::SealedAnswer> Send(grpc::ClientContext& context, const channel::SealedRequest& request);

  const std::unique_ptr<v1::AttestationService::Stub> attestation_;
  const std::unique_ptr<v1::InferenceService::Stub> inference_;
  std::string token_;
  std::string traceparent_;
  attest::Manifest manifest_;
  digest::Sha256Digest manifest_digest_ = {};
  std::unique_ptr<channel::Initiator> initiator_;
};

}  // namespace shoji::testing
