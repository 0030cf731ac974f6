// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Everything that reads bytes a client or a front end sends into the channel. The first byte picks what the rest is:
//   0  a sealed request, field by field, against a live session
//   1  changes to a valid request, so that the code behind a good field is reached too
//   2  a hello
//   3  the plaintext of a request that authenticated    4  the plaintext of an answer
//   5  an answer, at the client
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/reason.h"
#include "lib/channel/initiator.h"
#include "lib/channel/payload.h"
#include "lib/channel/responder.h"

namespace shoji::channel {
namespace {

// Takes what it can; zeros where the input ends.
class Input {
 public:
  explicit Input(ByteSpan data) : data_(data) {}

  uint8_t Byte() { return Take<1>()[0]; }
  template <size_t kSize>
  std::array<uint8_t, kSize> Take() {
    std::array<uint8_t, kSize> out = {};
    const size_t size = std::min(kSize, data_.size());
    std::copy_n(data_.begin(), size, out.begin());
    data_ = data_.subspan(size);
    return out;
  }
  uint64_t Number() {
    uint64_t out = 0;
    for (const uint8_t byte : Take<8>()) {
      out = out << 8 | byte;
    }
    return out;
  }
  ByteSpan Rest() const { return data_; }

 private:
  ByteSpan data_;
};

// One enclave and one client with an open session, for the life of the process.
class Fixture {
 public:
  Fixture()
      : responder_(Responder::Create(
                       {.rotate_after = std::chrono::hours(100000), .replay_window_size = 64}, clock_,
                       [](const crypto::HpkePublicKey& key, SystemTime) { return Bytes(key.begin(), key.end()); },
                       nullptr)
                       .value()) {
    const ManifestView manifest = responder_->Current();
    crypto::HpkePublicKey key = {};
    std::copy(manifest.bytes.begin(), manifest.bytes.end(), key.begin());
    client_ = Initiator::Create(key, manifest.digest).value();
    const absl::StatusOr<HelloAck> ack =
        responder_->OpenSession(client_->key_id(), client_->manifest_digest(), client_->enc(), client_->sealed_hello());
    SHOJI_CHECK(ack.ok());
    SHOJI_CHECK(client_->VerifyHello(ack->session_id, ack->sealed_hello).ok());
  }

  void Request(Input input) {
    SealedRequest request = {
        .key_id = client_->key_id(), .session_id = client_->session_id(), .sequence = 0, .model = "", .ciphertext = {}};
    const uint8_t guess = input.Byte();
    if ((guess & 1) != 0) {
      request.key_id = input.Take<16>();
    }
    if ((guess & 2) != 0) {
      request.session_id = input.Take<16>();
    }
    request.sequence = input.Number();
    const size_t model_size = std::min<size_t>(input.Byte(), input.Rest().size());
    request.model = ToString(input.Rest().first(model_size));
    const ByteSpan ciphertext = input.Rest().subspan(model_size);
    request.ciphertext.assign(ciphertext.begin(), ciphertext.end());
    SHOJI_CHECK(!responder_->Open(request).ok());  // nobody forges a tag
  }

  void ChangedRequest(Input input) {
    SealedRequest request = client_->Seal("model", input.Rest()).value();
    const SealedRequest original = request;
    const size_t at = input.Byte();
    const uint8_t change = input.Byte();
    request.ciphertext[at % request.ciphertext.size()] ^= change;
    request.sequence += input.Byte();
    request.model.resize(input.Byte() % 16, 'x');
    const bool is_same = request.ciphertext == original.ciphertext && request.sequence == original.sequence &&
                         request.model == original.model;
    SHOJI_CHECK(responder_->Open(request).ok() == is_same);
    SHOJI_CHECK(responder_->Open(original).ok() != is_same);
  }

  void Hello(Input input) {
    const uint8_t guess = input.Byte();
    const KeyId key_id = (guess & 1) != 0 ? input.Take<16>() : client_->key_id();
    const ManifestDigest digest = (guess & 2) != 0 ? input.Take<32>() : client_->manifest_digest();
    const crypto::HpkeEnc enc = input.Take<32>();
    SHOJI_CHECK(!responder_->OpenSession(key_id, digest, enc, input.Rest()).ok());
  }

  void Answer(Input input) {
    const uint64_t sequence = input.Number();
    SealedAnswer answer = {.salt = input.Take<32>(), .ciphertext = {}};
    answer.ciphertext.assign(input.Rest().begin(), input.Rest().end());
    SHOJI_CHECK(!client_->OpenResponse(sequence, "model", answer).ok());
    SHOJI_CHECK(!client_->VerifyHello(client_->session_id(), answer).ok());
  }

 private:
  RealClock clock_;
  std::unique_ptr<Responder> responder_;
  std::unique_ptr<Initiator> client_;
};

void RequestPlaintext(Input input) {
  const size_t picture = input.Byte();
  const size_t tensors = input.Byte();
  const RequestBodySizes sizes = {.picture = picture, .tensors = tensors};
  const absl::StatusOr<RequestView> view = ParseRequest(input.Rest(), sizes);
  if (view.ok()) {
    SHOJI_CHECK(std::ranges::equal(BuildRequest(view->kind, view->body, TrailerAskedBy(input.Rest())).Expose(), input.Rest()));
  }
}

void AnswerPlaintext(Input input) {
  const size_t body_size = input.Byte();
  const absl::StatusOr<AnswerView> view = ParseAnswer(input.Rest(), body_size);
  if (view.ok() && view->status.ok()) {
    SHOJI_CHECK(std::ranges::equal(BuildAnswer(view->body).Expose(), input.Rest()));
  }
}

void RunOne(Input input) {
  static auto* const fixture = new Fixture();
  switch (input.Byte() % 6) {
    case 0:
      return fixture->Request(input);
    case 1:
      return fixture->ChangedRequest(input);
    case 2:
      return fixture->Hello(input);
    case 3:
      return RequestPlaintext(input);
    case 4:
      return AnswerPlaintext(input);
    default:
      return fixture->Answer(input);
  }
}

}  // namespace
}  // namespace shoji::channel

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shoji::channel::RunOne(shoji::channel::Input({data, size}));
  return 0;
}
