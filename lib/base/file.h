// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji {

// Reads a whole regular file of at most `max_size` bytes. Errors name `path`: NOT_FOUND, PERMISSION_DENIED,
// INVALID_ARGUMENT (not a regular file), RESOURCE_EXHAUSTED (larger than `max_size`).
absl::StatusOr<Bytes> ReadFile(const std::string& path, size_t max_size);

// What WriteFileAtomically would say now, for whoever wants to know before long work and not after it. Leaves nothing.
absl::Status CheckCanWrite(const std::string& path);

// Writes `content` beside `path` and renames it into place, so that a reader sees all or nothing.
absl::Status WriteFileAtomically(const std::string& path, ByteSpan content);

}  // namespace shoji
