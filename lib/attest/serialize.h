// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "lib/base/bytes.h"

namespace google::protobuf {
class MessageLite;
}  // namespace google::protobuf

namespace shoji::attest {

// `message` on the wire, the same bytes for equal messages every time: what digests and keys are made from.
Bytes SerializeDeterministically(const google::protobuf::MessageLite& message);

}  // namespace shoji::attest
