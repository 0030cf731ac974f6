// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>

#include "enclave_worker/core/accelerator_registry.h"
#include "enclave_worker/core/compute_slots.h"
#include "enclave_worker/core/enclave_event.h"
#include "enclave_worker/core/pad_filler.h"
#include "enclave_worker/core/quarantine.h"
#include "enclave_worker/core/readiness_signal.h"
#include "lib/base/clock.h"

namespace shoji::enclave {

// What every model of a process shares; outlives them.
struct ModelContext {
  static constexpr uint64_t kMaxBatchBytes = uint64_t{16} << 20;

  AcceleratorRegistry& accelerators;
  const ReadinessSignal& readiness;  // that all the accelerators notify
  ComputeSlots& slots;
  const Clock& clock;
  Quarantine& quarantine;
  PadFiller& filler;
  EventSink events;
  int threads_per_run = 1;
  // The most that one message to an accelerator, or its answer, may hold of several requests' tensors. More go in
  // several messages; one request alone is never held to it.
  uint64_t max_batch_bytes = kMaxBatchBytes;
  // The longest that one layer waits for an accelerator before the enclave computes it; never more than half of what is
  // left until the request's deadline.
  std::chrono::nanoseconds offload_timeout = std::chrono::seconds(5);
  // How long a model that was just loaded counts as not ready while the accelerators of its blinded and verified layers
  // have not connected; after that the enclave computes for them.
  std::chrono::nanoseconds accelerator_grace = std::chrono::seconds(10);
};

}  // namespace shoji::enclave
