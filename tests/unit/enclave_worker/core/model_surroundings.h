// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <utility>
#include <vector>

#include "enclave_worker/core/accelerator_registry.h"
#include "enclave_worker/core/compute_slots.h"
#include "enclave_worker/core/model_context.h"
#include "enclave_worker/core/pad_filler.h"
#include "enclave_worker/core/quarantine.h"
#include "enclave_worker/core/readiness_signal.h"
#include "lib/base/clock.h"

namespace shoji::enclave {

// What a model needs around it: slots for everybody, a filler that makes no pads, and no accelerators, unless a test
// brings its own. Outlives the models.
struct ModelSurroundings {
  explicit ModelSurroundings(const Clock& time, std::vector<AcceleratorRegistry::Member> members = {})
      : clock(time), slots(4, time), quarantine(time, {}), registry(std::move(members)) {}
  ModelSurroundings(const ModelSurroundings&) = delete;
  ModelSurroundings& operator=(const ModelSurroundings&) = delete;
  ~ModelSurroundings() = default;

  const Clock& clock;
  ReadinessSignal readiness;
  ComputeSlots slots;
  Quarantine quarantine;
  PadFiller filler{0};
  AcceleratorRegistry registry;
  const ModelContext context{.accelerators = registry,
                             .readiness = readiness,
                             .slots = slots,
                             .clock = clock,
                             .quarantine = quarantine,
                             .filler = filler,
                             .events = nullptr};
};

}  // namespace shoji::enclave
