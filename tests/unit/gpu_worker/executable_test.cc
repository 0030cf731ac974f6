// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/executable.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/rpc/tensor_proto.h"
#include "tests/unit/gpu_worker/fake_backend.h"
#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;
using ::testing::HasSubstr;

constexpr size_t kMaxBytes = 1 << 20;

class ExecutableTest : public ::testing::Test {
 protected:
  static absl::StatusOr<std::unique_ptr<Executable>> LoadExecutable(Backend& backend, pb::SubModelFormat format,
                                                                    ByteSpan bytes) {
    SpanSource source(bytes);
    return accelerator::LoadExecutable(backend, format, source);
  }
  absl::StatusOr<std::unique_ptr<Executable>> LoadLayer() {
    return LoadExecutable(backend_, pb::LINEAR_LAYER, AsBytes(testing::SmallLayer().SerializeAsString()));
  }
  // The input of the small layer.
  static Tensor Limbs(uint8_t value) {
    Tensor input(DataType::kUint8, Shape({6, 4, 64}));
    for (uint8_t& byte : input.mutable_bytes()) {
      byte = value;
    }
    return input;
  }
  static pb::Execute With(const Tensor& input) {
    pb::Execute execute;
    rpc::WriteTensor(input, *execute.add_inputs());
    return execute;
  }
  static absl::Status GoOn() { return absl::OkStatus(); }

  testing::FakeBackend backend_;
};

TEST_F(ExecutableTest, ALinearLayerTakesLimbsAndReturnsWords) {
  const auto layer = LoadLayer();
  ASSERT_TRUE(layer.ok()) << layer.status();
  pb::ExecuteReply reply;
  ASSERT_TRUE((*layer)->Run(With(Limbs(7)), kMaxBytes, GoOn, reply).ok());
  ASSERT_EQ(reply.outputs_size(), 1);
  const auto words = rpc::ParseTensor(reply.outputs(0), kMaxBytes);
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_EQ(words->type(), DataType::kUint8);
  EXPECT_EQ(words->shape(), Shape({3, 128}));
  EXPECT_THAT(words->bytes(), ::testing::Each(8)) << "as the fake computes";
}

TEST_F(ExecutableTest, ALinearLayerRefusesEveryInputButItsOwn) {
  const auto layer = LoadLayer();
  ASSERT_TRUE(layer.ok()) << layer.status();
  pb::Execute none;
  pb::Execute two = With(Limbs(7));
  *two.add_inputs() = two.inputs(0);
  pb::Execute other_type = With(Limbs(7));
  other_type.mutable_inputs(0)->set_data_type(v1::INT8);
  pb::Execute other_shape = With(Limbs(7));
  other_shape.mutable_inputs(0)->set_dims(0, 4);
  other_shape.mutable_inputs(0)->set_dims(1, 6);
  pb::Execute other_rank = With(Limbs(7));
  other_rank.mutable_inputs(0)->add_dims(1);
  pb::Execute too_short = With(Limbs(7));
  too_short.mutable_inputs(0)->mutable_data()->pop_back();
  pb::Execute too_long = With(Limbs(7));
  too_long.mutable_inputs(0)->mutable_data()->push_back('\0');
  for (const pb::Execute& execute : {none, two, other_type, other_shape, other_rank, too_short, too_long}) {
    pb::ExecuteReply reply;
    const absl::Status status = (*layer)->Run(execute, kMaxBytes, GoOn, reply);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
  EXPECT_EQ(backend_.num_runs, 0);
}

TEST_F(ExecutableTest, ALinearLayerThatIsStoppedSaysWhy) {
  const auto layer = LoadLayer();
  ASSERT_TRUE(layer.ok()) << layer.status();
  pb::ExecuteReply reply;
  const auto stop = [] { return absl::DeadlineExceededError("too late"); };
  EXPECT_TRUE(absl::IsDeadlineExceeded((*layer)->Run(With(Limbs(7)), kMaxBytes, stop, reply)));
}

TEST_F(ExecutableTest, AnOpenSegmentTakesAndReturnsTensors) {
  const auto segment = LoadExecutable(backend_, pb::ONNX, AsBytes("add 3"));
  ASSERT_TRUE(segment.ok()) << segment.status();
  pb::ExecuteReply reply;
  const Tensor input = Tensor::Of<float>(Shape({2}), std::vector<float>{1, 2});
  ASSERT_TRUE((*segment)->Run(With(input), kMaxBytes, GoOn, reply).ok());
  const auto output = rpc::ParseTensor(reply.outputs(0), kMaxBytes);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_THAT(output->values<float>(), ::testing::ElementsAre(4, 5));
  EXPECT_TRUE(absl::IsResourceExhausted((*segment)->Run(With(input), 7, GoOn, reply))) << "8 bytes";
}

TEST_F(ExecutableTest, ABatchIsAnsweredOneRequestAfterTheOther) {
  const auto segment = LoadExecutable(backend_, pb::ONNX, AsBytes("add 3"));
  ASSERT_TRUE(segment.ok()) << segment.status();
  pb::Execute execute = With(Tensor::Of<float>(Shape({2}), std::vector<float>{1, 2}));
  rpc::WriteTensor(Tensor::Of<float>(Shape({2}), std::vector<float>{10, 20}), *execute.add_inputs());
  execute.set_batch(2);
  pb::ExecuteReply reply;
  ASSERT_TRUE((*segment)->Run(execute, kMaxBytes, GoOn, reply).ok());
  ASSERT_EQ(reply.outputs_size(), 2);
  EXPECT_THAT(rpc::ParseTensor(reply.outputs(1), kMaxBytes)->values<float>(), ::testing::ElementsAre(13, 23));

  const auto layer = LoadLayer();
  pb::Execute limbs = With(Limbs(7));
  rpc::WriteTensor(Limbs(9), *limbs.add_inputs());
  limbs.set_batch(2);
  reply.Clear();
  ASSERT_TRUE((*layer)->Run(limbs, kMaxBytes, GoOn, reply).ok());
  ASSERT_EQ(reply.outputs_size(), 2);
  EXPECT_THAT(rpc::ParseTensor(reply.outputs(0), kMaxBytes)->bytes(), ::testing::Each(8));
  EXPECT_THAT(rpc::ParseTensor(reply.outputs(1), kMaxBytes)->bytes(), ::testing::Each(10));
}

TEST_F(ExecutableTest, ABatchThatItsInputsAreNotIsRefused) {
  const auto segment = LoadExecutable(backend_, pb::ONNX, AsBytes("add 3"));
  const auto layer = LoadLayer();
  pb::Execute odd = With(Tensor::Of<float>(Shape({2}), std::vector<float>{1, 2}));
  odd.set_batch(2);
  pb::Execute huge = odd;
  huge.set_batch(kMaxBatch + 1);
  pb::Execute fewer = With(Limbs(7));
  fewer.set_batch(2);
  pb::Execute more = fewer;
  more.set_batch(1);
  *more.add_inputs() = more.inputs(0);
  pb::ExecuteReply reply;
  for (const pb::Execute& execute : {odd, huge}) {
    EXPECT_TRUE(absl::IsInvalidArgument((*segment)->Run(execute, kMaxBytes, GoOn, reply)));
  }
  for (const pb::Execute& execute : {fewer, more}) {
    EXPECT_TRUE(absl::IsInvalidArgument((*layer)->Run(execute, kMaxBytes, GoOn, reply)));
  }
  EXPECT_EQ(backend_.num_runs, 0);
}

TEST_F(ExecutableTest, BytesOfAnotherFormatDoNotLoad) {
  EXPECT_TRUE(absl::IsInvalidArgument(LoadExecutable(backend_, pb::LINEAR_LAYER, AsBytes("add 3")).status()));
  const std::string layer = testing::SmallLayer().SerializeAsString();
  EXPECT_TRUE(absl::IsInvalidArgument(LoadExecutable(backend_, pb::ONNX, AsBytes(layer)).status()));
  const absl::Status unknown = LoadExecutable(backend_, static_cast<pb::SubModelFormat>(2), AsBytes(layer)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(unknown)) << unknown;
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("unknown format"));
  EXPECT_EQ(backend_.num_models, 0);
}

TEST_F(ExecutableTest, ItsMemoryIsItsModels) {
  backend_.model_memory = 1234;
  const auto layer = LoadLayer();
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ((*layer)->memory_bytes(), 1234U);
}

}  // namespace
}  // namespace shoji::accelerator
