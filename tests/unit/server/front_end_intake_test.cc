// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a front end does with a call before, and while, its body comes in.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "lib/rpc/status.h"
#include "tests/support/scrape.h"
#include "tests/unit/server/front_end_fixture.h"

namespace shoji::server {
namespace {

constexpr char kInfer[] = "/shoji.v1.InferenceService/Infer";
constexpr char kToken[] = "0123456789abcdef0123456789abcdef";
constexpr char kOtherToken[] = "fedcba9876543210fedcba9876543210";

// A call whose body the test sends, or never sends.
class SlowCall {
 public:
  SlowCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, const std::string& token = "")
      : stub_(channel) {
    if (!token.empty()) {
      context_.AddMetadata("authorization", "Bearer " + token);
    }
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    call_ = stub_.PrepareCall(&context_, method, &queue_);
    call_->StartCall(nullptr);
    is_started_ = Next();
  }
  SlowCall(const SlowCall&) = delete;
  SlowCall& operator=(const SlowCall&) = delete;
  ~SlowCall() { queue_.Shutdown(); }

  bool is_started() const { return is_started_; }
  bool Send(const std::string& body) {
    const grpc::Slice slice(body);
    call_->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
    return Next();
  }
  // As End, when there is an answer to take first.
  absl::Status ReceiveAndEnd() {
    grpc::ByteBuffer answer;
    call_->Read(&answer, nullptr);
    Next();
    return End();
  }
  // How the server ends the call; waits for that.
  absl::Status End() {
    grpc::Status status;
    call_->Finish(&status, nullptr);
    return Next() ? rpc::FromGrpcStatus(status) : absl::UnknownError("");
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool is_started_ = false;
};

class FrontEndIntakeTest : public FrontEndTest {};

TEST_F(FrontEndIntakeTest, ACallWithoutATokenEndsBeforeItsBodyIsSent) {
  WriteTokens(std::string(kToken) + "\n");
  config().tokens_file = File("tokens.txt");
  StartReady();
  SlowCall call(Connect(), kInfer);
  EXPECT_EQ(ReasonOf(call.End()), Reason::kUnauthenticatedClient);
}

TEST_F(FrontEndIntakeTest, AnUnknownMethodEndsBeforeItsBodyIsSent) {
  StartReady();
  SlowCall call(Connect(), "/shoji.v1.InferenceService/Nonexistent");
  EXPECT_EQ(call.End().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(FrontEndIntakeTest, ABodyThatIsNotTheMethodsMessageIsRefused) {
  StartReady();
  SlowCall call(Connect(), kInfer);
  call.Send("\xFF\xFF\xFF\xFF");
  EXPECT_EQ(call.End().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(enclave().num_infers(), 0U);
  EXPECT_TRUE(Infer().status.ok());
}

TEST_F(FrontEndIntakeTest, BodiesThatNeverComeAreCutOffForThoseThatDo) {
  config().limits.max_message_bytes = 64 * 1024;
  config().limits.max_buffered_bytes = 4 * config().limits.max_message_bytes;
  StartReady();
  std::vector<std::unique_ptr<SlowCall>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<SlowCall>(Connect(), kInfer));
    ASSERT_TRUE(slow.back()->is_started());
  }
  // There is room again once the grace of the first is over; until then the refusal is clear and worth a retry.
  Outcome outcome = Infer();
  while (!outcome.status.ok()) {
    ASSERT_EQ(outcome.reason(), Reason::kOverloaded) << outcome.status;
    ASSERT_GT(rpc::RetryAfterOf(outcome.status).count(), 0);
    outcome = Infer();
  }
  EXPECT_EQ(ReasonOf(slow.front()->End()), Reason::kOverloaded);
}

TEST_F(FrontEndIntakeTest, AnswersThatNobodyTakesAreCutOffForNewRequests) {
  config().limits.max_message_bytes = size_t{1} << 20;
  config().limits.max_buffered_bytes = 4 * config().limits.max_message_bytes;
  config().metrics.address.emplace();
  config().metrics.address->host = "127.0.0.1";
  StartReady();
  v1::InferRequest request;
  request.set_key_id(KeyOf(0));
  request.set_ciphertext(std::string(1'000'000, 'x'));  // answered with as much, of which a window's worth is sent
  std::vector<std::unique_ptr<SlowCall>> slow;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // the window stays as small as it is at first
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  for (size_t i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<SlowCall>(grpc::CreateCustomChannel(front_end().addresses().front().ToString(),
                                                                        grpc::InsecureChannelCredentials(), arguments),
                                              kInfer));
    ASSERT_TRUE(slow.back()->Send(request.SerializeAsString()));
    while (enclave().num_infers() <= i) {
      std::this_thread::yield();
    }
  }
  Outcome outcome = Infer();
  while (outcome.reason() == Reason::kOverloaded) {
    outcome = Infer();
  }
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  const auto page = testing::Scrape(*front_end().metrics_address());
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(testing::SeriesIn(*page, "shoji_server_cut_off_total"), 1);
  EXPECT_GT(testing::SeriesIn(*page, "shoji_server_held_bytes"), 2'000'000);
}

TEST_F(FrontEndIntakeTest, AFullQueueRefusesACallBeforeItsBodyIsSent) {
  config().limits.max_in_flight = 1;
  config().limits.max_queue = 0;
  StartReady();
  enclave().Hold();
  std::future<Outcome> held = InferInBackground({});
  enclave().AwaitHeld(1);
  SlowCall call(Connect(), kInfer);
  EXPECT_EQ(ReasonOf(call.End()), Reason::kOverloaded);
  enclave().Let();
  EXPECT_TRUE(held.get().status.ok());
}

TEST_F(FrontEndIntakeTest, HealthIsAnsweredWhileNoOtherBodyHasRoom) {
  config().limits.max_message_bytes = 64 * 1024;
  config().limits.max_buffered_bytes = config().limits.max_message_bytes;
  WriteTokens(std::string(kToken) + "\n");
  config().tokens_file = File("tokens.txt");
  StartReady();
  std::vector<std::unique_ptr<SlowCall>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<SlowCall>(Connect(), "/grpc.health.v1.Health/Check"));
  }
  // All the room that health has is taken, and none of what requests have.
  EXPECT_TRUE(Infer({.authorization = {std::string("Bearer ") + kToken}}).status.ok());
}

TEST_F(FrontEndIntakeTest, BodiesThatOneCallerNeverSendsLeaveRoomForAnother) {
  config().limits.max_message_bytes = 64 * 1024;
  config().limits.max_buffered_bytes = 4 * config().limits.max_message_bytes;
  WriteTokens(std::string(kToken) + "\n" + kOtherToken + "\n");
  config().tokens_file = File("tokens.txt");
  StartReady();
  std::vector<std::unique_ptr<SlowCall>> slow;
  for (int i = 0; i < 10; ++i) {
    slow.push_back(std::make_unique<SlowCall>(Connect(), kInfer, kToken));
  }
  EXPECT_EQ(ReasonOf(slow.back()->End()), Reason::kOverloaded);
  EXPECT_TRUE(Infer({.authorization = {std::string("Bearer ") + kOtherToken}}).status.ok());
}

TEST_F(FrontEndIntakeTest, StrangersWhoSendNoBodyKeepNobodyFromAskingForHealth) {
  config().limits.max_message_bytes = 64 * 1024;
  StartReady();
  std::vector<std::unique_ptr<SlowCall>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(std::make_unique<SlowCall>(Connect(), "/grpc.health.v1.Health/Check"));
  }
  const auto stub = grpc::health::v1::Health::NewStub(Connect());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(FrontEndIntakeTest, StreamsOfReflectionThatStayOpenHoldNoMoreThanAFewThreads) {
  constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  StartReady();
  const auto channel = Connect();
  std::vector<std::unique_ptr<SlowCall>> open;
  for (int i = 0; i < 20; ++i) {
    open.push_back(std::make_unique<SlowCall>(channel, kReflection));
  }
  EXPECT_EQ(open.back()->End().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Infer().status.ok());
  open.clear();  // cancels them
  absl::Status status = absl::ResourceExhaustedError("");
  while (absl::IsResourceExhausted(status)) {
    SlowCall call(Connect(), kReflection);
    call.Send(std::string("\x3a\x00", 2));  // list_services: ""; one that is refused may end before
    status = call.ReceiveAndEnd();
  }
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(FrontEndIntakeTest, ACallCancelledWhileItsBodyComesFreesItsRoom) {
  config().limits.max_message_bytes = 64 * 1024;
  config().limits.max_buffered_bytes = config().limits.max_message_bytes;
  StartReady();
  for (int i = 0; i < 20; ++i) {
    const SlowCall call(Connect(), kInfer);  // its end cancels it
  }
  Outcome outcome = Infer();
  while (outcome.reason() == Reason::kOverloaded) {
    outcome = Infer();
  }
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
}

TEST_F(FrontEndIntakeTest, ACompressedRequestIsRefused) {
  StartReady();
  const auto channel =
      grpc::CreateChannel(front_end().addresses().front().ToString(), grpc::InsecureChannelCredentials());
  const auto stub = v1::InferenceService::NewStub(channel);
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::InferRequest request;
  request.set_key_id(KeyOf(0));
  request.set_ciphertext(std::string(100'000, 'x'));
  v1::InferResponse response;
  EXPECT_EQ(stub->Infer(&context, request, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(enclave().num_infers(), 0U);
}

}  // namespace
}  // namespace shoji::server
