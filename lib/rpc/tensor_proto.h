// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <optional>

#include "absl/status/statusor.h"
#include "lib/tensor/tensor.h"
#include "shoji/internal/v1/accelerator.pb.h"
#include "shoji/v1/attestation.pb.h"

namespace shoji::rpc {

v1::DataType ToProto(DataType type);
std::optional<DataType> FromProto(v1::DataType type);

// Copies `tensor` into `out`.
void WriteTensor(const Tensor& tensor, internal::v1::Tensor& out);

// The one place where a tensor's bytes from the wire become a Tensor. INVALID_ARGUMENT: unknown type, rank over 8,
// negative or overflowing extents, a byte length that is not exactly what type and shape say. RESOURCE_EXHAUSTED: more
// than `max_bytes`. Nothing is allocated before the checks have passed.
absl::StatusOr<Tensor> ParseTensor(const internal::v1::Tensor& in, size_t max_bytes);

}  // namespace shoji::rpc
