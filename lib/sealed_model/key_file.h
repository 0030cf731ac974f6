// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The owner's key as a file that only its owner may read: one line of text,
//
//   "shoji-model-key-v1 " followed by 64 hexadecimal digits
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/sealed_model/keys.h"

namespace shoji::sealed_model {

// Makes a key and writes it to `path`, with mode 0600. ALREADY_EXISTS: nothing is ever overwritten.
absl::StatusOr<OwnerKey> MakeKeyFile(const std::string& path);

// PERMISSION_DENIED when others than the file's owner may read it; INVALID_ARGUMENT when it holds no key; NOT_FOUND.
absl::StatusOr<OwnerKey> ReadKeyFile(const std::string& path);

}  // namespace shoji::sealed_model
