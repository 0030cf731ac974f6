// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/payload.h"

#include <algorithm>
#include <array>

#include "lib/base/check.h"
#include "lib/base/reason.h"

namespace shoji::channel {
namespace {

constexpr uint8_t kMaxStatusCode = static_cast<uint8_t>(absl::StatusCode::kUnauthenticated);

constexpr uint8_t kWantsPhases = 1;  // in the lower byte of a request's flags

crypto::PlaintextBytes WithHeader(ByteSpan header, size_t body_size) {
  crypto::PlaintextBytes out(header.size() + body_size);
  std::copy(header.begin(), header.end(), out.ExposeMutable().begin());
  return out;
}

// An answer but for its body, which is zero.
crypto::PlaintextBytes AnswerWith(ByteSpan header, size_t body_size, const std::optional<PhaseTimes>& phases) {
  crypto::PlaintextBytes out = WithHeader(header, body_size + (phases.has_value() ? kPhaseTrailerSize : 0));
  if (phases.has_value()) {
    WritePhaseTrailer(*phases, out.ExposeMutable().last(kPhaseTrailerSize));
  }
  return out;
}

// The status an answer's header states. A reason this build does not know leaves the code, which says enough to act on.
absl::Status StatusFrom(uint8_t code, uint16_t reason) {
  if (reason > 0 && reason <= kMaxReason) {
    absl::Status status = ErrorOf(static_cast<Reason>(reason));
    if (status.raw_code() == code) {
      return status;
    }
  }
  return {static_cast<absl::StatusCode>(code), "the enclave refused the request"};
}

}  // namespace

bool IsRequestSize(size_t sealed_size, const RequestBodySizes& sizes) {
  return std::ranges::any_of(std::array{sizes.picture, sizes.tensors}, [sealed_size](size_t body_size) {
    return body_size != RequestBodySizes::kNone && sealed_size == SealedRequestSize(body_size);
  });
}

crypto::PlaintextBytes BuildRequest(RequestKind kind, ByteSpan body, Trailer trailer) {
  const uint8_t flags = trailer == Trailer::kPhases ? kWantsPhases : 0;
  const std::array<uint8_t, kRequestHeaderSize> header = {kPayloadVersion, static_cast<uint8_t>(kind), 0, flags};
  crypto::PlaintextBytes out = WithHeader(header, body.size());
  std::copy(body.begin(), body.end(), out.ExposeMutable().begin() + kRequestHeaderSize);
  return out;
}

Trailer TrailerAskedBy(ByteSpan plaintext) {
  return plaintext.size() >= kRequestHeaderSize && (plaintext[3] & kWantsPhases) != 0 ? Trailer::kPhases
                                                                                      : Trailer::kNone;
}

absl::StatusOr<RequestView> ParseRequest(ByteSpan plaintext, const RequestBodySizes& sizes) {
  if (plaintext.size() < kRequestHeaderSize || plaintext[0] != kPayloadVersion || plaintext[2] != 0 ||
      (plaintext[3] & ~kWantsPhases) != 0) {
    return ErrorOf(Reason::kBadInput);
  }
  const bool is_picture = plaintext[1] == static_cast<uint8_t>(RequestKind::kPicture);
  if (!is_picture && plaintext[1] != static_cast<uint8_t>(RequestKind::kTensors)) {
    return ErrorOf(Reason::kBadInput);
  }
  const ByteSpan body = plaintext.subspan(kRequestHeaderSize);
  const size_t expected = is_picture ? sizes.picture : sizes.tensors;
  if (expected == RequestBodySizes::kNone || body.size() != expected) {
    return ErrorOf(Reason::kBadInput);
  }
  return RequestView{.kind = is_picture ? RequestKind::kPicture : RequestKind::kTensors, .body = body};
}

crypto::PlaintextBytes BuildAnswer(ByteSpan body, const std::optional<PhaseTimes>& phases) {
  const std::array<uint8_t, kAnswerHeaderSize> header = {kPayloadVersion};
  crypto::PlaintextBytes out = AnswerWith(header, body.size(), phases);
  std::copy(body.begin(), body.end(), out.ExposeMutable().begin() + kAnswerHeaderSize);
  return out;
}

crypto::PlaintextBytes BuildErrorAnswer(const absl::Status& error, size_t body_size,
                                        const std::optional<PhaseTimes>& phases) {
  SHOJI_CHECK(!error.ok());
  const auto code = static_cast<uint8_t>(error.code());
  const auto reason = static_cast<uint8_t>(ReasonOf(error));
  const std::array<uint8_t, kAnswerHeaderSize> header = {kPayloadVersion, code, 0, reason};
  return AnswerWith(header, body_size, phases);
}

absl::StatusOr<AnswerView> ParseAnswer(ByteSpan plaintext, size_t body_size, Trailer trailer) {
  const size_t trailer_size = trailer == Trailer::kPhases ? kPhaseTrailerSize : 0;
  if (plaintext.size() < kAnswerHeaderSize + trailer_size ||
      plaintext.size() - kAnswerHeaderSize - trailer_size != body_size) {
    return ErrorOf(Reason::kBadInput);
  }
  const uint8_t code = plaintext[1];
  const auto reason = static_cast<uint16_t>(plaintext[2] << 8 | plaintext[3]);
  const ByteSpan reserved = plaintext.subspan(4, 4);
  const bool reserved_is_zero = std::ranges::all_of(reserved, [](uint8_t byte) { return byte == 0; });
  if (plaintext[0] != kPayloadVersion || code > kMaxStatusCode || !reserved_is_zero || (code == 0 && reason != 0)) {
    return ErrorOf(Reason::kBadInput);
  }
  AnswerView answer;
  answer.status = code == 0 ? absl::OkStatus() : StatusFrom(code, reason);
  answer.body = plaintext.subspan(kAnswerHeaderSize, body_size);
  if (trailer == Trailer::kPhases) {
    answer.phases = ReadPhaseTrailer(plaintext.last(kPhaseTrailerSize));
  }
  return answer;
}

}  // namespace shoji::channel
