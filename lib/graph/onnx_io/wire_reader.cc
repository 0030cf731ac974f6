// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/wire_reader.h"

#include <algorithm>
#include <limits>

#include "lib/base/status_macros.h"

namespace shoji::graph::onnx_io {
namespace {

constexpr size_t kBufferBytes = size_t{64} << 10;
// What is read straight to its place: small enough to be in the cache still when it is digested.
constexpr size_t kBlockBytes = size_t{256} << 10;

}  // namespace

WireReader::WireReader(ByteSource& source, digest::Sha256Stream* digest)
    : source_(source), digest_(digest), size_(source.size()), buffer_(kBufferBytes) {}

absl::Status WireReader::Malformed(const std::string& what) const {
  return absl::InvalidArgumentError("not an ONNX file, or a truncated one: " + what + " at byte " +
                                    std::to_string(position_));
}

absl::Status WireReader::ReadFromSource(std::span<uint8_t> out) {
  RETURN_IF_ERROR(source_.Read(out));
  source_position_ += out.size();
  if (digest_ != nullptr) {
    digest_->Update(out);
  }
  return absl::OkStatus();
}

absl::Status WireReader::Refill() {
  const size_t count = static_cast<size_t>(std::min<uint64_t>(kBufferBytes, size_ - source_position_));
  if (count == 0) {
    return Malformed("it ends");
  }
  RETURN_IF_ERROR(ReadFromSource(std::span(buffer_).first(count)));
  ahead_ = std::span(buffer_).first(count);
  return absl::OkStatus();
}

absl::Status WireReader::Read(std::span<uint8_t> out) {
  if (out.size() > size_ - position_) {
    return Malformed("it ends");
  }
  const size_t buffered = std::min(out.size(), ahead_.size());
  std::copy_n(ahead_.begin(), buffered, out.begin());
  ahead_ = ahead_.subspan(buffered);
  position_ += out.size();
  for (out = out.subspan(buffered); !out.empty(); out = out.subspan(std::min(out.size(), kBlockBytes))) {
    RETURN_IF_ERROR(ReadFromSource(out.first(std::min(out.size(), kBlockBytes))));
  }
  return absl::OkStatus();
}

absl::Status WireReader::Append(std::string& out, size_t count) {
  if (count > size_ - position_) {
    return Malformed("it ends");
  }
  const size_t before = out.size();
  out.resize(before + count);
  return Read({reinterpret_cast<uint8_t*>(out.data()) + before, count});
}

absl::Status WireReader::Skip(uint64_t count) {
  while (count > 0) {
    if (ahead_.empty()) {
      RETURN_IF_ERROR(Refill());
    }
    const size_t now = static_cast<size_t>(std::min<uint64_t>(count, ahead_.size()));
    ahead_ = ahead_.subspan(now);
    position_ += now;
    count -= now;
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> WireReader::ReadVarint(uint64_t end) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (position_ >= end) {
      return Malformed("a number that does not end");
    }
    if (ahead_.empty()) {
      RETURN_IF_ERROR(Refill());
    }
    const uint8_t byte = ahead_.front();
    ahead_ = ahead_.subspan(1);
    ++position_;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      return value;
    }
  }
  return Malformed("a number of more than ten bytes");
}

absl::StatusOr<WireTag> WireReader::ReadTag(uint64_t end) {
  ASSIGN_OR_RETURN(const uint64_t tag, ReadVarint(end));
  const uint64_t field = tag >> 3;
  const uint64_t type = tag & 7;
  if (field == 0 || tag > std::numeric_limits<uint32_t>::max() || type == 3 || type == 4 || type > 5) {
    return Malformed("no field of a message");
  }
  return WireTag{static_cast<uint32_t>(field), static_cast<WireType>(type)};
}

absl::StatusOr<uint64_t> WireReader::ReadLength(uint64_t end) {
  ASSIGN_OR_RETURN(const uint64_t length, ReadVarint(end));
  if (length > end - position_) {
    return Malformed("a field of " + std::to_string(length) + " bytes, more than there are");
  }
  return length;
}

}  // namespace shoji::graph::onnx_io
