// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Messages from and to the bytes that gRPC's generic calls carry.
#pragma once

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoji::server {

// INVALID_ARGUMENT when `bytes` are no such message.
template <typename Message>
absl::StatusOr<Message> Parse(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer shared = bytes;  // parsing empties it
  Message out;
  if (!grpc::SerializationTraits<Message>::Deserialize(&shared, &out).ok()) {
    return absl::InvalidArgumentError("the request is malformed");
  }
  return out;
}

template <typename Message>
grpc::ByteBuffer Serialize(const Message& message) {
  grpc::ByteBuffer out;
  bool owns_buffer = false;
  // Fails only beyond 2 GiB.
  static_cast<void>(grpc::SerializationTraits<Message>::Serialize(message, &out, &owns_buffer));
  return out;
}

}  // namespace shoji::server
