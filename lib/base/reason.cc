// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/reason.h"

#include <array>
#include <string>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"

namespace shoji {
namespace {

constexpr char kPayloadUrl[] = "type.shoji/reason";

struct Description {
  std::string_view name;
  absl::StatusCode code;
  const char* text;
};

constexpr std::array<Description, kMaxReason + 1> kDescriptions = {{
    {"REASON_UNSPECIFIED", absl::StatusCode::kUnknown, "the request failed"},
    {"UNKNOWN_KEY", absl::StatusCode::kNotFound, "no enclave holds this key id; fetch new evidence"},
    {"STALE_MANIFEST", absl::StatusCode::kFailedPrecondition,
     "the enclave now serves another manifest; fetch new evidence"},
    {"UNKNOWN_SESSION", absl::StatusCode::kNotFound, "the session is gone; open a new one"},
    {"SESSION_LIMIT", absl::StatusCode::kResourceExhausted, "the session table is full; retry later"},
    {"OPEN_FAILED", absl::StatusCode::kUnauthenticated, "the sealed message could not be opened"},
    {"REPLAYED", absl::StatusCode::kAlreadyExists, "this sequence number was used before"},
    {"SEQUENCE_TOO_OLD", absl::StatusCode::kOutOfRange, "this sequence number is older than the replay window"},
    {"UNKNOWN_MODEL", absl::StatusCode::kNotFound, "no such model"},
    {"WRONG_LENGTH", absl::StatusCode::kInvalidArgument, "the sealed request has not the model's fixed length"},
    {"OVERLOADED", absl::StatusCode::kResourceExhausted, "the queue is full; retry later"},
    {"NO_ENCLAVE", absl::StatusCode::kUnavailable, "no enclave is connected; retry later"},
    {"NO_ACCELERATOR", absl::StatusCode::kUnavailable, "no accelerator is available; retry later"},
    {"DRAINING", absl::StatusCode::kUnavailable, "the server is shutting down"},
    {"DEADLINE", absl::StatusCode::kDeadlineExceeded, "the deadline passed before the work was done"},
    {"BAD_NONCE", absl::StatusCode::kInvalidArgument, "the nonce must have exactly 32 bytes"},
    {"UNAUTHENTICATED_CLIENT", absl::StatusCode::kUnauthenticated, "a valid bearer token is required"},
    {"BAD_INPUT", absl::StatusCode::kInvalidArgument, "the decrypted request is malformed"},
    {"INTERNAL", absl::StatusCode::kInternal, "a fault on the server's side"},
    {"ENC_REUSED", absl::StatusCode::kAlreadyExists, "this encapsulated key opened a session before"},
    {"BUDGET_EXHAUSTED", absl::StatusCode::kResourceExhausted,
     "the queries that the model's owner allowed are used up; the owner must release its key again"},
    {"UNKNOWN_SEALED_MODEL", absl::StatusCode::kNotFound, "the enclave has no such sealed model"},
    {"WRONG_MODEL_KEY", absl::StatusCode::kPermissionDenied, "the key is not the key of this sealed model"},
    {"MODEL_REFUSED", absl::StatusCode::kFailedPrecondition,
     "the sealed model cannot be served as the enclave's operator wants it; the enclave's log says why"},
}};

const Description& Describe(Reason reason) { return kDescriptions[static_cast<uint8_t>(reason)]; }

}  // namespace

std::string_view NameOf(Reason reason) { return Describe(reason).name; }

absl::Status ErrorOf(Reason reason) {
  const Description& description = Describe(reason);
  absl::Status status(description.code, description.text);
  status.SetPayload(kPayloadUrl, absl::Cord(std::string(1, static_cast<char>(reason))));
  return status;
}

Reason ReasonOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value() || payload->size() != 1) {
    return Reason::kUnspecified;
  }
  const auto value = static_cast<uint8_t>((*payload)[0]);
  return value <= kMaxReason ? static_cast<Reason>(value) : Reason::kUnspecified;
}

}  // namespace shoji
