// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/base/reason.h"
#include "lib/channel/initiator.h"
#include "lib/channel/responder.h"
#include "tests/support/fake_clock.h"

namespace shoji::channel {

// A manifest that names `state` and carries the key, as the real one does: the key is its last 32 bytes.
inline MakeManifest ManifestOf(const std::string& state) {
  return [state](const crypto::HpkePublicKey& public_key, SystemTime) {
    Bytes out = ToBytes("manifest of " + state + ":");
    Append(out, public_key);
    return out;
  };
}

inline std::shared_ptr<const std::string> StateOf(const std::string& name) {
  return std::make_shared<const std::string>(name);
}

inline crypto::HpkePublicKey KeyIn(const ManifestView& manifest) {
  crypto::HpkePublicKey out = {};
  std::copy(manifest.bytes.end() - 32, manifest.bytes.end(), out.begin());
  return out;
}

// An enclave's end with its clock, and clients that come and go.
struct Harness {
  explicit Harness(const ResponderOptions& options = {})
      : responder(Responder::Create(options, clock, ManifestOf("v1"), StateOf("v1")).value()) {}

  // A client that has fetched `manifest` and not yet said hello.
  static std::unique_ptr<Initiator> ClientFor(const ManifestView& manifest) {
    return Initiator::Create(KeyIn(manifest), manifest.digest).value();
  }
  std::unique_ptr<Initiator> NewClient() { return ClientFor(responder->Current()); }

  absl::StatusOr<HelloAck> Hello(const Initiator& client) {
    return responder->OpenSession(client.key_id(), client.manifest_digest(), client.enc(), client.sealed_hello());
  }
  absl::Status Connect(Initiator& client) {
    absl::StatusOr<HelloAck> ack = Hello(client);
    return ack.ok() ? client.VerifyHello(ack->session_id, ack->sealed_hello) : ack.status();
  }
  std::unique_ptr<Initiator> Connected() {
    std::unique_ptr<Initiator> client = NewClient();
    SHOJI_CHECK(Connect(*client).ok());
    return client;
  }

  // What the enclave says to a fresh request of `client`: OK and the right round trip, or the reason.
  Reason Ask(Initiator& client) {
    const absl::StatusOr<SealedRequest> request = client.Seal("model", AsBytes("question"));
    SHOJI_CHECK(request.ok());
    const absl::StatusOr<OpenedRequest> opened = responder->Open(*request);
    if (!opened.ok()) {
      return ReasonOf(opened.status());
    }
    const absl::StatusOr<SealedAnswer> answer = opened->sealer.Seal(opened->plaintext.Expose());
    SHOJI_CHECK(answer.ok());
    const auto plaintext = client.OpenResponse(request->sequence, "model", *answer);
    SHOJI_CHECK(plaintext.ok() && ToString(plaintext->Expose()) == "question");
    return Reason::kUnspecified;
  }

  testing::FakeClock clock;
  std::unique_ptr<Responder> responder;
};

// What Harness::Ask and the like give when nothing failed.
inline constexpr Reason kNone = Reason::kUnspecified;

inline Bytes WithFlippedBit(ByteSpan bytes, size_t bit) {
  Bytes out(bytes.begin(), bytes.end());
  out[bit / 8] = static_cast<uint8_t>(out[bit / 8] ^ 1 << bit % 8);
  return out;
}

}  // namespace shoji::channel
