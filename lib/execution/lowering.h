// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From nodes to steps. Private to this folder.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "lib/execution/builder.h"

namespace shoji::execution {

// Adds the steps of one node, on row-major values, with the reference kernels.
absl::Status LowerPlain(Builder& builder, size_t node);

// The same with oneDNN, and with those of the following nodes that can be done in the same step (marked done).
// UNIMPLEMENTED where LowerPlain is to be used.
absl::Status LowerOneDnn(Builder& builder, size_t node);

}  // namespace shoji::execution
