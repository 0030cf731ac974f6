// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Typed access to the members of a JSON object. Private to this folder.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

namespace shoji::attest::intel {

using Json = nlohmann::json;

// An object. INVALID_ARGUMENT, also for one of more than kMaxCollateralBytes.
absl::StatusOr<Json> ParseJsonObject(ByteSpan text);

// Members of `object`. INVALID_ARGUMENT when it is not an object, or the member is missing or of another type.
absl::StatusOr<std::string> StringMember(const Json& object, const char* key);
absl::StatusOr<uint32_t> UnsignedMember(const Json& object, const char* key, uint32_t max);
absl::StatusOr<Bytes> HexMember(const Json& object, const char* key, size_t size);
// "2025-06-19T10:56:11Z"
absl::StatusOr<SystemTime> TimeMember(const Json& object, const char* key);
absl::StatusOr<const Json*> ObjectMember(const Json& object, const char* key);
absl::StatusOr<const Json*> ArrayMember(const Json& object, const char* key);
// Empty when the member is missing.
absl::StatusOr<std::vector<std::string>> OptionalStringArray(const Json& object, const char* key);

}  // namespace shoji::attest::intel
