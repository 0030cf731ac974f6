// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/front_end.h"

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "lib/rpc/status.h"
#include "server/version.h"
#include "tests/unit/server/front_end_fixture.h"

namespace shoji::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

constexpr char kToken[] = "0123456789abcdef0123456789abcdef";

TEST_F(FrontEndTest, RoutesEachKeyToItsEnclave) {
  StartEnclave(0);
  StartEnclave(1, "other");
  StartFrontEnd(2);
  const auto stub = v1::InferenceService::NewStub(Connect());
  v1::ListModelsResponse models;
  while (models.models_size() < 2) {  // until both are seen
    grpc::ClientContext context;
    ASSERT_TRUE(stub->ListModels(&context, v1::ListModelsRequest(), &models).ok());
  }
  for (size_t i = 0; i < 2; ++i) {
    const Outcome outcome = Infer({.key_id = KeyOf(i), .ciphertext = "sealed" + std::to_string(i)});
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.response.salt(), "enclave" + std::to_string(i));
    EXPECT_EQ(outcome.response.ciphertext(), "sealed" + std::to_string(i));
  }
}

TEST_F(FrontEndTest, EvidenceComesFromTheEnclavesOfAModelInTurn) {
  StartEnclave(0);
  StartEnclave(1);
  StartFrontEnd(2);
  const auto inference = v1::InferenceService::NewStub(Connect());
  v1::ListModelsResponse models;
  while (models.models_size() == 0 || models.models(0).key_ids_size() < 2) {  // until both are seen
    grpc::ClientContext context;
    ASSERT_TRUE(inference->ListModels(&context, v1::ListModelsRequest(), &models).ok());
  }
  const auto attestation = v1::AttestationService::NewStub(Connect());
  std::map<std::string, int> answers;
  for (int i = 0; i < 8; ++i) {
    grpc::ClientContext context;
    v1::GetEvidenceRequest ask;
    ask.set_model("m");
    v1::GetEvidenceResponse evidence;
    ASSERT_TRUE(attestation->GetEvidence(&context, ask, &evidence).ok());
    ++answers[evidence.manifest()];
  }
  EXPECT_EQ(answers, (std::map<std::string, int>{{"enclave0", 4}, {"enclave1", 4}}));
}

TEST_F(FrontEndTest, AnswersVersionSessionsAndEvidence) {
  StartReady();
  const auto stub = v1::InferenceService::NewStub(Connect());
  grpc::ClientContext version_context;
  v1::GetVersionResponse version;
  ASSERT_TRUE(stub->GetVersion(&version_context, v1::GetVersionRequest(), &version).ok());
  EXPECT_EQ(version.protocol_version(), 1U);
  EXPECT_EQ(version.software_version(), kSoftwareVersion);

  grpc::ClientContext session_context;
  v1::OpenSessionRequest open;
  open.set_key_id(KeyOf(0));
  open.set_enc("enc");
  v1::OpenSessionResponse opened;
  ASSERT_TRUE(stub->OpenSession(&session_context, open, &opened).ok());
  EXPECT_EQ(opened.session_id(), "enc");

  grpc::ClientContext evidence_context;
  v1::GetEvidenceRequest ask;
  ask.set_model("m");
  ask.set_nonce("nonce");
  v1::GetEvidenceResponse evidence;
  ASSERT_TRUE(v1::AttestationService::NewStub(Connect())->GetEvidence(&evidence_context, ask, &evidence).ok());
  EXPECT_EQ(evidence.evidence().data(), "nonce");
}

TEST_F(FrontEndTest, UnknownKeyAndUnknownModelAreRefused) {
  StartReady();
  const Outcome outcome = Infer({.key_id = KeyOf(7)});
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(outcome.reason(), Reason::kUnknownKey);

  grpc::ClientContext context;
  v1::GetEvidenceRequest ask;
  ask.set_model("nonexistent");
  v1::GetEvidenceResponse evidence;
  const auto stub = v1::AttestationService::NewStub(Connect());
  EXPECT_EQ(ReasonOf(rpc::FromGrpcStatus(stub->GetEvidence(&context, ask, &evidence))), Reason::kUnknownModel);
}

TEST_F(FrontEndTest, WithoutAnEnclaveItSaysSoAndAdvisesARetry) {
  StartFrontEnd();
  const Outcome outcome = Infer();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(outcome.reason(), Reason::kNoEnclave);
  EXPECT_GT(rpc::RetryAfterOf(outcome.status).count(), 0);
}

TEST_F(FrontEndTest, HealthFollowsTheEnclaveAndItsKeysGoWithIt) {
  StartReady();
  enclave().Hold();
  std::future<Outcome> in_flight = InferInBackground({});
  enclave().AwaitHeld(1);
  StopEnclave(0);
  EXPECT_EQ(in_flight.get().status.code(), absl::StatusCode::kUnavailable);
  AwaitHealth(HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Infer().reason(), Reason::kNoEnclave);
  StartEnclave(0);
  AwaitHealth(HealthCheckResponse::SERVING);
  EXPECT_TRUE(Infer().status.ok());
}

TEST_F(FrontEndTest, EnclaveThatIsNotReadyMakesHealthNotServing) {
  StartReady();
  internal::v1::EnclaveState state = StateOf(0);
  state.set_ready(false);
  enclave().Report(state);
  AwaitHealth(HealthCheckResponse::NOT_SERVING);
  enclave().Report(StateOf(0));
  AwaitHealth(HealthCheckResponse::SERVING);
}

TEST_F(FrontEndTest, MalformedStateMakesTheEnclaveCountAsGone) {
  StartReady();
  internal::v1::EnclaveState state = StateOf(0);
  state.add_key_ids("short");
  enclave().Report(state);
  AwaitHealth(HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Infer().reason(), Reason::kNoEnclave);
}

TEST_F(FrontEndTest, ReasonOfTheEnclaveReachesTheClient) {
  StartReady();
  enclave().FailWith(ErrorOf(Reason::kReplayed));
  const Outcome outcome = Infer();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(outcome.reason(), Reason::kReplayed);
}

TEST_F(FrontEndTest, FullQueueRefusesAtOnce) {
  config().limits.max_in_flight = 1;
  config().limits.max_queue = 1;
  StartReady();
  enclave().Hold();
  std::future<Outcome> first = InferInBackground({});
  enclave().AwaitHeld(1);
  std::future<Outcome> second = InferInBackground({});
  AwaitQueued(1);
  const Outcome refused = Infer();
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.reason(), Reason::kOverloaded);
  EXPECT_GT(rpc::RetryAfterOf(refused.status).count(), 0);
  enclave().Let();
  EXPECT_TRUE(first.get().status.ok());
  EXPECT_TRUE(second.get().status.ok());
}

TEST_F(FrontEndTest, DeadlineThatPassesInTheQueueLeavesItAndNeverReachesTheEnclave) {
  config().limits.max_in_flight = 1;
  StartReady();
  enclave().Hold();
  std::future<Outcome> first = InferInBackground({});
  enclave().AwaitHeld(1);
  const Outcome late = Infer({.timeout = std::chrono::milliseconds(100)});
  EXPECT_EQ(late.status.code(), absl::StatusCode::kDeadlineExceeded);
  AwaitQueued(0);
  enclave().Let();
  EXPECT_TRUE(first.get().status.ok());
  EXPECT_EQ(enclave().num_infers(), 1U);
}

TEST_F(FrontEndTest, EnclaveGetsNoMoreTimeThanTheClientGave) {
  StartReady();
  ASSERT_TRUE(Infer({.timeout = std::chrono::seconds(20)}).status.ok());
  // gRPC rounds a deadline up on the wire, by about a percent a hop.
  EXPECT_LE(enclave().last_time_left(), std::chrono::milliseconds(21'000));
  EXPECT_GT(enclave().last_time_left(), std::chrono::seconds(0));
}

TEST_F(FrontEndTest, RequestWithoutADeadlineGetsTheConfiguredOne) {
  config().limits.max_deadline = std::chrono::milliseconds(200);
  StartReady();
  enclave().Hold();
  const Outcome outcome = Infer({.timeout = std::chrono::milliseconds(0)});
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(outcome.reason(), Reason::kDeadline);
  enclave().AwaitCancelled(1);
}

// gRPC does so with what comes between an enclave's decision to stop and the front end's hearing of it.
TEST_F(FrontEndTest, ACallThatAStoppingEnclaveCancelsIsToldThatThereIsNone) {
  StartReady();
  enclave().FailWith(absl::CancelledError("CANCELLED"));
  const Outcome outcome = Infer();
  EXPECT_EQ(outcome.reason(), Reason::kNoEnclave) << outcome.status;
  EXPECT_GT(rpc::RetryAfterOf(outcome.status).count(), 0);
}

TEST_F(FrontEndTest, CancellationReachesTheEnclave) {
  StartReady();
  enclave().Hold();
  const auto stub = v1::InferenceService::NewStub(Connect());
  grpc::ClientContext context;
  std::future<grpc::Status> call = std::async(std::launch::async, [&] {
    v1::InferRequest request;
    request.set_key_id(KeyOf(0));
    v1::InferResponse response;
    return stub->Infer(&context, request, &response);
  });
  enclave().AwaitHeld(1);
  context.TryCancel();
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::CANCELLED);
  enclave().AwaitCancelled(1);
  enclave().Let();
  EXPECT_TRUE(Infer().status.ok());
}

TEST_F(FrontEndTest, CancellationInTheQueueFreesItsPlace) {
  config().limits.max_in_flight = 1;
  config().limits.max_queue = 1;
  StartReady();
  enclave().Hold();
  std::future<Outcome> first = InferInBackground({});
  enclave().AwaitHeld(1);
  const auto stub = v1::InferenceService::NewStub(Connect());
  grpc::ClientContext context;
  std::future<grpc::Status> queued = std::async(std::launch::async, [&] {
    v1::InferRequest request;
    request.set_key_id(KeyOf(0));
    v1::InferResponse response;
    return stub->Infer(&context, request, &response);
  });
  AwaitQueued(1);
  context.TryCancel();
  EXPECT_EQ(queued.get().error_code(), grpc::StatusCode::CANCELLED);
  AwaitQueued(0);
  enclave().Let();
  EXPECT_TRUE(first.get().status.ok());
}

TEST_F(FrontEndTest, OnlyAKnownTokenMayCall) {
  WriteTokens(std::string(kToken) + "\n");
  config().tokens_file = File("tokens.txt");
  StartReady();  // asks for health, which needs no token
  const std::string good = std::string("Bearer ") + kToken;
  for (const std::vector<std::string>& values :
       {std::vector<std::string>{}, {"Bearer wrong-wrong-wrong-wrong"}, {kToken}, {good, good}, {"Basic " + good}}) {
    const Outcome outcome = Infer({.authorization = values});
    EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_EQ(outcome.reason(), Reason::kUnauthenticatedClient);
  }
  EXPECT_EQ(enclave().num_infers(), 0U);
  EXPECT_TRUE(Infer({.authorization = {good}}).status.ok());

  const auto stub = v1::InferenceService::NewStub(Connect());
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  EXPECT_EQ(stub->ListModels(&context, v1::ListModelsRequest(), &models).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(models.models_size(), 0);
}

TEST_F(FrontEndTest, ReloadTakesNewTokensAndKeepsTheOldOnesWhenTheFileIsBad) {
  const std::string other = "fedcba9876543210fedcba9876543210";
  WriteTokens(std::string(kToken) + "\n");
  config().tokens_file = File("tokens.txt");
  StartReady();
  WriteTokens("short\n");
  EXPECT_FALSE(front_end().Reload(config()).ok());
  EXPECT_TRUE(Infer({.authorization = {std::string("Bearer ") + kToken}}).status.ok());
  WriteTokens(other + "\n");
  EXPECT_TRUE(front_end().Reload(config()).ok());
  EXPECT_TRUE(Infer({.authorization = {"Bearer " + other}}).status.ok());
  EXPECT_EQ(Infer({.authorization = {std::string("Bearer ") + kToken}}).reason(), Reason::kUnauthenticatedClient);
}

TEST_F(FrontEndTest, AReloadTakesANewEnclaveAndRemovesOneWithoutLosingWhatItHasBeenSent) {
  config().limits.max_in_flight = 1;
  StartReady();
  StartEnclave(1);
  Config next = config();
  next.enclaves.push_back({.name = "e1", .endpoint = {}});
  next.enclaves[1].endpoint.address = *rpc::ParseAddress("unix:" + File("enclave1.sock"));
  ASSERT_TRUE(front_end().Reload(next).ok());
  while (!Infer({.key_id = KeyOf(1)}).status.ok()) {
    std::this_thread::yield();  // until it is connected
  }

  // One request at the first enclave, one that waits for it; then the configuration names the other only.
  enclave(0).Hold();
  std::future<Outcome> sent = InferInBackground({});
  enclave(0).AwaitHeld(1);
  std::future<Outcome> queued = InferInBackground({});
  AwaitQueued(1);
  next.enclaves.erase(next.enclaves.begin());
  ASSERT_TRUE(front_end().Reload(next).ok());
  EXPECT_EQ(queued.get().reason(), Reason::kUnknownKey);  // which makes a client attest anew
  EXPECT_EQ(Infer().reason(), Reason::kUnknownKey);
  EXPECT_TRUE(Infer({.key_id = KeyOf(1)}).status.ok());
  AwaitInFlight(1);  // the answer may come before its slot is free
  enclave(0).Let();
  EXPECT_TRUE(sent.get().status.ok());

  // And back, as often as one likes.
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(front_end().Reload(config()).ok());
    while (!Infer().status.ok()) {
      std::this_thread::yield();
    }
    EXPECT_EQ(Infer({.key_id = KeyOf(1)}).reason(), Reason::kUnknownKey);
    ASSERT_TRUE(front_end().Reload(next).ok());
  }
}

TEST_F(FrontEndTest, AReloadOfEnclavesWithABadFileChangesNothing) {
  StartReady();
  Config next = config();
  next.limits.max_in_flight = 7;
  next.enclaves[0].endpoint.security.kind = rpc::TransportSecurity::Kind::kMutualTls;
  next.enclaves[0].endpoint.security.ca_file = File("none.pem");
  next.enclaves[0].endpoint.security.certificate_file = File("none.pem");
  next.enclaves[0].endpoint.security.private_key_file = File("none.key");
  EXPECT_THAT(std::string(front_end().Reload(next).message()), HasSubstr("none.pem"));
  EXPECT_TRUE(Infer().status.ok());
}

TEST_F(FrontEndTest, AnEnclaveWhoseAddressChangesServesOnUntilTheNewOneIsThere) {
  StartReady();
  Config next = config();
  next.enclaves[0].endpoint.address = *rpc::ParseAddress("unix:" + File("enclave1.sock"));
  ASSERT_TRUE(front_end().Reload(next).ok());
  EXPECT_TRUE(Infer().status.ok());  // nobody is at the new address yet
  enclave(0).Hold();
  std::future<Outcome> sent = InferInBackground({});
  enclave(0).AwaitHeld(1);
  StartEnclave(1);
  while (!Infer({.key_id = KeyOf(1)}).status.ok()) {
    std::this_thread::yield();
  }
  while (Infer({.timeout = std::chrono::milliseconds(50)}).reason() != Reason::kUnknownKey) {
    std::this_thread::yield();  // until the old one is given up
  }
  enclave(0).Let();
  EXPECT_TRUE(sent.get().status.ok());
}

TEST_F(FrontEndTest, MissingTokensFileFailsTheStart) {
  config().tokens_file = File("none.txt");
  const auto result = FrontEnd::Start(config(), clock(), logger());
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("none.txt"));
}

TEST_F(FrontEndTest, DrainFinishesWhatIsInFlightAndRefusesTheRest) {
  config().limits.max_in_flight = 1;
  StartReady();
  enclave().Hold();
  std::future<Outcome> in_flight = InferInBackground({});
  enclave().AwaitHeld(1);
  std::future<Outcome> queued = InferInBackground({});
  AwaitQueued(1);
  std::future<FrontEnd::Drained> drain = std::async(std::launch::async, [this] { return front_end().Drain(); });
  AwaitHealth(HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Infer().reason(), Reason::kDraining);
  enclave().Let();
  EXPECT_TRUE(in_flight.get().status.ok());
  EXPECT_TRUE(queued.get().status.ok());
  EXPECT_EQ(drain.get(), FrontEnd::Drained::kAll);
}

TEST_F(FrontEndTest, DrainCutsOffWhatOutlivesItsTimeout) {
  config().limits.drain_timeout = std::chrono::milliseconds(50);
  StartReady();
  enclave().Hold();
  std::future<Outcome> in_flight = InferInBackground({});
  enclave().AwaitHeld(1);
  EXPECT_EQ(front_end().Drain(), FrontEnd::Drained::kSomeCutOff);
  EXPECT_FALSE(in_flight.get().status.ok());
  enclave().AwaitCancelled(1);
}

TEST_F(FrontEndTest, OversizeRequestIsRefusedAndTheNextOneServed) {
  config().limits.max_message_bytes = 64 * 1024;
  StartReady();
  const Outcome outcome = Infer({.ciphertext = std::string(65 * 1024, 'x')});
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(enclave().num_infers(), 0U);
  EXPECT_TRUE(Infer({.ciphertext = std::string(63 * 1024, 'x')}).status.ok());
}

TEST_F(FrontEndTest, RequestBeyondTheBufferIsCutOffBeforeItIsWhole) {
  config().limits.max_message_bytes = size_t{16} << 20;
  config().limits.max_buffered_bytes = size_t{1} << 20;
  StartReady();
  EXPECT_FALSE(Infer({.ciphertext = std::string(size_t{15} << 20, 'x')}).status.ok());
  EXPECT_EQ(enclave().num_infers(), 0U);
  EXPECT_TRUE(Infer().status.ok());
}

TEST_F(FrontEndTest, SecondServerOnOnePortIsRefusedWithAClearError) {
  StartReady();
  config().listen.address = front_end().addresses().front();
  const auto second = FrontEnd::Start(config(), clock(), logger());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process listens there"));
  EXPECT_TRUE(Infer().status.ok());
}

TEST_F(FrontEndTest, CallersWithoutATokenDoNotFillTheLog) {
  WriteTokens("0123456789abcdef0123456789abcdef\n");
  config().tokens_file = File("tokens.txt");
  StartReady();
  logger().SetLevel(telemetry::LogLevel::kInfo);
  ::testing::internal::CaptureStderr();
  constexpr int kCalls = 300;
  const SteadyTime began = clock().SteadyNow();
  for (int i = 0; i < kCalls; ++i) {
    EXPECT_EQ(Infer().reason(), Reason::kUnauthenticatedClient);
  }
  EXPECT_TRUE(Infer({.authorization = {"Bearer 0123456789abcdef0123456789abcdef"}}).status.ok());
  const SteadyTime::duration took = clock().SteadyNow() - began;
  StopFrontEnd();
  const std::string log = ::testing::internal::GetCapturedStderr();
  int64_t num_lines = 0;
  for (size_t at = log.find("refused=unauthenticated"); at != std::string::npos;
       at = log.find("refused=unauthenticated", at + 1)) {
    ++num_lines;
  }
  EXPECT_GE(num_lines, 1);
  EXPECT_LE(num_lines, 1 + took / std::chrono::milliseconds(100));
  EXPECT_THAT(log, HasSubstr("status=OK")) << "a request of a caller that has one is always logged";
}

// grpc.reflection.v1alpha.ServerReflection, asked with bytes: its messages are not generated here.
TEST_F(FrontEndTest, ReflectionListsHealthAndThePublicServices) {
  StartReady();
  const auto channel = Connect();
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call =
      stub.PrepareCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  ASSERT_TRUE(next());
  const grpc::Slice list_services("\x3a\x01*");  // field 7, list_services: "*"
  call->WriteLast(grpc::ByteBuffer(&list_services, 1), {}, nullptr);
  ASSERT_TRUE(next());
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  ASSERT_TRUE(next());
  grpc::Slice flat;
  ASSERT_TRUE(answer.DumpToSingleSlice(&flat).ok());
  const std::string text(reinterpret_cast<const char*>(flat.begin()), flat.size());
  EXPECT_THAT(text, HasSubstr("grpc.health.v1.Health"));
  EXPECT_THAT(text, HasSubstr("shoji.v1.InferenceService"));
  EXPECT_THAT(text, HasSubstr("shoji.v1.AttestationService"));
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  ASSERT_TRUE(next());
  queue.Shutdown();
}

TEST_F(FrontEndTest, HealthKnowsThePublicServicesByName) {
  StartReady();
  const auto stub = grpc::health::v1::Health::NewStub(Connect());
  const auto check = [&stub](const std::string& name) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(name);
    HealthCheckResponse response;
    const grpc::Status status = stub->Check(&context, request, &response);
    return std::make_pair(status.error_code(), response.status());
  };
  EXPECT_EQ(check("shoji.v1.InferenceService"), std::make_pair(grpc::StatusCode::OK, HealthCheckResponse::SERVING));
  EXPECT_EQ(check("nonexistent").first, grpc::StatusCode::NOT_FOUND);
}

TEST_F(FrontEndTest, ManyClientsAtOnceAreAllAnsweredOrRefusedClearly) {
  config().limits.max_in_flight = 2;
  config().limits.max_queue = 4;
  StartReady();
  std::vector<std::future<int>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::async(std::launch::async, [this] {
      int num_answered = 0;
      for (int n = 0; n < 25; ++n) {
        // On a busy machine a connection may take more than one attempt, which is not what is asked here.
        InferOptions options;
        options.wait_for_connection = true;
        const Outcome outcome = Infer(options);
        EXPECT_TRUE(outcome.status.ok() || outcome.reason() == Reason::kOverloaded) << outcome.status;
        num_answered += outcome.status.ok() ? 1 : 0;
      }
      return num_answered;
    }));
  }
  int num_answered = 0;
  for (auto& client : clients) {
    num_answered += client.get();
  }
  EXPECT_GT(num_answered, 0);
  EXPECT_EQ(front_end().Drain(), FrontEnd::Drained::kAll);
}

}  // namespace
}  // namespace shoji::server
