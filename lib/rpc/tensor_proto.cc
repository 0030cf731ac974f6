// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/tensor_proto.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"

namespace shoji::rpc {

v1::DataType ToProto(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return v1::FLOAT32;
    case DataType::kUint8:
      return v1::UINT8;
    case DataType::kInt8:
      return v1::INT8;
    case DataType::kInt32:
      return v1::INT32;
    case DataType::kInt64:
      return v1::INT64;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

std::optional<DataType> FromProto(v1::DataType type) {
  switch (type) {
    case v1::FLOAT32:
      return DataType::kFloat32;
    case v1::UINT8:
      return DataType::kUint8;
    case v1::INT8:
      return DataType::kInt8;
    case v1::INT32:
      return DataType::kInt32;
    case v1::INT64:
      return DataType::kInt64;
    default:
      return std::nullopt;
  }
}

void WriteTensor(const Tensor& tensor, internal::v1::Tensor& out) {
  out.set_data_type(ToProto(tensor.type()));
  out.mutable_dims()->Assign(tensor.shape().dims().begin(), tensor.shape().dims().end());
  const ByteSpan bytes = tensor.bytes();
  out.set_data(bytes.data(), bytes.size());
}

absl::StatusOr<Tensor> ParseTensor(const internal::v1::Tensor& in, size_t max_bytes) {
  const std::optional<DataType> type = FromProto(in.data_type());
  if (!type.has_value()) {
    return absl::InvalidArgumentError("a tensor has an unknown data type");
  }
  if (static_cast<size_t>(in.dims_size()) > Shape::kMaxRank) {
    return absl::InvalidArgumentError("a tensor has rank " + std::to_string(in.dims_size()) + ", more than " +
                                      std::to_string(Shape::kMaxRank));
  }
  ASSIGN_OR_RETURN(Shape shape, Shape::Create({in.dims().begin(), in.dims().end()}));
  ASSIGN_OR_RETURN(const size_t size, CheckedMul<size_t>(shape.num_elements(), SizeOf(*type)));
  if (size > max_bytes) {
    return absl::ResourceExhaustedError("a tensor of " + std::to_string(size) + " bytes exceeds the limit of " +
                                        std::to_string(max_bytes));
  }
  if (in.data().size() != size) {
    return absl::InvalidArgumentError("a tensor " + std::string(NameOf(*type)) + shape.ToString() + " needs " +
                                      std::to_string(size) + " bytes, not " + std::to_string(in.data().size()));
  }
  Tensor out(*type, std::move(shape));
  if (size != 0) {
    std::memcpy(out.mutable_bytes().data(), in.data().data(), size);
  }
  return out;
}

}  // namespace shoji::rpc
