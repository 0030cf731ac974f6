// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/upload_pieces.h"

#include <algorithm>

namespace shoji::accelerator {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

}  // namespace

void UploadPieces::Append(ByteSpan chunk) {
  size_ += chunk.size();
  while (!chunk.empty()) {
    if (pieces_.empty() || pieces_.back().size() >= kPiece) {
      pieces_.emplace_back();
    }
    Bytes& piece = pieces_.back();
    const size_t now = std::min(chunk.size(), kPiece - piece.size());
    shoji::Append(piece, chunk.first(now));
    chunk = chunk.subspan(now);
  }
}

digest::Sha256Digest UploadPieces::Digest() const {
  digest::Sha256Stream digest;
  for (const Bytes& piece : pieces_) {
    digest.Update(piece);
  }
  return digest.Finish();
}

absl::Status UploadSource::Read(std::span<uint8_t> out) {
  while (!out.empty()) {
    if (upload_.pieces_.empty()) {
      return absl::OutOfRangeError("the input ends early");
    }
    const Bytes& piece = upload_.pieces_.front();
    const size_t now = std::min(out.size(), piece.size() - position_);
    std::copy_n(piece.begin() + static_cast<ptrdiff_t>(position_), now, out.begin());
    out = out.subspan(now);
    position_ += now;
    if (position_ == piece.size()) {
      upload_.pieces_.pop_front();
      position_ = 0;
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::accelerator
