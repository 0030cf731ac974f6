// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The front end as its operator runs it: scraped, reloaded under load, in front of enclaves that die, with a thousand
// connections, and asked by clients that know nothing of Shoji.
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/base/file.h"
#include "lib/tensor/tensor.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/raw_client.h"
#include "tests/support/scrape.h"

namespace shoji {
namespace {

using std::chrono::seconds;
using testing::Cluster;
using testing::ClusterOptions;
using ::testing::HasSubstr;
using testing::RawClient;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasuresMemory = false;
#else
constexpr bool kMeasuresMemory = true;
#endif

const Bytes kInput(size_t{4} * 4, 0);  // NOLINT(cert-err58-cpp): test code

size_t CountOf(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    ++count;
  }
  return count;
}

class FrontEndProcessTest : public ::testing::Test {
 protected:
  void StartCluster(int num_enclaves, const std::string& server_yaml) {
    ASSERT_TRUE(
        WriteFileAtomically(folder_.File("tiny.onnx"),
                            testing::OnnxBuilder().Input("x", {1, 4}).Node("Relu", {"x"}, {"y"}).Output("y").Build())
            .ok());
    ClusterOptions options;
    options.models = {{.name = "tiny",
                       .onnx = folder_.File("tiny.onnx"),
                       .labels = "",
                       .preprocessing = "",
                       .policy = "model: tiny\nsegments: [{from: input, place: enclave}]\n"}};
    options.num_accelerators = 0;
    options.num_enclaves = num_enclaves;
    options.server_yaml = server_yaml;
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
  }
  std::string ServerLog() { return cluster_->server().Log(); }
  rpc::Address MetricsAddress() {
    constexpr std::string_view kEvent = "shoji-server metrics address=";
    std::string log;
    EXPECT_TRUE(testing::WaitFor([&] {
      log = ServerLog();
      return log.find(kEvent) != std::string::npos;
    }));
    const size_t at = log.find(kEvent) + kEvent.size();
    return *rpc::ParseAddress(log.substr(at, log.find('\n', at) - at));
  }
  // A reload of what server.yaml says with `from` replaced by `to`; whether it was taken.
  bool Reload(const std::string& from, const std::string& to) {
    const std::string path = cluster_->dir().File("server.yaml");
    std::string text = ToString(*ReadFile(path, 1 << 20));
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << text;
    EXPECT_TRUE(WriteFileAtomically(path, AsBytes(text.replace(at, from.size(), to))).ok());
    const std::string before = ServerLog();
    cluster_->server().Signal(SIGHUP);
    bool taken = false;
    EXPECT_TRUE(testing::WaitFor([&] {
      const std::string log = ServerLog();
      taken = CountOf(log, " reloaded") > CountOf(before, " reloaded");
      return taken || CountOf(log, " reload_refused") > CountOf(before, " reload_refused");
    }));
    return taken;
  }

  const testing::TempDir folder_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(FrontEndProcessTest, PromtoolAcceptsThePageOfMetrics) {
  if (!std::filesystem::exists("/usr/bin/promtool")) {
    GTEST_SKIP() << "promtool is not installed (Debian: prometheus)";
  }
  StartCluster(1, "metrics: {address: \"127.0.0.1:0\"}\n");
  RawClient client(cluster_->address());
  ASSERT_TRUE(client.Attest("tiny").ok());
  ASSERT_TRUE(client.Roundtrip(channel::RequestKind::kTensors, kInput, "tiny").ok());
  const auto page = testing::Scrape(MetricsAddress());
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(testing::SeriesIn(*page, R"(shoji_server_requests_total{method="Infer",status="OK"})"), 1);
  ASSERT_TRUE(WriteFileAtomically(folder_.File("page"), AsBytes(*page)).ok());
  const testing::CommandResult checked =
      testing::RunCommand({"/bin/sh", "-c", "/usr/bin/promtool check metrics < " + folder_.File("page")});
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
  EXPECT_EQ(checked.err + checked.out, "");  // it lints as well
}

TEST_F(FrontEndProcessTest, WhoMayMakeOneCallAtATimeGetsASessionAndAnAnswer) {
  const std::string token = "slow-0123456789abcdef0123456789ab";
  const std::string tokens = folder_.File("tokens");
  std::ofstream(tokens) << "name=slow rate=4 burst=1 " << token << "\n";
  std::filesystem::permissions(tokens, std::filesystem::perms::owner_read);
  StartCluster(1, "auth: {tokens_file: \"" + tokens + "\"}\n");
  const auto session = cluster_->OpenSession(
      "", {.opened_result = client::OpenedResult::kAllow, .model_digest = std::nullopt, .plan_digest = std::nullopt},
      token);
  ASSERT_TRUE(session.ok()) << session.status();
  const Tensor input(DataType::kFloat32, Shape({1, 4}));
  const auto answer = (*session)->Infer({&input, 1}, std::chrono::steady_clock::now() + seconds(30));
  EXPECT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(ServerLog(), HasSubstr("refused=token_rate"));  // the limit was met, and waited for
}

TEST_F(FrontEndProcessTest, AReloadTakesEnclavesAwayAndBackAndClientsGoOn) {
  StartCluster(2, "");
  const auto session = cluster_->OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  const Tensor input(DataType::kFloat32, Shape({1, 4}));
  const auto infer = [&] {
    return (*session)->Infer({&input, 1}, std::chrono::steady_clock::now() + seconds(30)).status();
  };
  EXPECT_TRUE(testing::WaitFor([&] { return CountOf(ServerLog(), " enclave_connected ") == 2; }));
  ASSERT_TRUE(infer().ok());
  const std::string config = ToString(*ReadFile(cluster_->dir().File("server.yaml"), 1 << 20));
  for (const std::string name : {"enclave0", "enclave1"}) {
    const size_t at = config.find("  - {name: " + name);
    const std::string entry = config.substr(at, config.find('\n', at) + 1 - at);
    ASSERT_TRUE(Reload(entry, "")) << ServerLog();
    EXPECT_THAT(ServerLog(), HasSubstr("enclave_removed enclave=" + name));
    // The session's enclave may be the one that is gone: the client finds the other by itself.
    EXPECT_TRUE(infer().ok()) << ServerLog();
    const size_t num_connected = CountOf(ServerLog(), " enclave_connected ");
    ASSERT_TRUE(Reload("enclaves:\n", "enclaves:\n" + entry)) << ServerLog();
    EXPECT_TRUE(testing::WaitFor([&] { return CountOf(ServerLog(), " enclave_connected ") > num_connected; }));
  }
  EXPECT_TRUE(infer().ok());
  // A list that is wrong is refused, and the old one serves.
  EXPECT_FALSE(Reload("name: enclave1", "name: enclave0"));
  EXPECT_THAT(ServerLog(), HasSubstr("another enclave has the name enclave0"));
  EXPECT_TRUE(infer().ok());
}

TEST_F(FrontEndProcessTest, TheLogTellsARemovedEnclaveFromOneThatAnotherConnectionReplaced) {
  StartCluster(2, "");
  EXPECT_TRUE(testing::WaitFor([&] { return CountOf(ServerLog(), " enclave_connected ") == 2; }));
  const std::string socket = cluster_->dir().File("enclave1.sock");
  // The same enclave at another address: the new connection takes over from the old one.
  const std::string other = cluster_->dir().File("other.sock");
  std::filesystem::create_symlink(socket, other);
  ASSERT_TRUE(Reload(socket, other)) << ServerLog();
  EXPECT_TRUE(testing::WaitFor([&] { return CountOf(ServerLog(), " enclave_replaced enclave=enclave1") == 1; }))
      << ServerLog();
  EXPECT_EQ(CountOf(ServerLog(), " enclave_removed "), 0U);
  // Nobody is there: the old connection serves on, so that two go when the enclave is taken off the list.
  ASSERT_TRUE(Reload(other, cluster_->dir().File("none.sock"))) << ServerLog();
  const std::string config = ToString(*ReadFile(cluster_->dir().File("server.yaml"), 1 << 20));
  const size_t at = config.find("  - {name: enclave1");
  ASSERT_TRUE(Reload(config.substr(at, config.find('\n', at) + 1 - at), "")) << ServerLog();
  EXPECT_EQ(CountOf(ServerLog(), " enclave_removed enclave=enclave1"), 1U) << ServerLog();
}

TEST_F(FrontEndProcessTest, TwentyReloadsWhileRequestsFlowLoseNone) {
  StartCluster(1, "limits: {in_flight: 8, queue: 100}\nlog: {level: warning}\n");
  std::atomic<uint64_t> num_answered = 0;
  std::atomic<uint64_t> num_failed = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back([&](const std::stop_token& stop) {
        RawClient client(cluster_->address());
        if (!client.Attest("tiny").ok()) {
          ++num_failed;
          return;
        }
        while (!stop.stop_requested()) {
          const absl::Status served = client.Roundtrip(channel::RequestKind::kTensors, kInput, "tiny");
          ++(served.ok() ? num_answered : num_failed);
        }
      });
    }
    std::string now = "in_flight: 8, queue: 100}\nlog: {level: warning}";
    for (int i = 0; i < 20; ++i) {
      const uint64_t before = num_answered;
      EXPECT_TRUE(testing::WaitFor([&] { return num_answered > before + 20 || num_failed > 0; }));
      const std::string next = "in_flight: " + std::to_string(4 + i) + ", queue: " + std::to_string(50 + i) +
                               "}\nlog: {level: " + (i % 2 == 0 ? "info" : "warning") + "}";
      // At the level of warnings "reloaded" is not logged: a line of the other kind would be.
      if (i % 2 == 0) {
        EXPECT_TRUE(Reload(now, next)) << i;
      } else {
        const std::string path = cluster_->dir().File("server.yaml");
        std::string text = ToString(*ReadFile(path, 1 << 20));
        text.replace(text.find(now), now.size(), next);
        ASSERT_TRUE(WriteFileAtomically(path, AsBytes(text)).ok());
        cluster_->server().Signal(SIGHUP);
      }
      now = next;
    }
  }
  EXPECT_EQ(num_failed, 0U);
  EXPECT_GT(num_answered, 400U);
  EXPECT_EQ(CountOf(ServerLog(), "reload_refused"), 0U) << ServerLog();
}

TEST_F(FrontEndProcessTest, ABadFileLeavesTheOldOneInForceAndTheLogSaysWhy) {
  StartCluster(1, "limits: {in_flight: 8}\n");
  RawClient client(cluster_->address());
  ASSERT_TRUE(client.Attest("tiny").ok());
  EXPECT_FALSE(Reload("in_flight: 8", "in_flight: many"));
  EXPECT_THAT(ServerLog(), HasSubstr("server.yaml:4: key 'limits.in_flight'"));
  EXPECT_FALSE(Reload("in_flight: many", "in_flight: 8, max_message: 1MiB"));
  EXPECT_THAT(ServerLog(), HasSubstr("'limits.max_message' has changed, and only a restart changes it"));
  EXPECT_FALSE(Reload("max_message: 1MiB}", "queue: 9}\nauth: {tokens_file: none.txt}"));
  EXPECT_THAT(ServerLog(), HasSubstr("none.txt"));
  EXPECT_TRUE(client.Roundtrip(channel::RequestKind::kTensors, kInput, "tiny").ok());
  EXPECT_TRUE(Reload("auth: {tokens_file: none.txt}", ""));
}

TEST_F(FrontEndProcessTest, WhenAnEnclaveDiesNewSessionsGoToTheOtherAtOnce) {
  StartCluster(2, "");
  RawClient client(cluster_->address());
  // Both are there: two sessions in turn are under two keys.
  ASSERT_TRUE(testing::WaitFor([&] {
    const bool first = client.Attest("tiny").ok();
    const auto key = client.manifest().hpke_public_key;
    return first && client.Attest("tiny").ok() && client.manifest().hpke_public_key != key;
  }));
  cluster_->enclave(0).Kill();
  ASSERT_TRUE(testing::WaitFor([&] { return CountOf(ServerLog(), "enclave_lost enclave=enclave0") == 1; }, seconds(2)))
      << ServerLog();
  for (int i = 0; i < 6; ++i) {
    const absl::Status attested = client.Attest("tiny");
    ASSERT_TRUE(attested.ok()) << attested;
    const absl::Status served = client.Roundtrip(channel::RequestKind::kTensors, kInput, "tiny");
    EXPECT_TRUE(served.ok()) << served;
  }
  EXPECT_TRUE(cluster_->WaitServing());
}

TEST_F(FrontEndProcessTest, AThousandConnectionsAreServedInBoundedMemory) {
  constexpr size_t kConnections = 1000;
  StartCluster(1, "log: {level: warning}\n");
  RawClient client(cluster_->address());
  ASSERT_TRUE(client.Attest("tiny").ok());
  const long before = testing::ResidentKib(cluster_->server().pid());
  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs;
  for (size_t i = 0; i < kConnections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stubs.push_back(v1::InferenceService::NewStub(
        grpc::CreateCustomChannel(cluster_->address(), grpc::InsecureChannelCredentials(), arguments)));
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + seconds(30));
    v1::GetVersionResponse version;
    const grpc::Status status = stubs.back()->GetVersion(&context, {}, &version);
    ASSERT_TRUE(status.ok()) << i << ": " << status.error_message();
  }
  // All at a time, and the first still works.
  for (size_t i = 0; i < kConnections; i += 37) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(30));
    v1::GetVersionResponse version;
    EXPECT_TRUE(stubs[i]->GetVersion(&context, {}, &version).ok()) << i;
  }
  EXPECT_TRUE(client.Roundtrip(channel::RequestKind::kTensors, kInput, "tiny").ok());
  const long growth = testing::ResidentKib(cluster_->server().pid()) - before;
  RecordProperty("growth KiB", static_cast<int>(growth));
  if (kMeasuresMemory) {
    EXPECT_LE(growth, 100 * 1024) << "KiB";
  }
}

TEST_F(FrontEndProcessTest, AStockClientFindsItsWayByReflectionAndHealth) {
  const testing::CommandResult has_grpc =
      testing::RunCommand({"/usr/bin/python3", "-c", "import grpc, google.protobuf"});
  if (has_grpc.exit_code != 0) {
    GTEST_SKIP() << "python3-grpcio and python3-protobuf are not installed";
  }
  StartCluster(1, "");
  const std::string package = folder_.File("grpc_health_v1");
  ASSERT_TRUE(std::filesystem::create_directory(package));
  const std::string health = std::string(SHOJI_SOURCE_DIR) + "/proto/grpc/health/v1";
  const testing::CommandResult generated =
      testing::RunCommand({"/usr/bin/protoc", "-I" + health, "--python_out=" + package, health + "/health.proto"});
  ASSERT_EQ(generated.exit_code, 0) << generated.err;
  const testing::CommandResult asked =
      testing::RunCommand({"/usr/bin/python3", std::string(SHOJI_SOURCE_DIR) + "/tests/integration/stock_client.py",
                           cluster_->address(), folder_.path()});
  EXPECT_EQ(asked.exit_code, 0) << asked.err;
  EXPECT_THAT(asked.out, HasSubstr("services grpc.health.v1.Health grpc.reflection.v1alpha.ServerReflection "
                                   "shoji.v1.AttestationService shoji.v1.InferenceService\n"));
  EXPECT_THAT(asked.out, HasSubstr("methods shoji.v1.AttestationService GetEvidence\n"));
  EXPECT_THAT(asked.out, HasSubstr("version 0."));
  EXPECT_THAT(asked.out, HasSubstr("check (all) SERVING\ncheck shoji.v1.InferenceService SERVING\n"
                                   "check nonexistent NOT_FOUND\nwatch SERVING\n"));
}

}  // namespace
}  // namespace shoji
