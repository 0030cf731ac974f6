// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The first look at an ONNX file. One walk over its wire format reads the data of large tensors straight to where it
// stays and copies the rest, which protobuf then parses: of weights nothing is ever held twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"
#include "lib/digest/sha2.h"
#include "lib/graph/onnx_io/large_tensors.h"

namespace shoji::graph::onnx_io {

// Data up to this stays in its proto: shapes and the like, which libonnx's shape inference reads.
inline constexpr uint64_t kSmallDataBytes = 1024;

struct SkeletonLimits {
  uint64_t max_data_bytes = 0;  // of one tensor's field
  size_t max_nodes = 0;         // those beyond are counted, not kept; one more than the limit is kept
};

// A ModelProto without what import never looks at (documentation, training), in which the data of a large tensor is
// replaced by a doc_string that gives its index in `data`.
struct Skeleton {
  std::string model;
  std::vector<LargeData> data;
  size_t num_nodes = 0;  // of the file
};

// Reads all of `file`, each byte once and into `digest`, if given. INVALID_ARGUMENT: no ONNX file, or a tensor that
// holds its data twice; RESOURCE_EXHAUSTED: over the limits, or more than 128 MiB that are no tensor's data.
absl::StatusOr<Skeleton> ReadSkeleton(ByteSource& file, digest::Sha256Stream* digest, const SkeletonLimits& limits);

}  // namespace shoji::graph::onnx_io
