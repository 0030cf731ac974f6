// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/json_fields.h"

#include <ctime>

#include "lib/attest/hex.h"
#include "lib/attest/intel/collateral.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

absl::Status BadMember(const char* key, const std::string& expected) {
  return absl::InvalidArgumentError("member '" + std::string(key) + "' must be " + expected);
}

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(ByteSpan text) {
  if (text.size() > kMaxCollateralBytes) {
    return absl::InvalidArgumentError("JSON of more than " + std::to_string(kMaxCollateralBytes) + " bytes");
  }
  Json out = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!out.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  return out;
}

absl::StatusOr<std::string> StringMember(const Json& object, const char* key) {
  const Json* member = Find(object, key);
  if (member == nullptr || !member->is_string()) {
    return BadMember(key, "a string");
  }
  return member->get_ref<const std::string&>();
}

absl::StatusOr<uint32_t> UnsignedMember(const Json& object, const char* key, uint32_t max) {
  const Json* member = Find(object, key);
  if (member == nullptr || !member->is_number_unsigned() || member->get<uint64_t>() > max) {
    return BadMember(key, "an integer from 0 to " + std::to_string(max));
  }
  return static_cast<uint32_t>(member->get<uint64_t>());
}

absl::StatusOr<Bytes> HexMember(const Json& object, const char* key, size_t size) {
  ASSIGN_OR_RETURN(const std::string text, StringMember(object, key));
  absl::StatusOr<Bytes> out = DecodeHex(text, size);
  return out.ok() ? out : BadMember(key, std::to_string(2 * size) + " hexadecimal digits");
}

absl::StatusOr<SystemTime> TimeMember(const Json& object, const char* key) {
  ASSIGN_OR_RETURN(const std::string text, StringMember(object, key));
  std::tm fields = {};
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &fields);
  if (text.size() != 20 || end != text.c_str() + text.size() || fields.tm_year < 70 || fields.tm_year > 300) {
    return BadMember(key, "a time such as 2025-06-19T10:56:11Z");
  }
  return SystemTime(std::chrono::seconds(timegm(&fields)));
}

absl::StatusOr<const Json*> ObjectMember(const Json& object, const char* key) {
  const Json* member = Find(object, key);
  return member != nullptr && member->is_object() ? absl::StatusOr<const Json*>(member) : BadMember(key, "an object");
}

absl::StatusOr<const Json*> ArrayMember(const Json& object, const char* key) {
  const Json* member = Find(object, key);
  return member != nullptr && member->is_array() ? absl::StatusOr<const Json*>(member) : BadMember(key, "an array");
}

absl::StatusOr<std::vector<std::string>> OptionalStringArray(const Json& object, const char* key) {
  std::vector<std::string> out;
  if (Find(object, key) == nullptr) {
    return out;
  }
  ASSIGN_OR_RETURN(const Json* array, ArrayMember(object, key));
  for (const Json& item : *array) {
    if (!item.is_string()) {
      return BadMember(key, "an array of strings");
    }
    out.push_back(item.get_ref<const std::string&>());
  }
  return out;
}

}  // namespace shoji::attest::intel
