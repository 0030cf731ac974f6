// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/status.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"
#include "google/rpc/status.pb.h"
#include "shoji/v1/error.pb.h"

namespace shoji::rpc {
namespace {

constexpr char kRetryAfterUrl[] = "type.shoji/retry-after-millis";
constexpr size_t kMaxMessage = 1024;
constexpr size_t kMaxDetails = 8192;

bool IsCanonical(int code) {
  return code > static_cast<int>(absl::StatusCode::kOk) && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
}

// The ErrorDetail among `details`; the default one when there is none.
v1::ErrorDetail ParseDetails(const std::string& details) {
  v1::ErrorDetail out;
  google::rpc::Status parsed;
  if (details.size() > kMaxDetails || !parsed.ParseFromString(details)) {
    return out;
  }
  for (const auto& any : parsed.details()) {
    if (any.Is<v1::ErrorDetail>() && any.UnpackTo(&out)) {
      return out;
    }
  }
  return {};
}

void CopyPayloads(const absl::Status& from, absl::Status& to) {
  from.ForEachPayload([&to](auto url, const absl::Cord& payload) { to.SetPayload(url, payload); });
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message());
  const Reason reason = ReasonOf(status);
  const std::chrono::milliseconds retry_after = RetryAfterOf(status);
  if (reason == Reason::kUnspecified && retry_after.count() == 0) {
    return {code, message};
  }
  v1::ErrorDetail detail;
  detail.set_reason(static_cast<v1::Reason>(reason));
  detail.set_retry_after_millis(static_cast<uint32_t>(retry_after.count()));
  google::rpc::Status details;
  details.set_code(static_cast<int>(code));
  details.set_message(message);
  details.add_details()->PackFrom(detail);
  return {code, message, details.SerializeAsString()};
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const int code = static_cast<int>(status.error_code());
  absl::Status out(IsCanonical(code) ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                   status.error_message().substr(0, kMaxMessage));
  const v1::ErrorDetail detail = ParseDetails(status.error_details());
  if (detail.reason() > 0 && static_cast<int>(detail.reason()) <= kMaxReason) {
    CopyPayloads(ErrorOf(static_cast<Reason>(detail.reason())), out);
  }
  return detail.retry_after_millis() == 0
             ? out
             : WithRetryAfter(std::move(out), std::chrono::milliseconds(detail.retry_after_millis()));
}

absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay) {
  const int64_t millis = std::clamp<int64_t>(delay.count(), 0, std::numeric_limits<uint32_t>::max());
  status.SetPayload(kRetryAfterUrl, absl::Cord(std::to_string(millis)));
  return status;
}

std::chrono::milliseconds RetryAfterOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryAfterUrl);
  uint32_t millis = 0;
  if (payload.has_value()) {
    const std::string text(*payload);
    std::from_chars(text.data(), text.data() + text.size(), millis);
  }
  return std::chrono::milliseconds(millis);
}

}  // namespace shoji::rpc
