// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What stands inside a sealed request and a sealed answer (docs/protocol.md, section 5).
//
//   request  version u8 = 1 | kind u8 | flags u16 big-endian | body
//     kind 1, picture: uint8 pixels, height x width x channels in the preprocessing's channel order, already resized
//                      and cropped
//     kind 2, tensors: every input of the model in order, float32 little-endian, row-major in the ONNX layout
//     flags            bit 0: the answer shall end with a trailer of phase times; the others 0
//   answer   version u8 = 1 | status u8 (0, or a gRPC status code) | reason u16 big-endian | reserved u32 = 0 | body
//            | trailer, where it was asked for
//     body: every output of the model in order, float32 little-endian; zero-filled in an error, so that the length of
//           an answer is that of the model and of what was asked, alone
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/channel/phase_times.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::channel {

inline constexpr uint8_t kPayloadVersion = 1;
inline constexpr size_t kRequestHeaderSize = 4;
inline constexpr size_t kAnswerHeaderSize = 8;

enum class RequestKind : uint8_t { kPicture = 1, kTensors = 2 };

// The lengths of a model's request bodies; none: the model does not take that kind.
struct RequestBodySizes {
  static constexpr size_t kNone = SIZE_MAX;
  size_t picture = kNone;
  size_t tensors = kNone;
};

// The length of a sealed message whose body has `body_size` bytes.
constexpr size_t SealedRequestSize(size_t body_size) { return kRequestHeaderSize + body_size + crypto::kAeadTagSize; }
constexpr size_t SealedAnswerSize(size_t body_size) { return kAnswerHeaderSize + body_size + crypto::kAeadTagSize; }

// Whether the answer shall say where the time went.
enum class Trailer : uint8_t { kNone, kPhases };

// Whether a sealed request of `sealed_size` bytes can be for a model of these sizes: what is checked of a request's
// length before its plaintext (WRONG_LENGTH).
bool IsRequestSize(size_t sealed_size, const RequestBodySizes& sizes);

struct RequestView {
  RequestKind kind = RequestKind::kTensors;
  ByteSpan body;  // of the parsed bytes, which must outlive it
};

crypto::PlaintextBytes BuildRequest(RequestKind kind, ByteSpan body, Trailer trailer = Trailer::kNone);
// What a decrypted request asks for, also where it is malformed otherwise: its answer has the length that it asked for.
Trailer TrailerAskedBy(ByteSpan plaintext);
// Parses decrypted but still hostile bytes. INVALID_ARGUMENT (BAD_INPUT) unless version, kind, flags and the exact
// length are right.
absl::StatusOr<RequestView> ParseRequest(ByteSpan plaintext, const RequestBodySizes& sizes);

struct AnswerView {
  absl::Status status;  // what the enclave says about the request; an error carries its Reason
  ByteSpan body;        // as long as the model's answer, all zero in an error
  std::optional<PhaseTimes> phases;
};

// With `phases` the answer has a trailer.
crypto::PlaintextBytes BuildAnswer(ByteSpan body, const std::optional<PhaseTimes>& phases = std::nullopt);
// An answer of header and `body_size` zeros, for `error` (not OK): its code and its Reason travel, its message does
// not.
crypto::PlaintextBytes BuildErrorAnswer(const absl::Status& error, size_t body_size,
                                        const std::optional<PhaseTimes>& phases = std::nullopt);
// INVALID_ARGUMENT (BAD_INPUT) when `plaintext` is not an answer with a body of `body_size` bytes and that trailer.
absl::StatusOr<AnswerView> ParseAnswer(ByteSpan plaintext, size_t body_size, Trailer trailer = Trailer::kNone);

}  // namespace shoji::channel
