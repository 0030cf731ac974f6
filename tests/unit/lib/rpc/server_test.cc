// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/rpc/health.h"
#include "lib/rpc/pem.h"
#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;
using Kind = TransportSecurity::Kind;

class RpcServerTest : public ::testing::Test {
 protected:
  RpcServerTest() : health_({}) { health_.Set(Health::kServing); }

  absl::StatusOr<std::unique_ptr<Server>> Start(const Endpoint& listener) {
    ServerOptions options;
    options.listeners = {listener};
    return Server::Start(options, {health_.service()});
  }
  Endpoint Unix(const std::string& name) const { return {*ParseAddress("unix:" + name, folder_.path()), {}}; }
  static Endpoint Tcp() { return {*ParseAddress("127.0.0.1:0"), {}}; }

  // The status of a health check of `service`.
  static grpc::Status Check(const Endpoint& endpoint, const std::string& service = "") {
    const auto channel = CreateChannel(endpoint, {});
    EXPECT_TRUE(channel.ok()) << channel.status();
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(*channel)->Check(&context, request, &response);
  }

  ScratchFolder folder_;
  HealthService health_;
};

TEST_F(RpcServerTest, PortZeroIsReplacedByTheRealPort) {
  const auto server = Start(Tcp());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_NE((*server)->addresses()[0].port, 0);
  EXPECT_TRUE(Check({(*server)->addresses()[0], {}}).ok());
}

TEST_F(RpcServerTest, ServesEveryListener) {
  ServerOptions options;
  options.listeners = {Tcp(), Unix("x.sock")};
  const auto server = Server::Start(options, {health_.service()});
  ASSERT_TRUE(server.ok()) << server.status();
  for (const Address& address : (*server)->addresses()) {
    EXPECT_TRUE(Check({address, {}}).ok()) << address.ToString();
  }
}

TEST_F(RpcServerTest, MessageBeyondTheBufferIsCutOffAndTheNextOneServed) {
  const std::string large(size_t{15} << 20, 'x');
  ServerOptions options;
  options.listeners = {Unix("x.sock")};
  options.max_buffered_bytes = size_t{256} << 20;
  auto server = Server::Start(options, {health_.service()});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Check(Unix("x.sock"), large).error_code(), grpc::StatusCode::NOT_FOUND);  // it arrived
  server->reset();
  options.max_buffered_bytes = size_t{1} << 20;
  server = Server::Start(options, {health_.service()});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Check(Unix("x.sock"), large).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Check(Unix("x.sock")).ok());
}

TEST_F(RpcServerTest, IdleConnectionIsClosed) {
  ServerOptions options;
  options.listeners = {Unix("x.sock")};
  options.max_connection_idle = std::chrono::milliseconds(200);
  const auto server = Server::Start(options, {health_.service()});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = *CreateChannel(Unix("x.sock"), {});
  const auto soon = std::chrono::system_clock::now() + std::chrono::seconds(30);
  // A call shows that the connection stood; on a busy machine it may be closed before the call goes out.
  grpc::Status called;
  do {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(soon);
    HealthCheckResponse response;
    called = grpc::health::v1::Health::NewStub(channel)->Check(&context, {}, &response);
  } while (called.error_code() == grpc::StatusCode::UNAVAILABLE && std::chrono::system_clock::now() < soon);
  ASSERT_TRUE(called.ok()) << called.error_message();
  EXPECT_TRUE(channel->WaitForStateChange(GRPC_CHANNEL_READY, soon));
}

TEST_F(RpcServerTest, TcpPortInUseIsRefused) {
  const auto first = Start(Tcp());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Start({(*first)->addresses()[0], {}});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process listens there"));
}

TEST_F(RpcServerTest, LiveUnixSocketIsRefusedAndKeepsServing) {
  const auto first = Start(Unix("x.sock"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Start(Unix("x.sock")).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Check(Unix("x.sock")).ok());
}

// A Unix socket that gRPC knows nothing of.
class BareSocket {
 public:
  BareSocket() : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {}
  explicit BareSocket(const std::string& path) : BareSocket() {
    const sockaddr_un address = AddressOf(path);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  BareSocket(const BareSocket&) = delete;
  BareSocket& operator=(const BareSocket&) = delete;
  ~BareSocket() { ::close(fd_); }
  void Listen() const { EXPECT_EQ(::listen(fd_, 1), 0); }
  void Connect(const std::string& path) const {
    const sockaddr_un address = AddressOf(path);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  // What the peer sends until it closes.
  std::string ReadToEnd() const {
    std::string out;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(fd_, buffer, sizeof(buffer))) > 0;) {
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }

 private:
  static sockaddr_un AddressOf(const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    return address;
  }

  int fd_;
};

TEST_F(RpcServerTest, SilentConnectionIsToldTheStreamsItMayHaveAndClosed) {
  ServerOptions options;
  options.listeners = {Unix("x.sock")};
  options.max_concurrent_streams = 7;
  options.handshake_timeout = std::chrono::milliseconds(200);
  const auto server = Server::Start(options, {health_.service()});
  ASSERT_TRUE(server.ok()) << server.status();
  const BareSocket client;
  client.Connect(folder_.File("x.sock"));
  constexpr char kMaxConcurrentStreams[] = {0, 3, 0, 0, 0, 7};  // of SETTINGS, RFC 9113 section 6.5.2
  EXPECT_THAT(client.ReadToEnd(), HasSubstr(std::string(kMaxConcurrentStreams, sizeof(kMaxConcurrentStreams))));
}

TEST_F(RpcServerTest, LiveSocketOfAnotherProgramIsRefused) {
  const BareSocket other(folder_.File("x.sock"));
  other.Listen();
  EXPECT_EQ(Start(Unix("x.sock")).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(RpcServerTest, StaleUnixSocketIsReplaced) {
  { const BareSocket dead(folder_.File("x.sock")); }
  ASSERT_TRUE(std::filesystem::exists(folder_.File("x.sock")));
  const auto server = Start(Unix("x.sock"));
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(Check(Unix("x.sock")).ok());
}

TEST_F(RpcServerTest, FileInPlaceOfTheSocketIsNotRemoved) {
  WriteText(folder_.File("x.sock"), "precious");
  EXPECT_THAT(std::string(Start(Unix("x.sock")).status().message()), HasSubstr("not a socket"));
  EXPECT_TRUE(std::filesystem::is_regular_file(folder_.File("x.sock")));
}

TEST_F(RpcServerTest, MissingFolderOfTheSocketIsMadePrivate) {
  const auto server = Start(Unix("run/x.sock"));
  ASSERT_TRUE(server.ok()) << server.status();
  struct stat info = {};
  ASSERT_EQ(::stat(folder_.File("run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_EQ(Start(Unix("a/b/x.sock")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RpcServerTest, AddressThatIsNotOursIsRefusedWithTheSystemsReason) {
  const auto server = Start({*ParseAddress("192.0.2.1:0"), {}});
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("cannot listen on 192.0.2.1:0"));
}

TEST_F(RpcServerTest, AddressFileHoldsOneAddressALine) {
  const std::string path = folder_.File("addresses");
  ASSERT_TRUE(WriteAddressFile(path, {*ParseAddress("127.0.0.1:80"), *ParseAddress("unix:/x")}).ok());
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "127.0.0.1:80\nunix:/x\n");
}

TEST_F(RpcServerTest, ShutdownEndsHealthWatches) {
  const auto server = Start(Tcp());
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = CreateChannel({(*server)->addresses()[0], {}}, {});
  const auto stub = grpc::health::v1::Health::NewStub(*channel);
  grpc::ClientContext context;
  const auto stream = stub->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  health_.Set(Health::kNotServing);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  health_.Shutdown();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  (*server)->Shutdown(std::chrono::hours(1));
}

TEST_F(RpcServerTest, WatchOfAnUnknownServiceSaysSo) {
  const auto server = Start(Tcp());
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = CreateChannel({(*server)->addresses()[0], {}}, {});
  const auto stub = grpc::health::v1::Health::NewStub(*channel);
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("nonexistent");
  const auto stream = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  context.TryCancel();
}

class RpcTlsTest : public RpcServerTest {
 protected:
  RpcTlsTest() {
    MakeCertificate(folder_.path(), "ca", "");
    MakeCertificate(folder_.path(), "server", "ca");
    MakeCertificate(folder_.path(), "client", "ca");
    MakeCertificate(folder_.path(), "stranger_ca", "");
    MakeCertificate(folder_.path(), "stranger", "stranger_ca");
  }
  TransportSecurity Identity(Kind kind, const std::string& name, const std::string& ca) const {
    TransportSecurity out;
    out.kind = kind;
    if (!name.empty()) {
      out.certificate_file = folder_.File(name + ".pem");
      out.private_key_file = folder_.File(name + ".key");
    }
    out.ca_file = ca.empty() ? "" : folder_.File(ca + ".pem");
    return out;
  }
  std::unique_ptr<Server> StartTls(const TransportSecurity& security) {
    auto server = Start({*ParseAddress("127.0.0.1:0"), security});
    EXPECT_TRUE(server.ok()) << server.status();
    return server.ok() ? *std::move(server) : nullptr;
  }
};

TEST_F(RpcTlsTest, CallerChecksWhoAnswers) {
  const auto server = StartTls(Identity(Kind::kTls, "server", ""));
  const Address address = server->addresses()[0];
  EXPECT_TRUE(Check({address, Identity(Kind::kTls, "", "ca")}).ok());
  EXPECT_FALSE(Check({address, Identity(Kind::kTls, "", "stranger_ca")}).ok());
  EXPECT_FALSE(Check({address, {}}).ok());
  TransportSecurity other_name = Identity(Kind::kTls, "", "ca");
  other_name.server_name = "example.com";
  EXPECT_FALSE(Check({address, other_name}).ok());
}

TEST_F(RpcTlsTest, MutualTlsAdmitsOnlyWhoTheCaSigned) {
  const auto server = StartTls(Identity(Kind::kMutualTls, "server", "ca"));
  const Address address = server->addresses()[0];
  EXPECT_TRUE(Check({address, Identity(Kind::kMutualTls, "client", "ca")}).ok());
  EXPECT_FALSE(Check({address, Identity(Kind::kTls, "", "ca")}).ok());
  EXPECT_FALSE(Check({address, Identity(Kind::kMutualTls, "stranger", "ca")}).ok());
}

TEST_F(RpcTlsTest, ANewIdentityIsShownToNewConnectionsAndOldOnesStay) {
  MakeCertificate(folder_.path(), "renewed", "stranger_ca");
  const auto server = StartTls(Identity(Kind::kTls, "server", ""));
  const Address address = server->addresses()[0];
  const auto channel = CreateChannel({address, Identity(Kind::kTls, "", "ca")}, {});
  ASSERT_TRUE(channel.ok());
  const auto stub = grpc::health::v1::Health::NewStub(*channel);
  const auto is_answered = [&stub] {
    grpc::ClientContext context;
    HealthCheckResponse response;
    return stub->Check(&context, HealthCheckRequest(), &response).ok();
  };
  ASSERT_TRUE(is_answered());
  auto files = LoadListenerFiles(Identity(Kind::kTls, "renewed", ""));
  ASSERT_TRUE(files.ok()) << files.status();
  server->ReplaceIdentity(0, **std::move(files));
  EXPECT_TRUE(Check({address, Identity(Kind::kTls, "", "stranger_ca")}).ok());
  EXPECT_FALSE(Check({address, Identity(Kind::kTls, "", "ca")}).ok());
  EXPECT_TRUE(is_answered());
}

TEST_F(RpcTlsTest, NewRootsDecideWhichCallersMayConnect) {
  const auto server = StartTls(Identity(Kind::kMutualTls, "server", "ca"));
  const Address address = server->addresses()[0];
  TransportSecurity stranger = Identity(Kind::kMutualTls, "stranger", "ca");
  EXPECT_FALSE(Check({address, stranger}).ok());
  auto files = LoadListenerFiles(Identity(Kind::kMutualTls, "server", "stranger_ca"));
  ASSERT_TRUE(files.ok()) << files.status();
  server->ReplaceIdentity(0, **std::move(files));
  EXPECT_TRUE(Check({address, stranger}).ok());
  EXPECT_FALSE(Check({address, Identity(Kind::kMutualTls, "client", "ca")}).ok());
}

class RpcPinningTest : public RpcTlsTest {
 protected:
  RpcPinningTest() { MakeCertificate(folder_.path(), "twin", "ca"); }
  // A caller that accepts the key of certificate `pinned` alone.
  TransportSecurity Pinned(Kind kind, const std::string& pinned) const {
    TransportSecurity out = Identity(kind, kind == Kind::kMutualTls ? "client" : "", "ca");
    out.server_key_file = folder_.File(pinned + ".pem");
    return out;
  }
};

TEST_F(RpcPinningTest, OnlyThePinnedKeyIsAcceptedOfAllThatTheCaSigned) {
  const auto server = StartTls(Identity(Kind::kMutualTls, "server", "ca"));
  const Address address = server->addresses()[0];
  EXPECT_TRUE(Check({address, Pinned(Kind::kMutualTls, "server")}).ok());
  EXPECT_FALSE(Check({address, Pinned(Kind::kMutualTls, "twin")}).ok());
  EXPECT_FALSE(Check({address, Pinned(Kind::kMutualTls, "ca")}).ok());
}

TEST_F(RpcPinningTest, AKeyThatWasReadIsNotReadAgain) {
  const auto server = StartTls(Identity(Kind::kMutualTls, "server", "ca"));
  TransportSecurity security = Pinned(Kind::kMutualTls, "twin");
  security.server_public_key = *LoadPemPublicKey(folder_.File("twin.pem"));
  security.server_key_file = folder_.File("server.pem");  // changed behind its back
  EXPECT_FALSE(Check({server->addresses()[0], security}).ok());
}

TEST_F(RpcPinningTest, PinnedKeyIsAcceptedUnderAnyName) {
  const auto server = StartTls(Identity(Kind::kTls, "server", ""));
  TransportSecurity security = Pinned(Kind::kTls, "server");
  security.server_name = "example.com";
  EXPECT_TRUE(Check({server->addresses()[0], security}).ok());
}

TEST_F(RpcPinningTest, PinnedKeyMustBeCertifiedAllTheSame) {
  const auto server = StartTls(Identity(Kind::kTls, "stranger", ""));
  const Address address = server->addresses()[0];
  EXPECT_FALSE(Check({address, Pinned(Kind::kTls, "stranger")}).ok());
  TransportSecurity own_root = Pinned(Kind::kTls, "stranger");
  own_root.ca_file = folder_.File("stranger_ca.pem");
  EXPECT_TRUE(Check({address, own_root}).ok());
}

TEST_F(RpcPinningTest, SelfSignedCertificateMayBeItsOwnRoot) {
  const auto server = StartTls(Identity(Kind::kTls, "ca", ""));
  EXPECT_TRUE(Check({server->addresses()[0], Pinned(Kind::kTls, "ca")}).ok());
}

TEST_F(RpcPinningTest, CallerStillProvesWhoItIs) {
  const auto server = StartTls(Identity(Kind::kMutualTls, "server", "ca"));
  EXPECT_FALSE(Check({server->addresses()[0], Pinned(Kind::kTls, "server")}).ok());
}

TEST_F(RpcPinningTest, UnreadableKeyIsNamedWithItsPlaceInTheConfiguration) {
  TransportSecurity security = Pinned(Kind::kTls, "none");
  security.where = "x.yaml:3: key 'tls'";
  const auto channel = CreateChannel({*ParseAddress("127.0.0.1:1"), security}, {});
  EXPECT_THAT(std::string(channel.status().message()), HasSubstr("x.yaml:3: key 'tls': "));
  EXPECT_THAT(std::string(channel.status().message()), HasSubstr("none.pem"));
}

TEST_F(RpcTlsTest, KeyOfAnotherCertificateFailsTheStart) {
  TransportSecurity security = Identity(Kind::kTls, "server", "");
  security.private_key_file = folder_.File("client.key");
  EXPECT_THAT(std::string(Start({*ParseAddress("127.0.0.1:0"), security}).status().message()),
              HasSubstr("does not belong"));
}

}  // namespace
}  // namespace shoji::rpc
