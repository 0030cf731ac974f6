// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/unary_call.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/server.h"
#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::rpc {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using Call = UnaryCall<HealthCheckRequest, HealthCheckResponse>;

// A server with one method, whose calls a test takes one by one and finishes itself.
class UnaryCallTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ServerOptions options;
    options.listeners = {{*ParseAddress("unix:x.sock", folder_.path()), {}}};
    auto server = Server::Start(options, {&service_}, &async_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    method_.emplace(Call::Method{[this](auto* context, auto* request, auto* responder, auto* queue, void* tag) {
                                   service_.RequestCheck(context, request, responder, queue, queue, tag);
                                 },
                                 [this](Call& call) { handle_(call); }, *async_.loops[0]});
    Call::Accept(*method_);
    const auto channel = CreateChannel(options.listeners[0], {});
    ASSERT_TRUE(channel.ok()) << channel.status();
    stub_ = Health::NewStub(*channel);
  }
  ~UnaryCallTest() override { Stop(); }

  void Stop() {
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::milliseconds(0));
      async_.loops.clear();
      server_.reset();
    }
  }
  grpc::Status Check(grpc::ClientContext& context, const std::string& service, HealthCheckResponse& response) {
    HealthCheckRequest request;
    request.set_service(service);
    return stub_->Check(&context, request, &response);
  }

  ScratchFolder folder_;
  Health::AsyncService service_;
  AsyncCalls async_;
  std::optional<Call::Method> method_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Health::Stub> stub_;
  std::function<void(Call&)> handle_;  // set before the first call
};

constexpr std::chrono::milliseconds kWait(200);

class CoalescingUnaryCallTest : public UnaryCallTest {
 protected:
  CoalescingUnaryCallTest() {
    async_.coalescing = {
        .wait = kWait, .from_busy = 0, .until_busy = 0, .from_calls_per_second = 0, .until_calls_per_second = 0};
  }
};

TEST_F(UnaryCallTest, AnswersEachOfManyCallsWithItsOwnResponse) {
  handle_ = [](Call& call) {
    const bool is_serving = call.request().service() == "yes";
    call.response().set_status(is_serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
    call.Finish(absl::OkStatus());
  };
  for (const std::string service : {"yes", "no", "yes"}) {
    grpc::ClientContext context;
    HealthCheckResponse response;
    ASSERT_TRUE(Check(context, service, response).ok());
    EXPECT_EQ(response.status() == HealthCheckResponse::SERVING, service == "yes");
  }
}

TEST_F(UnaryCallTest, AnErrorReachesTheCallerWithItsText) {
  handle_ = [](Call& call) { call.Finish(absl::NotFoundError("no " + call.request().service())); };
  grpc::ClientContext context;
  HealthCheckResponse response;
  const grpc::Status status = Check(context, "x", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no x");
}

TEST_F(UnaryCallTest, OtherThreadsFinishCallsWhileTheLoopTakesMore) {
  constexpr size_t kCalls = 20;
  std::mutex mu;
  std::vector<Call*> held;
  std::promise<void> all_are_here;
  handle_ = [&](Call& call) {
    const std::scoped_lock lock(mu);
    held.push_back(&call);
    if (held.size() == kCalls) {
      all_are_here.set_value();
    }
  };
  std::vector<std::future<bool>> callers;
  for (size_t i = 0; i < kCalls; ++i) {
    callers.push_back(std::async(std::launch::async, [this] {
      grpc::ClientContext context;
      HealthCheckResponse response;
      return Check(context, "", response).ok() && response.status() == HealthCheckResponse::SERVING;
    }));
  }
  all_are_here.get_future().wait();  // none had to be finished first
  for (Call* call : held) {
    std::thread([call] {
      call->response().set_status(HealthCheckResponse::SERVING);
      call->Finish(absl::OkStatus());
    }).join();
  }
  for (std::future<bool>& caller : callers) {
    EXPECT_TRUE(caller.get());
  }
}

// Calls one after the other: each comes while the loop waits for more to come.
TEST_F(CoalescingUnaryCallTest, ALoopThatCoalescesAnswersEveryCallAndWaitsBetweenThem) {
  handle_ = [](Call& call) {
    call.response().set_status(call.request().service() == "yes" ? HealthCheckResponse::SERVING
                                                                 : HealthCheckResponse::NOT_SERVING);
    call.Finish(absl::OkStatus());
  };
  const auto call = [&](const std::string& service) {
    grpc::ClientContext context;
    HealthCheckResponse response;
    ASSERT_TRUE(Check(context, service, response).ok());
    EXPECT_EQ(response.status() == HealthCheckResponse::SERVING, service == "yes");
  };
  // The first ones, before the loop has looked how busy it is, and those that come before it looks for more do not
  // wait.
  bool has_waited = false;
  for (int i = 0; i < 2000 && !has_waited; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    call(i % 2 == 0 ? "yes" : "no");
    has_waited = std::chrono::steady_clock::now() - begin >= kWait / 2;
  }
  EXPECT_TRUE(has_waited);
  for (int i = 0; i < 10; ++i) {
    call(i % 2 == 0 ? "yes" : "no");
  }
}

TEST_F(UnaryCallTest, ACallWhoseCallerHasGoneKnowsAndLivesUntilItIsFinished) {
  std::promise<Call*> came;
  std::promise<bool> told;
  handle_ = [&](Call& call) {
    EXPECT_FALSE(call.is_cancelled());
    call.OnCancelled([&told, &call] { told.set_value(call.is_cancelled()); });
    came.set_value(&call);
  };
  grpc::ClientContext context;
  std::future<grpc::StatusCode> caller = std::async(std::launch::async, [&] {
    HealthCheckResponse response;
    return Check(context, "kept", response).error_code();
  });
  Call* const call = came.get_future().get();
  context.TryCancel();
  EXPECT_EQ(caller.get(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(told.get_future().get());
  EXPECT_EQ(call->request().service(), "kept");
  call->Finish(absl::OkStatus());
}

TEST_F(UnaryCallTest, ShutdownWaitsForACallThatIsNotFinished) {
  std::promise<Call*> came;
  std::promise<void> told;
  handle_ = [&](Call& call) {
    call.OnCancelled([&told] { told.set_value(); });
    came.set_value(&call);
  };
  std::future<grpc::StatusCode> caller = std::async(std::launch::async, [this] {
    grpc::ClientContext context;
    HealthCheckResponse response;
    return Check(context, "", response).error_code();
  });
  Call* const call = came.get_future().get();
  std::atomic<bool> is_finished = false;
  std::future<bool> stopped = std::async(std::launch::async, [&] {
    Stop();
    return is_finished.load();
  });
  told.get_future().wait();  // the shutdown has cut it off, and waits
  is_finished = true;
  call->Finish(absl::OkStatus());
  EXPECT_TRUE(stopped.get());
  EXPECT_NE(caller.get(), grpc::StatusCode::OK);
}

}  // namespace
}  // namespace shoji::rpc
