// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/nonce_tree.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "lib/digest/sha2.h"

namespace shoji::attest {
namespace {

std::vector<Nonce> MakeNonces(size_t count) {
  std::vector<Nonce> out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(digest::Sha256(Bytes{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8)}));
  }
  return out;
}

Bytes Concat(uint8_t tag, const Nonce& a, const Nonce& b) {
  Bytes out = {tag};
  out.insert(out.end(), a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

Nonce HashedLeaf(const Nonce& nonce) {
  Bytes input = {0};
  input.insert(input.end(), nonce.begin(), nonce.end());
  return digest::Sha256(input);
}

TEST(NonceTreeTest, IsThatOfTheProtocolForThreeCallers) {
  const std::vector<Nonce> nonces = MakeNonces(3);
  const Nonce left = digest::Sha256(Concat(1, HashedLeaf(nonces[0]), HashedLeaf(nonces[1])));
  const Nonce right = digest::Sha256(Concat(1, HashedLeaf(nonces[2]), HashedLeaf(nonces[2])));
  const NonceTree tree = BuildNonceTree(nonces);
  EXPECT_EQ(tree.root, digest::Sha256(Concat(1, left, right)));
  ASSERT_EQ(tree.paths.size(), 3U);
  EXPECT_EQ(tree.paths[1].index, 1U);
  EXPECT_EQ(tree.paths[1].siblings, (std::vector<Nonce>{HashedLeaf(nonces[0]), right}));
}

TEST(NonceTreeTest, EveryCallersPathLeadsToTheRoot) {
  for (const size_t count : std::vector<size_t>{1, 2, 3, 4, 5, 8, 9, 255, 1000}) {
    const std::vector<Nonce> nonces = MakeNonces(count);
    const NonceTree tree = BuildNonceTree(nonces);
    ASSERT_EQ(tree.paths.size(), count);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(RootOf(nonces[i], tree.paths[i]), tree.root) << i << " of " << count;
      EXPECT_GE(tree.paths[i].siblings.size(), 1U) << "else the root would be a leaf's hash and the path absent";
    }
  }
}

TEST(NonceTreeTest, NoOtherNonceLeadsThere) {
  const std::vector<Nonce> nonces = MakeNonces(6);
  const NonceTree tree = BuildNonceTree(nonces);
  for (size_t i = 0; i < nonces.size(); ++i) {
    for (size_t path = 0; path < nonces.size(); ++path) {
      EXPECT_EQ(RootOf(nonces[i], tree.paths[path]) == tree.root, i == path) << i << " along the path of " << path;
    }
    Nonce other = nonces[i];
    other[31] ^= 1;
    EXPECT_NE(RootOf(other, tree.paths[i]), tree.root);
    NoncePath flipped = tree.paths[i];
    flipped.siblings.back()[0] ^= 1;
    EXPECT_NE(RootOf(nonces[i], flipped), tree.root);
  }
}

TEST(NonceTreeTest, AnInnerNodeIsNoLeaf) {
  const std::vector<Nonce> nonces = MakeNonces(4);
  const NonceTree tree = BuildNonceTree(nonces);
  // The parent of the first two, offered as a nonce with the rest of their path.
  const Nonce inner = digest::Sha256(Concat(1, HashedLeaf(nonces[0]), HashedLeaf(nonces[1])));
  EXPECT_NE(RootOf(inner, {.index = 0, .siblings = {tree.paths[0].siblings.back()}}), tree.root);
}

TEST(NonceTreeTest, MalformedPathsAreRefused) {
  const Nonce sibling = {};
  const Bytes short_sibling(31);
  EXPECT_TRUE(MakeNoncePath(1, {sibling}).ok());
  EXPECT_FALSE(MakeNoncePath(0, {}).ok());
  EXPECT_FALSE(MakeNoncePath(2, {sibling}).ok()) << "a leaf that the tree does not have";
  EXPECT_FALSE(MakeNoncePath(0, {sibling, short_sibling}).ok());
  EXPECT_TRUE(MakeNoncePath(65535, std::vector<ByteSpan>(16, sibling)).ok());
  EXPECT_FALSE(MakeNoncePath(0, std::vector<ByteSpan>(17, sibling)).ok());
}

}  // namespace
}  // namespace shoji::attest
