// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Large input that is read once, from front to back, straight to where it stays: a file of an untrusted host, the
// plaintext of a sealed one, an upload. Whoever reads digests the very bytes that it got.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "lib/base/bytes.h"

namespace shoji {

// Thread-compatible.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  // How many bytes it gives in all. Nobody allocates more on its word than it is seen to give.
  virtual uint64_t size() const = 0;
  // Fills `out` with the next bytes. OUT_OF_RANGE when fewer are left; other errors say what could not be read.
  virtual absl::Status Read(std::span<uint8_t> out) = 0;
};

// Large input of which any piece may be read, in any order. Thread-compatible.
class PositionedSource {
 public:
  PositionedSource() = default;
  PositionedSource(const PositionedSource&) = delete;
  PositionedSource& operator=(const PositionedSource&) = delete;
  virtual ~PositionedSource() = default;

  virtual const std::string& path() const = 0;  // for messages
  virtual uint64_t size() const = 0;
  // Fills `out` with the bytes from `offset` on. OUT_OF_RANGE when fewer are there; other errors say what could not be
  // read.
  virtual absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) = 0;
};

// Bytes in memory, which outlive it.
class SpanSource final : public ByteSource {
 public:
  explicit SpanSource(ByteSpan bytes) : size_(bytes.size()), left_(bytes) {}

  uint64_t size() const override { return size_; }
  absl::Status Read(std::span<uint8_t> out) override;

 private:
  const size_t size_;
  ByteSpan left_;
};

}  // namespace shoji
