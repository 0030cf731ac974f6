// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/attach_answer.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::enclave {
namespace {

namespace pb = internal::v1;

pb::Tensor& AddOutput(pb::AttachResponse& response, int64_t size, const std::string& data) {
  pb::Tensor& tensor = *response.mutable_execute_reply()->add_outputs();
  tensor.set_data_type(v1::UINT8);
  tensor.add_dims(size);
  tensor.set_data(data);
  return tensor;
}

absl::StatusCode CodeOf(const pb::AttachResponse& response, const AnswerLimits& limits = {}) {
  const Answer answer = DecodeAnswer(response, limits);
  const auto* status = std::get_if<absl::Status>(&answer);
  return status == nullptr ? absl::StatusCode::kOk : status->code();
}

TEST(AttachAnswerTest, DecodesOutputs) {
  pb::AttachResponse response;
  AddOutput(response, 3, "abc");
  AddOutput(response, 0, "");
  const Answer answer = DecodeAnswer(response, {});
  const auto* outputs = std::get_if<Outputs>(&answer);
  ASSERT_NE(outputs, nullptr);
  ASSERT_EQ(outputs->size(), 2U);
  EXPECT_EQ((*outputs)[0].shape(), Shape({3}));
  EXPECT_EQ(ToString((*outputs)[0].bytes()), "abc");
}

TEST(AttachAnswerTest, DecodesAcknowledgements) {
  pb::AttachResponse response;
  response.mutable_upload_reply();
  EXPECT_TRUE(std::holds_alternative<UploadDone>(DecodeAnswer(response, {})));
  response.mutable_unload_reply();
  EXPECT_TRUE(std::holds_alternative<UnloadDone>(DecodeAnswer(response, {})));
}

TEST(AttachAnswerTest, AnAnswerOfNoKindIsMalformed) {
  EXPECT_EQ(CodeOf(pb::AttachResponse()), absl::StatusCode::kInvalidArgument);
}

TEST(AttachAnswerTest, EveryInconsistentTensorIsMalformed) {
  for (const int64_t size : {int64_t{2}, int64_t{4}, int64_t{-3}, int64_t{1} << 62, INT64_MIN, INT64_MAX}) {
    pb::AttachResponse response;
    AddOutput(response, size, "abc");
    EXPECT_EQ(CodeOf(response), absl::StatusCode::kInvalidArgument) << size;
  }
  pb::AttachResponse response;
  pb::Tensor& tensor = AddOutput(response, 3, "abc");
  tensor.set_data_type(static_cast<v1::DataType>(77));
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kInvalidArgument);
  tensor.set_data_type(v1::FLOAT32);
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kInvalidArgument);
  tensor.set_data_type(v1::UINT8);
  for (int i = 0; i < 8; ++i) {
    tensor.add_dims(1);
  }
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kInvalidArgument);
}

TEST(AttachAnswerTest, TooManyOrTooLargeOutputsAreMalformed) {
  pb::AttachResponse response;
  AddOutput(response, 3, "abc");
  AddOutput(response, 3, "abc");
  EXPECT_EQ(CodeOf(response, {.max_outputs = 2, .max_bytes = 6}), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(response, {.max_outputs = 1, .max_bytes = 6}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(response, {.max_outputs = 2, .max_bytes = 5}), absl::StatusCode::kInvalidArgument);
}

TEST(AttachAnswerTest, FailuresKeepOnlyACodeOfTheShortList) {
  const auto code_of = [](uint32_t code) {
    pb::AttachResponse response;
    response.mutable_failure()->set_code(code);
    response.mutable_failure()->set_message("words of the accelerator");
    const Answer answer = DecodeAnswer(response, {});
    EXPECT_EQ(std::string(std::get<absl::Status>(answer).message()).find("words"), std::string::npos);
    return std::get<absl::Status>(answer).code();
  };
  EXPECT_EQ(code_of(14), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code_of(4), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(code_of(8), absl::StatusCode::kResourceExhausted);
  for (const uint32_t code : {1U, 2U, 3U, 5U, 12U, 13U, 16U}) {
    EXPECT_EQ(code_of(code), absl::StatusCode::kInternal) << code;
  }
  for (const uint32_t code : {0U, 17U, 1000U, UINT32_MAX}) {
    EXPECT_EQ(code_of(code), absl::StatusCode::kInvalidArgument) << code;
  }
}

}  // namespace
}  // namespace shoji::enclave
