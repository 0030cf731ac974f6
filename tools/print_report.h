// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace shoji::tools {

// Ends a command of shoji-model: its report to standard output, or its error to standard error. The exit code: 0, or 1.
int PrintReport(const absl::StatusOr<std::string>& report);

}  // namespace shoji::tools
