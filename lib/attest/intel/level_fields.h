// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What TCB info and enclave identities are made of alike. Private to this folder.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "lib/attest/intel/json_fields.h"
#include "lib/attest/intel/tcb_info.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {

// `tcbStatus`, `tcbDate` and `advisoryIDs` of a level.
absl::StatusOr<TcbVerdict> ReadVerdict(const Json& level);
// `tcbLevels` whose `tcb` is an `isvsvn`.
absl::StatusOr<std::vector<IsvLevel>> ReadIsvLevels(const Json& json);
// The first level that `isv_svn` reaches, or nullptr.
const IsvLevel* FindIsvLevel(const std::vector<IsvLevel>& levels, uint16_t isv_svn);
// `issueDate` and `nextUpdate`.
absl::StatusOr<x509::Validity> ReadDates(const Json& json);
bool EqualIgnoringCase(std::string_view a, std::string_view b);

template <size_t N>
absl::Status ReadOctets(const Json& json, const char* key, std::array<uint8_t, N>& out) {
  ASSIGN_OR_RETURN(const Bytes bytes, HexMember(json, key, N));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return absl::OkStatus();
}

// found & mask == expected & mask: Intel states `expected` with the masked bits clear or not.
template <size_t N>
bool EqualUnderMask(const std::array<uint8_t, N>& found, const std::array<uint8_t, N>& expected,
                    const std::array<uint8_t, N>& mask) {
  for (size_t i = 0; i < N; ++i) {
    if (((found[i] ^ expected[i]) & mask[i]) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace shoji::attest::intel
