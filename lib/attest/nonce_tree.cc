// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/nonce_tree.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/digest/sha2.h"

namespace shoji::attest {
namespace {

Nonce LeafOf(const Nonce& nonce) {
  Bytes input = {0};
  input.insert(input.end(), nonce.begin(), nonce.end());
  return digest::Sha256(input);
}

Nonce ParentOf(const Nonce& left, const Nonce& right) {
  Bytes input = {1};
  input.insert(input.end(), left.begin(), left.end());
  input.insert(input.end(), right.begin(), right.end());
  return digest::Sha256(input);
}

}  // namespace

NonceTree BuildNonceTree(std::span<const Nonce> nonces) {
  SHOJI_CHECK(!nonces.empty() && nonces.size() <= size_t{1} << NoncePath::kMaxDepth);
  NonceTree out;
  std::vector<Nonce> level;
  for (const Nonce& nonce : nonces) {
    out.paths.push_back({static_cast<uint32_t>(level.size()), {}});
    level.push_back(LeafOf(nonce));
  }
  size_t width = 2;  // of the level, filled up
  while (width < level.size()) {
    width *= 2;
  }
  level.resize(width, Nonce(level.back()));
  for (size_t height = 0; level.size() > 1; ++height) {
    for (NoncePath& path : out.paths) {
      path.siblings.push_back(level[(path.index >> height) ^ 1U]);
    }
    std::vector<Nonce> parents;
    for (size_t i = 0; i < level.size(); i += 2) {
      parents.push_back(ParentOf(level[i], level[i + 1]));
    }
    level = std::move(parents);
  }
  out.root = level.front();
  return out;
}

Nonce RootOf(const Nonce& nonce, const NoncePath& path) {
  Nonce node = LeafOf(nonce);
  for (size_t height = 0; height < path.siblings.size(); ++height) {
    const bool is_right = ((path.index >> height) & 1U) != 0;
    node = is_right ? ParentOf(path.siblings[height], node) : ParentOf(node, path.siblings[height]);
  }
  return node;
}

absl::StatusOr<NoncePath> MakeNoncePath(uint32_t index, const std::vector<ByteSpan>& siblings) {
  if (siblings.empty() || siblings.size() > NoncePath::kMaxDepth) {
    return absl::InvalidArgumentError("a nonce path of " + std::to_string(siblings.size()) + " siblings, not 1 to " +
                                      std::to_string(NoncePath::kMaxDepth));
  }
  if (index >> siblings.size() != 0) {
    return absl::InvalidArgumentError("a nonce path with leaf " + std::to_string(index) + " of a tree of depth " +
                                      std::to_string(siblings.size()));
  }
  NoncePath out = {.index = index, .siblings = {}};
  for (const ByteSpan sibling : siblings) {
    if (sibling.size() != sizeof(Nonce)) {
      return absl::InvalidArgumentError("a nonce path with a sibling of " + std::to_string(sibling.size()) + " bytes");
    }
    std::copy(sibling.begin(), sibling.end(), out.siblings.emplace_back().begin());
  }
  return out;
}

}  // namespace shoji::attest
