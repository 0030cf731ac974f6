// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/tensor/tensor.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace shoji {
namespace {

static_assert(!std::copyable<Tensor> && std::movable<Tensor>);

TEST(ShapeTest, KnowsItsElementCount) {
  EXPECT_EQ(Shape().num_elements(), 1u);
  EXPECT_EQ(Shape({2, 3, 4}).num_elements(), 24u);
  EXPECT_EQ(Shape({2, 0, 4}).num_elements(), 0u);
  EXPECT_EQ(Shape({1, 3, 32, 32}).ToString(), "[1,3,32,32]");
  EXPECT_EQ(Shape().ToString(), "[]");
}

TEST(ShapeTest, HostileExtentsAreErrors) {
  constexpr int64_t kHuge = int64_t{1} << 40;
  EXPECT_TRUE(Shape::Create({kHuge}).ok());
  EXPECT_FALSE(Shape::Create({kHuge + 1}).ok());
  EXPECT_FALSE(Shape::Create({kHuge, 2}).ok());
  EXPECT_FALSE(Shape::Create({-1}).ok());
  EXPECT_FALSE(Shape::Create({INT64_MAX, INT64_MAX}).ok());
  EXPECT_FALSE(Shape::Create({INT64_MIN}).ok());
  EXPECT_FALSE(Shape::Create(std::vector<int64_t>(9, 1)).ok());
  EXPECT_TRUE(Shape::Create(std::vector<int64_t>(8, 1)).ok());
}

TEST(ShapeTest, ExtentsAndOrderMakeEquality) {
  EXPECT_EQ(Shape({2, 3}), Shape({2, 3}));
  EXPECT_FALSE(Shape({2, 3}) == Shape({3, 2}));
  EXPECT_FALSE(Shape({1}) == Shape());
}

TEST(ShapeDeathTest, ABadLiteralAborts) { EXPECT_DEATH(Shape({-1}), "check failed"); }

TEST(DataTypeTest, SizesAndNames) {
  EXPECT_EQ(SizeOf(DataType::kFloat32), 4u);
  EXPECT_EQ(SizeOf(DataType::kInt64), 8u);
  EXPECT_EQ(SizeOf(DataType::kUint8), 1u);
  EXPECT_EQ(NameOf(DataType::kInt8), "int8");
}

TEST(TensorTest, StartsZeroFilledAndAligned) {
  const Tensor tensor(DataType::kInt32, Shape({3, 5}));
  EXPECT_EQ(tensor.size_bytes(), 60u);
  EXPECT_TRUE(std::ranges::all_of(tensor.values<int32_t>(), [](int32_t value) { return value == 0; }));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes().data()) % 64, 0u);
}

TEST(TensorTest, HoldsTheValuesItWasGiven) {
  constexpr std::array<float, 4> kValues = {1, -2, 0.5F, 4};
  const Tensor tensor = Tensor::Of<float>(Shape({2, 2}), kValues);
  EXPECT_EQ(tensor.type(), DataType::kFloat32);
  EXPECT_TRUE(std::ranges::equal(tensor.values<float>(), kValues));
}

TEST(TensorTest, ACloneIsIndependent) {
  constexpr std::array<uint8_t, 2> kValues = {1, 2};
  const Tensor original = Tensor::Of<uint8_t>(Shape({2}), kValues);
  Tensor clone = original.Clone();
  clone.mutable_values<uint8_t>()[0] = 9;
  EXPECT_EQ(original.values<uint8_t>()[0], 1);
}

TEST(TensorTest, AMovedFromTensorIsEmpty) {
  Tensor a(DataType::kFloat32, Shape({4}));
  const Tensor b = std::move(a);
  EXPECT_EQ(a.num_elements(), 0u);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_TRUE(a.bytes().empty());
  EXPECT_EQ(b.num_elements(), 4u);
}

TEST(TensorTest, EmptyTensorsWork) {
  const Tensor none(DataType::kFloat32, Shape({0, 3}));
  EXPECT_TRUE(none.bytes().empty());
  EXPECT_EQ(none.Clone().num_elements(), 0u);
  EXPECT_TRUE(Tensor().bytes().empty());
  EXPECT_EQ(Tensor().Clone().num_elements(), 0u);
}

TEST(TensorTest, ReshapeKeepsTheValues) {
  constexpr std::array<int8_t, 6> kValues = {1, 2, 3, 4, 5, 6};
  Tensor tensor = Tensor::Of<int8_t>(Shape({2, 3}), kValues);
  tensor.Reshape(Shape({3, 2}));
  EXPECT_TRUE(std::ranges::equal(tensor.values<int8_t>(), kValues));
}

TEST(TensorTest, WipeZeroesEveryValue) {
  constexpr std::array<int64_t, 3> kValues = {1, -1, 7};
  Tensor tensor = Tensor::Of<int64_t>(Shape({3}), kValues);
  tensor.Wipe();
  EXPECT_TRUE(std::ranges::all_of(tensor.values<int64_t>(), [](int64_t value) { return value == 0; }));
  Tensor().Wipe();
}

TEST(TensorDeathTest, TheWrongElementTypeAborts) {
  const Tensor tensor(DataType::kInt8, Shape({1}));
  EXPECT_DEATH((void)tensor.values<float>(), "check failed");
}

TEST(TensorDeathTest, ReshapeToAnotherCountAborts) {
  Tensor tensor(DataType::kInt8, Shape({4}));
  EXPECT_DEATH(tensor.Reshape(Shape({5})), "check failed");
}

TEST(TensorTest, ReinterpretedBytesAreTheSameBytesOfAnotherType) {
  Tensor bytes = Tensor::Uninitialized(DataType::kUint8, Shape({8}));
  const std::array<float, 2> values = {1.5F, -2};
  std::memcpy(bytes.mutable_bytes().data(), values.data(), sizeof(values));
  const uint8_t* where = bytes.bytes().data();
  const Tensor floats = std::move(bytes).Reinterpret(DataType::kFloat32, Shape({2, 1}));
  EXPECT_EQ(floats.bytes().data(), where);
  EXPECT_EQ(floats.shape(), Shape({2, 1}));
  EXPECT_EQ(floats.values<float>()[1], -2);
  EXPECT_EQ(bytes.num_elements(), 0U);  // NOLINT(bugprone-use-after-move): left empty, as it says
}

TEST(TensorDeathTest, ReinterpretingAnotherNumberOfBytesAborts) {
  Tensor bytes(DataType::kUint8, Shape({7}));
  EXPECT_DEATH((void)std::move(bytes).Reinterpret(DataType::kFloat32, Shape({2})), "check failed");
}

}  // namespace
}  // namespace shoji
