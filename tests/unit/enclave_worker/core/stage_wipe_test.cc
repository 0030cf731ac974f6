// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a stage made and the plan does not want is wiped before its memory is free. A program of its own: it looks at
// tensors' memory as it is given back.
#include <cstdlib>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/stage.h"
#include "lib/base/reason.h"

namespace {

// Of the tensors that a test follows: memory that came back, and how much of that was not all zeros.
struct Watched {
  std::span<const uint8_t> bytes[4];
  size_t num_freed = 0;
  size_t num_unwiped = 0;
} watched;  // NOLINT(readability-identifier-naming): used by operator delete

void Look(const void* memory) {
  for (std::span<const uint8_t>& bytes : watched.bytes) {
    if (memory != nullptr && bytes.data() == memory) {
      bool is_wiped = true;
      for (const uint8_t byte : bytes) {
        is_wiped = is_wiped && byte == 0;
      }
      ++watched.num_freed;
      watched.num_unwiped += is_wiped ? 0 : 1;
      bytes = {};
    }
  }
}

}  // namespace

// Tensors are aligned, so this sees all of them.
void* operator new(size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<size_t>(alignment);
  void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  Look(memory);
  std::free(memory);
}
void operator delete(void* memory, size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  Look(memory);
  std::free(memory);
}

namespace shoji::enclave {
namespace {

class StageWipeTest : public ::testing::Test {
 protected:
  StageWipeTest() { watched = {}; }

  // A tensor full of ones, which is followed from now on.
  static Tensor Marked(Shape shape) {
    Tensor out(DataType::kFloat32, std::move(shape));
    for (uint8_t& byte : out.mutable_bytes()) {
      byte = 1;
    }
    for (std::span<const uint8_t>& bytes : watched.bytes) {
      if (bytes.empty()) {
        bytes = out.bytes();
        break;
      }
    }
    return out;
  }

  const std::vector<partition::CrossingTensor> expected_ = {{"a", DataType::kFloat32, Shape({2, 3})},
                                                            {"b", DataType::kFloat32, Shape({4})}};
  SecretTensors live_;
};

TEST_F(StageWipeTest, TheTestSeesATensorThatIsNotWiped) {
  { const Tensor tensor = Marked(Shape({5})); }
  EXPECT_EQ(watched.num_freed, 1U);
  EXPECT_EQ(watched.num_unwiped, 1U);
}

TEST_F(StageWipeTest, OutputsOfAnotherShapeAreAllWiped) {
  std::vector<Tensor> outputs;
  outputs.push_back(Marked(Shape({2, 3})));
  outputs.push_back(Marked(Shape({5})));
  EXPECT_EQ(ReasonOf(PutOutputs(expected_, std::move(outputs), live_)), Reason::kInternal);
  EXPECT_EQ(watched.num_freed, 2U);
  EXPECT_EQ(watched.num_unwiped, 0U);
  EXPECT_EQ(live_.Find("a"), nullptr);
}

TEST_F(StageWipeTest, TooFewAndTooManyOutputsAreAllWiped) {
  std::vector<Tensor> few;
  few.push_back(Marked(Shape({2, 3})));
  EXPECT_FALSE(PutOutputs(expected_, std::move(few), live_).ok());
  std::vector<Tensor> many;
  for (const auto& shape : {Shape({2, 3}), Shape({4}), Shape({1})}) {
    many.push_back(Marked(shape));
  }
  EXPECT_FALSE(PutOutputs(expected_, std::move(many), live_).ok());
  EXPECT_EQ(watched.num_freed, 4U);
  EXPECT_EQ(watched.num_unwiped, 0U);
}

TEST_F(StageWipeTest, WantedOutputsAreKeptAndWipedWithTheRequest) {
  {
    SecretTensors live;
    std::vector<Tensor> outputs;
    outputs.push_back(Marked(Shape({2, 3})));
    outputs.push_back(Marked(Shape({4})));
    EXPECT_TRUE(PutOutputs(expected_, std::move(outputs), live).ok());
    EXPECT_NE(live.Find("b"), nullptr);
    EXPECT_EQ(watched.num_freed, 0U);
  }
  EXPECT_EQ(watched.num_freed, 2U);
  EXPECT_EQ(watched.num_unwiped, 0U);
}

}  // namespace
}  // namespace shoji::enclave
