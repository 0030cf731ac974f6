// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/upload_pieces.h"

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

namespace shoji::accelerator {
namespace {

Bytes Counted(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) {
    out[i] = static_cast<uint8_t>(i * 7 + i / 251);
  }
  return out;
}

TEST(UploadPiecesTest, GiveBackEveryByteOfChunksOfAnySize) {
  const Bytes whole = Counted((size_t{5} << 20) + 12345);
  for (const size_t chunk : {size_t{1000}, size_t{1} << 20, (size_t{3} << 20) + 1, whole.size()}) {
    UploadPieces pieces;
    for (size_t at = 0; at < whole.size(); at += chunk) {
      pieces.Append(ByteSpan(whole).subspan(at, std::min(chunk, whole.size() - at)));
    }
    EXPECT_EQ(pieces.size(), whole.size());
    EXPECT_EQ(pieces.Digest(), digest::Sha256(whole));
    UploadSource source(std::move(pieces));
    EXPECT_EQ(source.size(), whole.size());
    Bytes front(17);
    Bytes back(whole.size() - front.size());
    ASSERT_TRUE(source.Read(front).ok());
    ASSERT_TRUE(source.Read(back).ok());
    EXPECT_TRUE(std::equal(front.begin(), front.end(), whole.begin()));
    EXPECT_TRUE(std::equal(back.begin(), back.end(), whole.begin() + 17));
    EXPECT_EQ(source.Read(std::span(front).first(1)).code(), absl::StatusCode::kOutOfRange);
  }
}

}  // namespace
}  // namespace shoji::accelerator
