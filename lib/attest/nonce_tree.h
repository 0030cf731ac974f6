// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One quote for several callers: its nonce is the root of a Merkle tree over theirs, so that it is fresh for each of
// them. Leaves and inner nodes are hashed apart, as in RFC 6962 section 2.1: no nonce passes for a node.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"

namespace shoji::attest {

// From one caller's nonce to the root.
struct NoncePath {
  static constexpr size_t kMaxDepth = 16;

  uint32_t index = 0;           // of the leaf; bit i says whether level i's node is the right one
  std::vector<Nonce> siblings;  // from the leaf's up, 1 .. kMaxDepth
};

// The tree is filled up to a power of two with its last leaf.
struct NonceTree {
  Nonce root = {};
  std::vector<NoncePath> paths;  // of the nonces, in order
};

// Takes 1 to 2^kMaxDepth nonces.
NonceTree BuildNonceTree(std::span<const Nonce> nonces);

// The root that `path` leads to from `nonce`: the nonce that the evidence must hold.
Nonce RootOf(const Nonce& nonce, const NoncePath& path);

// Parses hostile fields. INVALID_ARGUMENT: no siblings or too many, one of another length, an index beyond the leaves.
absl::StatusOr<NoncePath> MakeNoncePath(uint32_t index, const std::vector<ByteSpan>& siblings);

}  // namespace shoji::attest
