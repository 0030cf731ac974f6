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
  explicit ModelSurroundings(const Clock& clock, std::vector<AcceleratorRegistry::Member> members = {})
      : slots(4, clock), quarantine(clock, {}), registry(std::move(members)), clock(clock) {}
  ModelSurroundings(const ModelSurroundings&) = delete;
  ModelSurroundings& operator=(const ModelSurroundings&) = delete;
  ~ModelSurroundings() = default;

  ReadinessSignal readiness;
  ComputeSlots slots;
  Quarantine quarantine;
  PadFiller filler{0};
  AcceleratorRegistry registry;
  const Clock& clock;
  const ModelContext context{.accelerators = registry,
                             .readiness = readiness,
                             .slots = slots,
                             .clock = clock,
                             .quarantine = quarantine,
                             .filler = filler,
                             .events = nullptr};
};

}  // namespace shoji::enclave
