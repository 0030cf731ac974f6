// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the sections of the kinds are made of alike. Private to this folder.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/attest/appraisal/appraisal_policy.h"
#include "lib/attest/hex.h"
#include "lib/attest/intel/tcb_policy.h"
#include "lib/attest/reference_values.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"

namespace shoji::appraisal_file {

template <size_t N>
absl::StatusOr<std::array<uint8_t, N>> ReadHex(const config::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, node.String());
  const absl::StatusOr<Bytes> bytes = attest::DecodeHex(text, N);
  if (!bytes.ok()) {
    return node.Annotate(bytes.status());
  }
  std::array<uint8_t, N> out = {};
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

// Sets `out` where the key is there.
template <size_t N>
absl::Status ReadHexInto(const config::Fields& fields, const char* key, std::optional<std::array<uint8_t, N>>& out) {
  if (const std::optional<config::Node> node = fields.Find(key)) {
    ASSIGN_OR_RETURN(out, ReadHex<N>(*node));
  }
  return absl::OkStatus();
}

// `tcb`.
absl::StatusOr<attest::intel::TcbPolicy> ReadTcb(const config::Fields& fields);
// `unpinned`; and `debug`, which is there only to be read.
absl::StatusOr<attest::Unpinned> ReadUnpinned(const config::Fields& fields);

absl::StatusOr<attest::SgxPolicy> ReadSgx(const config::Node& node);
absl::StatusOr<attest::TdxPolicy> ReadTdx(const config::Node& node);
absl::StatusOr<attest::SnpPolicy> ReadSnp(const config::Node& node);

}  // namespace shoji::appraisal_file
