// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/config.h"
#include "lib/base/clock.h"
#include "lib/telemetry/log.h"

namespace shoji::accelerator {

// Makes what compute.backend and compute.device of `config` ask for, and logs which it is and why. `on_lost` is called
// once, on any thread, when a device failed and only a new process can use it again. Errors say what to do; with `auto`
// only a CUDA device that computes wrong bits is one. All that is referred to outlives the backend.
absl::StatusOr<std::unique_ptr<Backend>> ChooseBackend(const Config& config, telemetry::Logger& log, const Clock& clock,
                                                       std::function<void()> on_lost);

}  // namespace shoji::accelerator
