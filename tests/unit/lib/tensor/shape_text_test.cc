// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/tensor/shape_text.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji {
namespace {

using ::testing::HasSubstr;

TEST(ShapeTextTest, ExtentsStandBetweenXs) {
  EXPECT_EQ(*ParseShape("3x224x200"), Shape({3, 224, 200}));
  EXPECT_EQ(*ParseShape("7"), Shape({7}));
}

TEST(ShapeTextTest, WhatIsNoShapeIsRefusedWithAnExample) {
  for (const char* text : {"", "x", "3x", "x3", "3xx4", "3x-1x4", "3x0x4", "3x4 ", " 3x4", "3X4", "3,4", "three",
                           "3x99999999999999999999"}) {
    const absl::Status status = ParseShape(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("'" + std::string(text) + "' is no shape; write it like 3x224x224"));
  }
}

TEST(ShapeTextTest, ShapesThatAreTooLargeAreErrors) {
  EXPECT_FALSE(ParseShape("1099511627776x2").ok());
  EXPECT_FALSE(ParseShape("1x1x1x1x1x1x1x1x1").ok());
}

}  // namespace
}  // namespace shoji
