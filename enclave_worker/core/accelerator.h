// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The core's view of an untrusted accelerator. The shell implements it over a carrier; the core knows no address, no
// gRPC, and believes nothing that comes back before it has checked it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/digest/sha2.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// What a sub-model is, as it is uploaded; the values are those of shoji.internal.v1.SubModelFormat.
enum class SubModelFormat : uint8_t {
  kOnnx = 0,         // an open segment
  kLinearLayer = 1,  // a serialized LinearLayer: one layer of a blinded or verified segment
};

// What goes with the inputs of an execution.
struct Execution {
  Execution(SteadyTime until, std::string_view trace = {},  // NOLINT(google-explicit-constructor): mostly that is all
            size_t requests = 1)
      : deadline(until), traceparent(trace), batch(requests) {}

  SteadyTime deadline;
  std::string_view traceparent;  // of the request, public; may be empty
  size_t batch = 1;              // requests whose inputs it holds, one after the other
};

// One accelerator. Thread-safe; many executions may be in flight.
class Accelerator {
 public:
  Accelerator() = default;
  Accelerator(const Accelerator&) = delete;
  Accelerator& operator=(const Accelerator&) = delete;
  virtual ~Accelerator() = default;

  // The deployment's name for it, for events.
  virtual const std::string& name() const = 0;
  // Connected, and everything registered is uploaded.
  virtual bool ready() const = 0;
  // Connected, and this sub-model is uploaded, whatever else is not yet. After every change of this or of ready() the
  // implementation notifies the ReadinessSignal that it was made with.
  virtual bool Serves(const digest::Sha256Digest& digest) const = 0;
  // Executions under way, by which the least loaded is chosen.
  virtual size_t num_in_flight() const = 0;
  // Bytes of messages to and from it, since the start; 0 where nobody counts.
  virtual uint64_t num_sent_bytes() const { return 0; }
  virtual uint64_t num_received_bytes() const { return 0; }

  // Registers a sub-model under its digest, the SHA-256 of `bytes`. Returns at once; the sub-model is uploaded when the
  // accelerator is reachable, and again after every reconnect.
  virtual void Register(const digest::Sha256Digest& digest, std::shared_ptr<const Bytes> bytes,
                        SubModelFormat format) = 0;
  // Frees it here and there.
  virtual void Unregister(const digest::Sha256Digest& digest) = 0;

  // Runs a registered sub-model on `inputs`, those of `execution.batch` requests one request after the other, and
  // returns its outputs in the same order, as the accelerator sent them: the number of tensors, their types, shapes and
  // byte lengths are consistent in themselves, and it is the caller that compares them with what the plan expects.
  // UNAVAILABLE (not connected, connection lost), DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (its quota), INVALID_ARGUMENT
  // (its answer was malformed), INTERNAL.
  virtual absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& digest,
                                                      std::span<const Tensor* const> inputs,
                                                      const Execution& execution) = 0;
};

}  // namespace shoji::enclave
