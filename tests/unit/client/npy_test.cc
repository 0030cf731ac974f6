// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/npy.h"

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Bytes Npy(const std::string& header, ByteSpan data, uint8_t version = 1) {
  Bytes out = {0x93,
               'N',
               'U',
               'M',
               'P',
               'Y',
               version,
               0,
               static_cast<uint8_t>(header.size()),
               static_cast<uint8_t>(header.size() >> 8)};
  if (version > 1) {
    out.insert(out.end(), 2, 0);
  }
  Append(out, header);
  Append(out, data);
  return out;
}

const Bytes kTwoFloats = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};  // 1, -2
constexpr char kHeader[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }   \n";

std::string ErrorOf(ByteSpan file) { return std::string(ParseNpy(file).status().message()); }

TEST(NpyTest, ReadsFloatsInEveryFormatVersion) {
  for (const uint8_t version : Bytes{1, 2, 3}) {
    const auto tensor = ParseNpy(Npy(kHeader, kTwoFloats, version));
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->shape(), Shape({1, 2}));
    EXPECT_THAT(tensor->values<float>(), ElementsAre(1.F, -2.F));
  }
}

TEST(NpyTest, ReadsBytesAsFloats) {
  const auto tensor = ParseNpy(Npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", Bytes{0, 7, 255}));
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->shape(), Shape({3}));
  EXPECT_THAT(tensor->values<float>(), ElementsAre(0.F, 7.F, 255.F));
}

TEST(NpyTest, ReadsAScalar) {
  const auto tensor = ParseNpy(Npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n", Bytes{9}));
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->shape().rank(), 0U);
}

TEST(NpyTest, SaysWhatItCannotRead) {
  EXPECT_THAT(ErrorOf(Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", Bytes(8))),
              HasSubstr("neither float32 nor uint8"));
  EXPECT_THAT(ErrorOf(Npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }\n", kTwoFloats)),
              HasSubstr("Fortran order"));
  EXPECT_THAT(ErrorOf(Npy(kHeader, kTwoFloats, 9)), HasSubstr("version 9"));
}

TEST(NpyTest, RefusesAShapeThatTheDataDoesNotFillBeforeAllocating) {
  EXPECT_THAT(ErrorOf(Npy(kHeader, Bytes(7))), HasSubstr("7 bytes of data where its shape [1,2] needs 8"));
  const auto with_shape = [](const std::string& shape) {
    return Npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n", kTwoFloats);
  };
  EXPECT_THAT(ErrorOf(with_shape("(1000000, 1000000)")), HasSubstr("needs"));
  EXPECT_FALSE(ParseNpy(with_shape("(9223372036854775807, 9223372036854775807)")).ok());
  EXPECT_FALSE(ParseNpy(with_shape("(99999999999999999999999,)")).ok());
  EXPECT_FALSE(ParseNpy(with_shape("(-1, 2)")).ok());
  EXPECT_FALSE(ParseNpy(with_shape("(1 2)")).ok());
  EXPECT_FALSE(ParseNpy(with_shape("(1, 2")).ok());
  EXPECT_FALSE(ParseNpy(with_shape("(1,1,1,1,1,1,1,1,2)")).ok());
  EXPECT_FALSE(ParseNpy(with_shape("2")).ok());
}

TEST(NpyTest, RefusesEveryTruncationAndSurvivesRandomDamage) {
  const Bytes whole = Npy(kHeader, kTwoFloats);
  for (size_t len = 0; len < whole.size(); ++len) {
    EXPECT_FALSE(ParseNpy(ByteSpan(whole).first(len)).ok()) << len;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    Bytes damaged = whole;
    for (int k = 0; k < 3; ++k) {
      damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
    }
    ParseNpy(damaged).IgnoreError();
  }
}

}  // namespace
}  // namespace shoji::client
