// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/byte_source.h"
#include "lib/base/bytes.h"
#include "lib/digest/sha2.h"

namespace shoji::accelerator {

// What was uploaded so far. In pieces: it never has to move while it grows, and who reads it lets go of each piece as
// soon as it is read, so that a large sub-model is not there twice. However small the chunks were, it takes at most
// twice its size. Thread-compatible.
class UploadPieces {
 public:
  void Append(ByteSpan chunk);
  uint64_t size() const { return size_; }
  digest::Sha256Digest Digest() const;

 private:
  friend class UploadSource;
  std::deque<Bytes> pieces_;
  uint64_t size_ = 0;
};

// Reads an upload for the last time. Thread-compatible.
class UploadSource final : public ByteSource {
 public:
  explicit UploadSource(UploadPieces upload) : upload_(std::move(upload)) {}

  uint64_t size() const override { return upload_.size(); }
  absl::Status Read(std::span<uint8_t> out) override;

 private:
  UploadPieces upload_;
  size_t position_ = 0;  // in the first piece
};

}  // namespace shoji::accelerator
