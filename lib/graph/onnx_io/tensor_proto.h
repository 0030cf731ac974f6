// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/onnx_import.h"
#include "lib/graph/onnx_io/large_tensors.h"
#include "lib/tensor/tensor.h"

namespace onnx {
class TensorProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// Whether `proto` is a tensor of a type that import reads, with extents that fit Shape and, as what it becomes in a
// graph, the limit of `options`, and with exactly the data that its extents call for: in the proto, in `large` or,
// where `options` allow it, in an external file, which is not opened. Allocates nothing. `where` begins each message
// ("initializer `w`").
absl::Status CheckTensorProto(const ::onnx::TensorProto& proto, const LargeTensors& large, const std::string& where,
                              const ImportOptions& options);

// The bytes that a tensor which CheckTensorProto accepted takes in a file of raw data.
size_t RawBytesOf(const ::onnx::TensorProto& proto);

bool IsExternal(const ::onnx::TensorProto& proto);

// Whether values of this type are float32 in a graph: float32 itself, float16, bfloat16 and double.
bool BecomesFloat32(int32_t onnx_type);
// The 8-bit integers. An input of them is given as float32 that holds whole numbers.
bool IsQuantizedType(int32_t onnx_type);
// "FLOAT16", "number 99".
std::string TypeName(int32_t onnx_type);

// The tensor of a proto that CheckTensorProto accepted and whose external data, if any, lies in `large`; what `large`
// has is moved out: call once. Booleans become uint8, floats of every width float32.
Tensor TakeTensor(const ::onnx::TensorProto& proto, LargeTensors& large);

}  // namespace shoji::graph::onnx_io
