// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) read from a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"
#include "lib/digest/sha2.h"

namespace shoji::graph::onnx_io {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

struct WireTag {
  uint32_t field = 0;
  WireType type = WireType::kVarint;
};

// Each byte is asked of `source` once and passes `digest`, if there is one. Errors are INVALID_ARGUMENT, "not an ONNX
// file, or a truncated one", and name the byte; or those of the source. Thread-compatible.
class WireReader {
 public:
  WireReader(ByteSource& source, digest::Sha256Stream* digest);
  WireReader(const WireReader&) = delete;
  WireReader& operator=(const WireReader&) = delete;

  uint64_t position() const { return position_; }
  uint64_t size() const { return size_; }

  // Each refuses what would reach beyond `end`, where the message that is being read ends. The obsolete group types
  // are refused: ONNX has none.
  absl::StatusOr<WireTag> ReadTag(uint64_t end);
  absl::StatusOr<uint64_t> ReadVarint(uint64_t end);
  // The length of a length-delimited field.
  absl::StatusOr<uint64_t> ReadLength(uint64_t end);

  // Within the file: the caller has compared with an end.
  absl::Status Read(std::span<uint8_t> out);
  absl::Status Append(std::string& out, size_t count);
  absl::Status Skip(uint64_t count);

  absl::Status Malformed(const std::string& what) const;

 private:
  absl::Status Refill();
  absl::Status ReadFromSource(std::span<uint8_t> out);

  ByteSource& source_;
  digest::Sha256Stream* const digest_;
  const uint64_t size_;
  uint64_t position_ = 0;  // of the next byte handed out
  uint64_t source_position_ = 0;
  std::vector<uint8_t> buffer_;
  std::span<const uint8_t> ahead_;  // in buffer_
};

}  // namespace shoji::graph::onnx_io
