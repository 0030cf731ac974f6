// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/tensor/tensor.h"

namespace shoji::client {

// Whether `file` starts as NumPy's .npy files do.
bool IsNpy(ByteSpan file);

// Reads an array that NumPy's save() wrote, format versions 1.0 to 3.0, in C order: float32 little-endian ('<f4') as it
// is, uint8 ('|u1') as the same values in float32. The file may be hostile. INVALID_ARGUMENT says what is wrong;
// UNIMPLEMENTED for another type or order.
//
// A reader of our own: Debian has no C++ library for the format but xtensor's, which believes the header's shape before
// it looks at the file's size, and throws.
absl::StatusOr<Tensor> ParseNpy(ByteSpan file);

}  // namespace shoji::client
