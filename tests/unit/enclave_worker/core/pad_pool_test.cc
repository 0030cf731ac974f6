// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/pad_pool.h"

#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enclave_worker/core/pad_filler.h"
#include "lib/base/reason.h"
#include "tests/support/fake_clock.h"
#include "tests/support/process.h"
#include "tests/unit/enclave_worker/core/linear_layers.h"

namespace shoji::enclave {
namespace {

using kernels::ring::LimbRowBytes;
using kernels::ring::LinearKernel;
using partition::OnPoolEmpty;
using ::testing::HasSubstr;

const auto kNever = [] { return false; };

// Two layers and what pads are made of for them.
class PadPoolTest : public ::testing::Test {
 protected:
  PadPoolTest() {
    for (const quantization::LinearLayer* layer : {&first_, &second_}) {
      auto kernel = LinearKernel::Create(layer->geometry, layer->weights, kernels::ring::Isa::kPortable);
      EXPECT_TRUE(kernel.ok()) << kernel.status();
      kernels_.push_back(*std::move(kernel));
      codecs_.push_back(std::make_unique<LayerCodec>(*layer, BestCodecIsa()));
    }
  }

  absl::StatusOr<std::unique_ptr<PadPool>> Create(const PadPool::Options& options) {
    return PadPool::Create({{codecs_[0].get(), kernels_[0].get()}, {codecs_[1].get(), kernels_[1].get()}}, options,
                           clock_);
  }
  std::unique_ptr<PadPool> Pool(size_t max_pads, OnPoolEmpty on_empty) {
    auto pool = Create({max_pads, uint64_t{1} << 30, on_empty});
    EXPECT_TRUE(pool.ok()) << pool.status();
    return *std::move(pool);
  }

  const quantization::LinearLayer first_ = testing::SeededLayer(3, 5, 6, 1);
  const quantization::LinearLayer second_ = testing::SeededLayer(20, 4, 1, 2);
  std::vector<std::unique_ptr<LinearKernel>> kernels_;
  std::vector<std::unique_ptr<LayerCodec>> codecs_;
  testing::FakeClock clock_;
};

TEST_F(PadPoolTest, APadHoldsWTimesItsOwnRandomnessForEveryLayer) {
  const auto pool = Pool(1, OnPoolEmpty::kEnclave);
  ASSERT_TRUE(pool->MakeOne(kNever));
  const auto pad = pool->Claim(SteadyTime::max());
  ASSERT_TRUE(pad.ok());
  ASSERT_NE(*pad, nullptr);
  for (size_t i = 0; i < 2; ++i) {
    const quantization::LinearLayer& layer = codecs_[i]->layer();
    const size_t row_bytes = LimbRowBytes(layer.geometry, 3);
    Bytes limbs(row_bytes * static_cast<size_t>(layer.geometry.input[0]));
    for (int64_t row = 0; row < layer.geometry.input[0]; ++row) {
      codecs_[i]->RandomRow((*pad)->key(), i, row,
                            std::span(limbs).subspan(static_cast<size_t>(row) * row_bytes, row_bytes));
    }
    Bytes expected(kernels::ring::WordsBytes(layer.geometry, layer.ring));
    Bytes scratch(kernels_[i]->scratch_bytes(3));
    kernels_[i]->Run(layer.ring, {limbs, 3, 0}, {0, layer.geometry.output[0]}, expected, scratch);
    EXPECT_TRUE(std::ranges::equal(expected, (*pad)->product(i))) << "layer " << i;
  }
}

TEST_F(PadPoolTest, NoTwoPadsShareAByteOfRandomness) {
  const auto pool = Pool(8, OnPoolEmpty::kEnclave);
  std::set<Bytes> seen;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(pool->MakeOne(kNever));
  }
  for (int i = 0; i < 8; ++i) {
    const auto pad = pool->Claim(SteadyTime::max());
    ASSERT_TRUE(pad.ok() && *pad != nullptr);
    for (const uint64_t layer : {uint64_t{0}, uint64_t{1}}) {
      Bytes stream(64);
      (*pad)->key().Generate(layer, 0, stream);
      EXPECT_TRUE(seen.insert(stream).second);
    }
  }
}

TEST_F(PadPoolTest, ClaimedPadsCountAgainstTheBudgetUntilTheyAreGone) {
  const auto pool = Pool(2, OnPoolEmpty::kEnclave);
  ASSERT_TRUE(pool->MakeOne(kNever));
  ASSERT_TRUE(pool->MakeOne(kNever));
  EXPECT_FALSE(pool->MakeOne(kNever));
  auto pad = pool->Claim(SteadyTime::max());
  ASSERT_TRUE(pad.ok());
  EXPECT_EQ(pool->num_available(), 1U);
  EXPECT_EQ(pool->num_pads(), 2U);
  EXPECT_FALSE(pool->HasRoom());
  pad->reset();
  EXPECT_EQ(pool->num_pads(), 1U);
  EXPECT_TRUE(pool->HasRoom());
}

TEST_F(PadPoolTest, ABudgetInBytesBoundsThePads) {
  const uint64_t one = Pool(1, OnPoolEmpty::kEnclave)->pad_bytes();
  EXPECT_GE(one, kernels::ring::WordsBytes(first_.geometry, first_.ring));
  const auto pool = Create({100, 3 * one + one / 2, OnPoolEmpty::kEnclave});
  ASSERT_TRUE(pool.ok());
  int made = 0;
  while ((*pool)->MakeOne(kNever)) {
    ++made;
  }
  EXPECT_EQ(made, 3);
  const auto too_small = Create({100, one - 1, OnPoolEmpty::kEnclave});
  EXPECT_EQ(too_small.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(too_small.status().message()), HasSubstr("raise pool.memory"));
}

TEST_F(PadPoolTest, AnEmptyPoolDoesWhatThePolicySays) {
  const auto enclave = Pool(1, OnPoolEmpty::kEnclave)->Claim(SteadyTime::max());
  ASSERT_TRUE(enclave.ok());
  EXPECT_EQ(*enclave, nullptr);
  const auto pool = Pool(1, OnPoolEmpty::kReject);
  EXPECT_EQ(ReasonOf(pool->Claim(SteadyTime::max()).status()), Reason::kOverloaded);
  EXPECT_EQ(pool->num_empty(), 1U);
  EXPECT_EQ(ReasonOf(Pool(1, OnPoolEmpty::kWait)->Claim(clock_.SteadyNow()).status()), Reason::kDeadline);
}

TEST_F(PadPoolTest, AWaitingClaimGetsThePadThatIsMadeNext) {
  const auto pool = Pool(1, OnPoolEmpty::kWait);
  absl::StatusOr<std::unique_ptr<Pad>> pad;
  {
    const std::jthread waiting([&] { pad = pool->Claim(clock_.SteadyNow() + std::chrono::hours(1)); });
    ASSERT_TRUE(testing::WaitFor([&] { return pool->num_empty() == 1; }));
    ASSERT_TRUE(pool->MakeOne(kNever));
  }
  ASSERT_TRUE(pad.ok());
  EXPECT_NE(*pad, nullptr);
}

TEST_F(PadPoolTest, APadThatIsNotFinishedGivesItsPlaceBack) {
  const auto pool = Pool(1, OnPoolEmpty::kEnclave);
  EXPECT_FALSE(pool->MakeOne([] { return true; }));
  EXPECT_EQ(pool->num_pads(), 0U);
  EXPECT_EQ(pool->num_made(), 0U);
}

TEST_F(PadPoolTest, TheFillerFillsEveryPoolAndRefillsWhatIsUsed) {
  const auto first = Pool(3, OnPoolEmpty::kWait);
  const auto second = Pool(2, OnPoolEmpty::kWait);
  PadFiller filler(2);
  const PadFiller::Attachment filling_first(filler, *first);
  const PadFiller::Attachment filling_second(filler, *second);
  ASSERT_TRUE(testing::WaitFor([&] { return first->num_available() == 3 && second->num_available() == 2; }));
  for (int i = 0; i < 20; ++i) {
    const auto pad = first->Claim(clock_.SteadyNow() + std::chrono::hours(1));
    ASSERT_TRUE(pad.ok());
    ASSERT_LE(first->num_pads(), 3U);
  }
  ASSERT_TRUE(testing::WaitFor([&] { return first->num_available() == 3; }));
  EXPECT_GE(first->num_made(), 23U);
}

TEST_F(PadPoolTest, ADetachedPoolIsNotTouchedAnyMore) {
  PadFiller filler(2);
  for (int i = 0; i < 20; ++i) {
    const auto pool = Pool(100, OnPoolEmpty::kWait);
    const PadFiller::Attachment filling(filler, *pool);
    ASSERT_TRUE(testing::WaitFor([&] { return pool->num_made() > 0; }));
  }
}

}  // namespace
}  // namespace shoji::enclave
