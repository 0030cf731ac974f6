// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "absl/status/status.h"
#include "lib/base/bytes.h"

namespace shoji {

// WriteFileAtomically, to a file that only its owner may read and write (mode 0600). In file.cc.
absl::Status WritePrivateFileAtomically(const std::string& path, ByteSpan content);

}  // namespace shoji
