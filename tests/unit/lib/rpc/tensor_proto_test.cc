// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/tensor_proto.h"

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace shoji::rpc {
namespace {

constexpr size_t kMaxBytes = 1024;

internal::v1::Tensor Proto(v1::DataType type, const std::vector<int64_t>& dims, size_t num_bytes) {
  internal::v1::Tensor out;
  out.set_data_type(type);
  out.mutable_dims()->Assign(dims.begin(), dims.end());
  out.set_data(std::string(num_bytes, '\x01'));
  return out;
}

absl::StatusCode CodeOf(const internal::v1::Tensor& proto) { return ParseTensor(proto, kMaxBytes).status().code(); }

TEST(TensorProtoTest, EveryTypeAndShapeRoundTrips) {
  for (const DataType type :
       {DataType::kFloat32, DataType::kUint8, DataType::kInt8, DataType::kInt32, DataType::kInt64}) {
    for (const std::vector<int64_t>& dims : {std::vector<int64_t>{}, {0}, {3}, {2, 3}, {1, 2, 3, 4}, {2, 0, 5}}) {
      Tensor tensor(type, *Shape::Create(dims));
      uint8_t value = 0;
      for (uint8_t& byte : tensor.mutable_bytes()) {
        byte = ++value;
      }
      internal::v1::Tensor proto;
      WriteTensor(tensor, proto);
      const absl::StatusOr<Tensor> parsed = ParseTensor(proto, kMaxBytes);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->type(), type);
      EXPECT_EQ(parsed->shape(), tensor.shape());
      EXPECT_TRUE(
          std::equal(parsed->bytes().begin(), parsed->bytes().end(), tensor.bytes().begin(), tensor.bytes().end()));
    }
  }
}

TEST(TensorProtoTest, UnknownTypesAreRefused) {
  EXPECT_EQ(CodeOf(Proto(v1::DATA_TYPE_UNSPECIFIED, {1}, 4)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Proto(static_cast<v1::DataType>(77), {1}, 4)), absl::StatusCode::kInvalidArgument);
}

TEST(TensorProtoTest, WrongByteLengthsAreRefused) {
  for (const size_t num_bytes : {size_t{0}, size_t{1}, size_t{23}, size_t{25}, size_t{1000}}) {
    EXPECT_EQ(CodeOf(Proto(v1::FLOAT32, {2, 3}, num_bytes)), absl::StatusCode::kInvalidArgument) << num_bytes;
  }
  EXPECT_EQ(CodeOf(Proto(v1::FLOAT32, {0}, 4)), absl::StatusCode::kInvalidArgument);
}

TEST(TensorProtoTest, HostileShapesAreRefused) {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{-1},
                                           {huge},
                                           {huge, huge},
                                           {int64_t{1} << 32, int64_t{1} << 32},
                                           {-1, -4},
                                           {huge, 0, huge},
                                           {1, 1, 1, 1, 1, 1, 1, 1, 1},
                                           std::vector<int64_t>(100'000, 1)}) {
    EXPECT_FALSE(ParseTensor(Proto(v1::FLOAT32, dims, 4), kMaxBytes).ok());
  }
}

TEST(TensorProtoTest, TensorOverTheLimitIsRefusedBeforeItsDataIsLookedAt) {
  EXPECT_EQ(CodeOf(Proto(v1::FLOAT32, {1 << 30}, 4)), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(Proto(v1::UINT8, {1024}, 1024)), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(Proto(v1::UINT8, {1025}, 1025)), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace shoji::rpc
