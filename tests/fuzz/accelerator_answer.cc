// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a hostile accelerator sends: the first byte picks what the enclave is waiting for, the rest is a sequence of
// messages, each with a length byte before it (255: the rest of the input). They go through the same decoding and the
// same bookkeeping as on a stream. Whatever they are, the link stays consistent and every tensor is what it says it is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "enclave_worker/service/accelerator/accelerator_link.h"
#include "lib/base/check.h"

namespace shoji::enclave {
namespace {

constexpr AnswerLimits kLimits = {.max_outputs = 8, .max_bytes = 1 << 16};

class NoOutlet final : public LinkOutlet {
 public:
  void MoreToSend() override {}
  void Break() override {}
};

void CheckAnswer(const internal::v1::AttachResponse& response) {
  const Answer answer = DecodeAnswer(response, kLimits);
  if (const auto* outputs = std::get_if<Outputs>(&answer); outputs != nullptr) {
    SHOJI_CHECK(outputs->size() <= kLimits.max_outputs);
    uint64_t total = 0;
    for (const Tensor& output : *outputs) {
      SHOJI_CHECK(output.size_bytes() == output.num_elements() * SizeOf(output.type()));
      for (const uint8_t byte : output.bytes()) {
        total += byte | 1U;  // reads all of it
      }
    }
    SHOJI_CHECK(total <= kLimits.max_bytes * 256);
  }
  if (const auto* status = std::get_if<absl::Status>(&answer); status != nullptr) {
    SHOJI_CHECK(!status->ok());
  }
}

// Parses one message off `in`; false at its end.
bool Next(ByteSpan& in, internal::v1::AttachResponse& response) {
  if (in.empty()) {
    return false;
  }
  const size_t wanted = in[0] == 255 ? SIZE_MAX : in[0];
  in = in.subspan(1);
  const ByteSpan message = in.first(std::min(wanted, in.size()));
  in = in.subspan(message.size());
  return response.ParseFromArray(message.data(), static_cast<int>(message.size()));
}

void RunStream(ByteSpan in) {
  static const RealClock clock;
  ReadinessSignal readiness;
  AcceleratorLink::Options options;
  options.max_unsolicited = 4;
  options.limits = kLimits;
  options.upload_retry = std::chrono::nanoseconds(0);
  AcceleratorLink link(options, readiness, clock);
  NoOutlet outlet;
  const digest::Sha256Digest digest = {1};
  const uint8_t mode = in.empty() ? 0 : in[0];
  in = in.subspan(in.empty() ? 0 : 1);
  link.Register(digest, std::make_shared<const Bytes>(Bytes{1, 2, 3}), SubModelFormat::kOnnx);
  link.Connected(outlet);
  // How much of the upload is sent before the answers come: id 1.
  for (int i = 0; i < (mode & 3); ++i) {
    link.NextToSend();
  }
  if ((mode & 4) != 0) {
    link.Unregister(digest);
  }
  internal::v1::AttachResponse response;
  while (Next(in, response)) {
    CheckAnswer(response);
    if (!link.Received(response).ok()) {
      break;
    }
    if ((mode & 8) != 0) {
      link.RetryRefused();
      link.NextToSend();
    }
  }
  SHOJI_CHECK(link.num_in_flight() == 0);
  link.Disconnected(absl::StatusCode::kUnavailable);
  SHOJI_CHECK(!link.Serves(digest));
}

}  // namespace
}  // namespace shoji::enclave

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shoji::enclave::RunStream({data, size});
  return 0;
}
