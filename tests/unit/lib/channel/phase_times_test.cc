// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/phase_times.h"

#include <set>
#include <string_view>

#include <gtest/gtest.h>

namespace shoji::channel {
namespace {

using std::chrono::microseconds;

TEST(PhaseTimesTest, AreRoundedToSixteenMicrosecondsOrASixteenthOfThemselves) {
  EXPECT_EQ(CoarseMicros(microseconds(0)), 0U);
  EXPECT_EQ(CoarseMicros(microseconds(7)), 0U);
  EXPECT_EQ(CoarseMicros(microseconds(8)), 16U);
  EXPECT_EQ(CoarseMicros(microseconds(255)), 256U);
  EXPECT_EQ(CoarseMicros(microseconds(1000)), 1024U);  // in steps of 64
  EXPECT_EQ(CoarseMicros(microseconds(1100)), 1152U);  // in steps of 128
  for (uint32_t micros = 128; micros < 5'000'000; micros += micros / 7) {
    EXPECT_LE(std::abs(static_cast<double>(CoarseMicros(microseconds(micros))) - micros), micros / 16.0) << micros;
  }
}

TEST(PhaseTimesTest, SaturateAndAreNeverNegative) {
  EXPECT_EQ(CoarseMicros(microseconds(-5)), 0U);
  EXPECT_EQ(CoarseMicros(std::chrono::hours(24)), uint32_t{1} << 31);
}

TEST(PhaseTimesTest, ComeBackFromATrailerInTheirOrder) {
  PhaseTimes phases;
  for (size_t i = 0; i < kNumPhases; ++i) {
    phases[kAllPhases[i]] = microseconds(16 * (i + 1));
  }
  Bytes trailer(kPhaseTrailerSize, 0xff);
  WritePhaseTrailer(phases, trailer);
  EXPECT_EQ(HexEncode(trailer), "0000001000000020000000300000004000000050000000600000007000000000");
  EXPECT_EQ(ReadPhaseTrailer(trailer).times, phases.times);
}

TEST(PhaseTimesTest, EveryPhaseHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const Phase phase : kAllPhases) {
    names.insert(NameOf(phase));
  }
  EXPECT_EQ(names.size(), kNumPhases);
}

}  // namespace
}  // namespace shoji::channel
