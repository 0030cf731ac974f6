// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the owner of a sealed model demands of whoever gets its key (proto shoji.v1.SealedModelHeader). The header stands
// in the clear at the front of the file; it is authenticated by the key (keys.h), and before one has it, by nothing but
// the file's digest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/result_rule.h"
#include "lib/base/bytes.h"

namespace shoji::sealed_model {

using Salt = std::array<uint8_t, 32>;
using OwnerKeyId = std::array<uint8_t, 16>;

inline constexpr size_t kMaxHeaderBytes = size_t{1} << 20;
inline constexpr size_t kMaxExternalParts = 1024;
inline constexpr uint64_t kMaxPlaintextBytes = uint64_t{1} << 40;

// Nodes whose weights never leave the enclave. The values are those of shoji.v1.ConfidentialNodes.Extent.
struct ConfidentialNodes {
  enum class Extent : uint8_t {
    kAll = 1,
    kFrom = 2,    // the one node named and every later one, in the file's order
    kAfter = 3,   // every node behind the one named
    kListed = 4,  // those named
  };
  Extent extent = Extent::kAll;
  std::vector<std::string> nodes = {};
  bool operator==(const ConfidentialNodes&) const = default;
};
// "the whole model", "from fc1 on", ...
std::string Describe(const ConfidentialNodes& nodes);

struct Terms {
  std::string label = {};  // for people
  ConfidentialNodes confidential = {};
  attest::ResultRule results = {};
  uint64_t queries_per_release = 0;  // how many queries one release of the key allows; at least 1
};

// The values are those of shoji.v1.SealedPart.Kind.
enum class PartKind : uint8_t { kModel = 1, kRanges = 2, kExternalData = 3 };
const char* NameOf(PartKind kind);

struct Part {
  PartKind kind = PartKind::kModel;
  uint64_t size = 0;
  std::string name = {};  // of external data: the file by which the model refers to it
  bool operator==(const Part&) const = default;
};

struct Header {
  Terms terms;
  OwnerKeyId owner_key_id = {};
  Salt salt = {};
  std::vector<Part> parts;  // in the order in which they are sealed: ranges, if any, the model, its external data

  uint64_t plaintext_size() const;
};

// INVALID_ARGUMENT says what is wrong: a name or label that is too long, names that do not fit the extent, a budget of
// 0, parts in another order than Header says, a part twice or empty, external data without a name, more than
// kMaxExternalParts or under a path that is absolute or has `..`, more than kMaxPlaintextBytes in all.
absl::Status CheckHeader(const Header& header);

// Deterministic. The header must pass CheckHeader.
Bytes EncodeHeader(const Header& header);

// Parses hostile bytes. INVALID_ARGUMENT: malformed, or what CheckHeader refuses; FAILED_PRECONDITION: another version,
// or demands that this version does not know.
absl::StatusOr<Header> ParseHeader(ByteSpan bytes);

}  // namespace shoji::sealed_model
