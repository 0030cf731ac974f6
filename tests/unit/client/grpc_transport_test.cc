// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/grpc_transport.h"

#include <chrono>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/server_context.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "lib/rpc/server.h"
#include "lib/rpc/status.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::client {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// Answers with what a test put in, and keeps the last bearer token.
class AttestationDouble final : public v1::AttestationService::Service {
 public:
  grpc::Status GetEvidence(grpc::ServerContext* context, const v1::GetEvidenceRequest* request,
                           v1::GetEvidenceResponse* out) override {
    const auto found = context->client_metadata().find("authorization");
    authorization =
        found == context->client_metadata().end() ? "" : std::string(found->second.data(), found->second.size());
    nonce = request->nonce();
    *out = response;
    return grpc::Status::OK;
  }

  std::string authorization;
  std::string nonce;
  v1::GetEvidenceResponse response;
};

class InferenceDouble final : public v1::InferenceService::Service {
 public:
  grpc::Status OpenSession(grpc::ServerContext*, const v1::OpenSessionRequest*, v1::OpenSessionResponse* out) override {
    *out = session;
    return grpc::Status::OK;
  }
  grpc::Status Infer(grpc::ServerContext*, const v1::InferRequest* request, v1::InferResponse* out) override {
    last_request = *request;
    *out = answer;
    return rpc::ToGrpcStatus(infer_status);
  }

  v1::OpenSessionResponse session;
  v1::InferRequest last_request;
  v1::InferResponse answer;
  absl::Status infer_status;
};

class GrpcTransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rpc::ServerOptions options;
    auto endpoint = PublicEndpoint("127.0.0.1:0", {.plaintext = Plaintext::kAllow});
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    options.listeners = {*endpoint};
    auto server = rpc::Server::Start(options, {&attestation_, &inference_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    endpoint->address = server_->addresses().front();
    auto transport = CreateGrpcTransport({.server = *endpoint, .token = "s3cret"}, clock_);
    ASSERT_TRUE(transport.ok()) << transport.status();
    transport_ = *std::move(transport);
  }
  SteadyTime Soon() const { return clock_.SteadyNow() + std::chrono::seconds(20); }

  const RealClock clock_;
  AttestationDouble attestation_;
  InferenceDouble inference_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(GrpcTransportTest, CarriesNonceTokenAndEvidence) {
  attestation_.response.set_manifest("manifest");
  attestation_.response.mutable_evidence()->set_kind(v1::SIMULATED);
  attestation_.response.mutable_evidence()->set_data("data");
  attest::Nonce nonce;
  nonce.fill(9);
  const auto reply = transport_->GetEvidence(nonce, "pets", Soon());
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->manifest, ToBytes("manifest"));
  EXPECT_EQ(reply->evidence.data, ToBytes("data"));
  EXPECT_EQ(attestation_.nonce, std::string(32, '\x09'));
  EXPECT_EQ(attestation_.authorization, "Bearer s3cret");
}

TEST_F(GrpcTransportTest, RefusesEvidenceOfAnUnknownKind) {
  attestation_.response.mutable_evidence()->set_kind(static_cast<v1::EvidenceKind>(77));
  EXPECT_EQ(transport_->GetEvidence({}, "", Soon()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(GrpcTransportTest, RefusesFieldsOfAnotherLength) {
  inference_.session.set_session_id(std::string(15, 'x'));
  inference_.session.set_salt(std::string(32, 'x'));
  EXPECT_THAT(transport_->OpenSession({}, Soon()).status().message(), HasSubstr("session_id has 15 bytes"));
  inference_.answer.set_salt(std::string(33, 'x'));
  EXPECT_THAT(transport_->Infer({}, Soon()).status().message(), HasSubstr("salt has 33 bytes"));
}

TEST_F(GrpcTransportTest, CarriesARequestUnchangedAndReturnsReasonAndRetryAdvice) {
  inference_.infer_status = rpc::WithRetryAfter(ErrorOf(Reason::kOverloaded), milliseconds(250));
  channel::SealedRequest request;
  request.sequence = 12345678901;
  request.model = "pets";
  request.ciphertext = {1, 2, 3};
  const absl::Status status = transport_->Infer(request, Soon()).status();
  EXPECT_EQ(ReasonOf(status), Reason::kOverloaded);
  EXPECT_EQ(transport_->RetryAfter(status), milliseconds(250));
  EXPECT_EQ(inference_.last_request.sequence(), 12345678901U);
  EXPECT_EQ(inference_.last_request.ciphertext(), "\x01\x02\x03");
}

TEST_F(GrpcTransportTest, SaysUnavailableWhenTheServerIsGone) {
  server_->Shutdown(milliseconds(0));
  server_ = nullptr;
  EXPECT_EQ(transport_->ListModels(Soon()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(GrpcTransportTest, AwaitsAConnectionAndSaysWhyThereIsNone) {
  EXPECT_TRUE(transport_->AwaitConnection(Soon()).ok());
  auto gone = PublicEndpoint("unix:/nonexistent/shoji.sock", {});
  ASSERT_TRUE(gone.ok());
  const auto nobody = CreateGrpcTransport({.server = *gone}, clock_);
  ASSERT_TRUE(nobody.ok());
  for (const SteadyTime deadline : {Soon(), clock_.SteadyNow()}) {
    const absl::Status status = (*nobody)->AwaitConnection(deadline);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("nobody answers at unix:/nonexistent/shoji.sock"));
  }
}

TEST_F(GrpcTransportTest, PlaintextToATlsPortIsToldOnceAndForAll) {
  const rpc::ScratchFolder files;
  rpc::MakeCertificate(files.path(), "ca", "");
  rpc::MakeCertificate(files.path(), "server", "ca");
  rpc::Endpoint listen;
  listen.address = *rpc::ParseAddress("127.0.0.1:0");
  listen.security.kind = rpc::TransportSecurity::Kind::kTls;
  listen.security.certificate_file = files.File("server.pem");
  listen.security.private_key_file = files.File("server.key");
  rpc::ServerOptions options;
  options.listeners = {listen};
  const auto server = rpc::Server::Start(options, {&attestation_, &inference_});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto endpoint = PublicEndpoint((*server)->addresses().front().ToString(), {.plaintext = Plaintext::kAllow});
  for (const auto& failure :
       {std::function([](Transport&t, SteadyTime until) { return t.AwaitConnection(until); }),
        std::function([](Transport&t, SteadyTime until) { return t.ListModels(until).status(); })}) {
    const auto transport = CreateGrpcTransport({.server = *endpoint}, clock_);
    ASSERT_TRUE(transport.ok());
    const absl::Status status = failure(**transport, Soon());
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("it wants TLS there; leave --plaintext out"));
  }
}

TEST(PublicEndpointTest, UsesTlsUnlessPlaintextIsAskedForOrTheSocketIsLocal) {
  using Kind = rpc::TransportSecurity::Kind;
  EXPECT_EQ(PublicEndpoint("example.org:1", {})->security.kind, Kind::kTls);
  EXPECT_EQ(PublicEndpoint("127.0.0.1:1", {})->security.kind, Kind::kTls);
  EXPECT_EQ(PublicEndpoint("127.0.0.1:1", {.plaintext = Plaintext::kAllow})->security.kind, Kind::kLocalPlaintext);
  EXPECT_EQ(PublicEndpoint("example.org:1", {.plaintext = Plaintext::kAllow})->security.kind, Kind::kInsecurePlaintext);
  EXPECT_EQ(PublicEndpoint("unix:/run/shoji.sock", {})->security.kind, Kind::kLocalPlaintext);
  EXPECT_FALSE(PublicEndpoint("unix:/run/shoji.sock", {.ca_file = "ca.pem"}).ok());
  EXPECT_FALSE(PublicEndpoint("example.org", {}).ok());
}

TEST(CreateGrpcTransportTest, RefusesATokenThatIsNotOneWord) {
  const RealClock clock;
  const auto endpoint = PublicEndpoint("127.0.0.1:1", {.plaintext = Plaintext::kAllow});
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_EQ(CreateGrpcTransport({.server = *endpoint, .token = "two words"}, clock).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoji::client
