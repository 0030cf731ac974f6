// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/tensor/tensor.h"

namespace onnx {
class TensorProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// Whether `proto` is a tensor of a type that import reads, with extents that fit Shape and `max_bytes`, and with
// exactly the data that its extents call for. Allocates nothing. `where` begins each message ("initializer `w`").
absl::Status CheckTensorProto(const ::onnx::TensorProto& proto, const std::string& where, int64_t max_bytes);

// The tensor of a proto that CheckTensorProto accepted. Booleans become uint8.
Tensor ToTensor(const ::onnx::TensorProto& proto);

}  // namespace shoji::graph::onnx_io
