// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/tensor_proto.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "lib/base/status_macros.h"

namespace shoji::graph::onnx_io {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

std::optional<DataType> TypeOf(int32_t onnx_type) {
  switch (onnx_type) {
    case ::onnx::TensorProto::FLOAT:
      return DataType::kFloat32;
    case ::onnx::TensorProto::UINT8:
    case ::onnx::TensorProto::BOOL:
      return DataType::kUint8;
    case ::onnx::TensorProto::INT8:
      return DataType::kInt8;
    case ::onnx::TensorProto::INT32:
      return DataType::kInt32;
    case ::onnx::TensorProto::INT64:
      return DataType::kInt64;
    default:
      return std::nullopt;
  }
}

std::string TypeName(int32_t onnx_type) {
  return ::onnx::TensorProto::DataType_IsValid(onnx_type)
             ? ::onnx::TensorProto::DataType_Name(static_cast<::onnx::TensorProto::DataType>(onnx_type))
             : "number " + std::to_string(onnx_type);
}

size_t TypedCount(const ::onnx::TensorProto& proto, DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return static_cast<size_t>(proto.float_data_size());
    case DataType::kInt64:
      return static_cast<size_t>(proto.int64_data_size());
    case DataType::kUint8:
    case DataType::kInt8:
    case DataType::kInt32:
      return static_cast<size_t>(proto.int32_data_size());
  }
  return 0;
}

absl::Status CheckData(const ::onnx::TensorProto& proto, const std::string& where, DataType type, size_t count) {
  const size_t others = static_cast<size_t>(proto.float_data_size()) + static_cast<size_t>(proto.int32_data_size()) +
                        static_cast<size_t>(proto.int64_data_size()) + static_cast<size_t>(proto.double_data_size()) +
                        static_cast<size_t>(proto.uint64_data_size()) + static_cast<size_t>(proto.string_data_size());
  if (proto.has_raw_data() && !proto.raw_data().empty()) {
    if (others != 0) {
      return absl::InvalidArgumentError(where + ": the tensor holds its data twice");
    }
    if (proto.raw_data().size() != count * SizeOf(type)) {
      return absl::InvalidArgumentError(where + ": raw_data has " + std::to_string(proto.raw_data().size()) +
                                        " bytes where its shape needs " + std::to_string(count * SizeOf(type)));
    }
    return absl::OkStatus();
  }
  if (TypedCount(proto, type) != count || others != count) {
    return absl::InvalidArgumentError(where + ": the tensor holds " + std::to_string(others) +
                                      " values where its shape needs " + std::to_string(count));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTensorProto(const ::onnx::TensorProto& proto, const std::string& where, int64_t max_bytes) {
  if (proto.data_location() == ::onnx::TensorProto::EXTERNAL || proto.external_data_size() != 0) {
    return absl::UnimplementedError(where + ": data in an external file is not supported; save the model as one file");
  }
  if (proto.has_segment()) {
    return absl::UnimplementedError(where + ": segmented tensors are not supported");
  }
  const std::optional<DataType> type = TypeOf(proto.data_type());
  if (!type.has_value()) {
    return absl::UnimplementedError(where + ": tensors of type " + TypeName(proto.data_type()) + " are not supported");
  }
  const absl::StatusOr<Shape> shape = Shape::Create({proto.dims().begin(), proto.dims().end()});
  if (!shape.ok()) {
    return absl::InvalidArgumentError(where + ": " + std::string(shape.status().message()));
  }
  if (shape->num_elements() > static_cast<uint64_t>(max_bytes) / SizeOf(*type)) {
    return absl::ResourceExhaustedError(where + ": shape " + shape->ToString() + " exceeds the limit of " +
                                        std::to_string(max_bytes) + " bytes for a tensor");
  }
  return CheckData(proto, where, *type, shape->num_elements());
}

Tensor ToTensor(const ::onnx::TensorProto& proto) {
  const DataType type = *TypeOf(proto.data_type());
  Tensor out(type, *Shape::Create({proto.dims().begin(), proto.dims().end()}));
  if (out.num_elements() == 0) {
    return out;
  }
  if (proto.has_raw_data() && !proto.raw_data().empty()) {
    std::memcpy(out.mutable_bytes().data(), proto.raw_data().data(), out.size_bytes());
    return out;
  }
  for (size_t i = 0; i < out.num_elements(); ++i) {
    const int at = static_cast<int>(i);
    switch (type) {
      case DataType::kFloat32:
        out.mutable_values<float>()[i] = proto.float_data(at);
        break;
      case DataType::kInt64:
        out.mutable_values<int64_t>()[i] = proto.int64_data(at);
        break;
      case DataType::kInt32:
        out.mutable_values<int32_t>()[i] = proto.int32_data(at);
        break;
      case DataType::kUint8:
        out.mutable_values<uint8_t>()[i] = static_cast<uint8_t>(proto.int32_data(at));
        break;
      case DataType::kInt8:
        out.mutable_values<int8_t>()[i] = static_cast<int8_t>(proto.int32_data(at));
        break;
    }
  }
  return out;
}

}  // namespace shoji::graph::onnx_io
