// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "lib/base/bytes.h"

namespace shoji::crypto {

// Whether `a` and `b` hold the same bytes, in a time that depends on their sizes only. Different sizes are unequal.
bool ConstantTimeEquals(ByteSpan a, ByteSpan b);

}  // namespace shoji::crypto
