// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// `shoji load`, the program, over real sockets: against the product, and against a server whose pauses are known.
#include <png.h>

#include <array>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "lib/rpc/status.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/unit/client/fake_server.h"

namespace shoji {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;
using testing::ClusterOptions;
using testing::CommandResult;
using ::testing::HasSubstr;
using testing::RunCommand;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

// A client::FakeServer behind gRPC. It answers at once, but for one pause: whatever is asked in it is answered at its
// end.
class PausingServer {
 public:
  // The pause begins `after` the first request and lasts `pause`.
  PausingServer(milliseconds after, milliseconds pause) : inference_(fake_, after, pause), attestation_(fake_) {
    fake_.clock.Advance(std::chrono::system_clock::now() - fake_.clock.SystemNow());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&inference_);
    builder.RegisterService(&attestation_);
    server_ = builder.BuildAndStart();
  }
  ~PausingServer() { Stop(); }
  // Nobody answers at its address any more.
  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }
  int num_infers() { return fake_.num_infers(); }
  PausingServer(const PausingServer&) = delete;
  PausingServer& operator=(const PausingServer&) = delete;

  // How long the pause really was, in seconds: a busy machine wakes late.
  double pause() { return inference_.pause(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // The signer's public key in PEM: the fixed prefix of an Ed25519 SubjectPublicKeyInfo (RFC 8410), and the key.
  std::string PublicKey() const {
    Bytes der = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    Append(der, fake_.signer.public_key());
    return "-----BEGIN PUBLIC KEY-----\n" + absl::Base64Escape(ToString(der)) + "\n-----END PUBLIC KEY-----\n";
  }

 private:
  template <size_t N>
  static std::array<uint8_t, N> Fixed(const std::string& bytes) {
    std::array<uint8_t, N> out = {};
    std::copy_n(bytes.begin(), std::min(bytes.size(), N), out.begin());
    return out;
  }

  // A thread for each call, which waits where the call does.
  class Inference final : public v1::InferenceService::Service {
   public:
    Inference(client::FakeServer& fake, milliseconds after, milliseconds pause)
        : fake_(fake), after_(after), pause_(pause) {}

    grpc::Status ListModels(grpc::ServerContext* /*context*/, const v1::ListModelsRequest* /*request*/,
                            v1::ListModelsResponse* response) override {
      for (const client::ModelDescription& model : fake_.ListModels()) {
        v1::ModelDescription& out = *response->add_models();
        out.set_name(model.name);
        out.set_preprocessing(ToString(model.preprocessing));
        out.set_labels(ToString(model.labels));
      }
      return grpc::Status::OK;
    }
    grpc::Status OpenSession(grpc::ServerContext* /*context*/, const v1::OpenSessionRequest* request,
                             v1::OpenSessionResponse* response) override {
      const auto reply = fake_.OpenSession({Fixed<16>(request->key_id()), Fixed<32>(request->manifest_digest()),
                                            Fixed<32>(request->enc()), ToBytes(request->sealed_hello())});
      if (reply.ok()) {
        response->set_session_id(ToString(reply->session_id));
        response->set_salt(ToString(reply->hello.salt));
        response->set_sealed_hello(ToString(reply->hello.ciphertext));
      }
      return rpc::ToGrpcStatus(reply.status());
    }
    grpc::Status Infer(grpc::ServerContext* /*context*/, const v1::InferRequest* request,
                       v1::InferResponse* response) override {
      AwaitPause();
      channel::SealedRequest sealed;
      sealed.key_id = Fixed<16>(request->key_id());
      sealed.session_id = Fixed<16>(request->session_id());
      sealed.sequence = request->sequence();
      sealed.model = request->model();
      sealed.ciphertext = ToBytes(request->ciphertext());
      const auto answer = fake_.Infer(sealed);
      if (answer.ok()) {
        response->set_salt(ToString(answer->salt));
        response->set_ciphertext(ToString(answer->ciphertext));
      }
      return rpc::ToGrpcStatus(answer.status());
    }
    double pause() {
      const std::scoped_lock lock(mu_);
      return std::chrono::duration<double>(paused_for_).count();
    }

   private:
    void AwaitPause() {
      std::unique_lock lock(mu_);
      const SteadyTime now = std::chrono::steady_clock::now();
      if (!begins_.has_value()) {
        begins_ = now + after_;
      }
      if (now < *begins_ || now >= *begins_ + pause_) {
        return;
      }
      never_.wait_until(lock, *begins_ + pause_, [] { return false; });
      if (paused_for_.count() == 0) {  // the first that went on
        paused_for_ = std::chrono::steady_clock::now() - *begins_;
      }
    }

    client::FakeServer& fake_;
    const milliseconds after_;
    const milliseconds pause_;
    std::mutex mu_;
    std::condition_variable never_;
    std::optional<SteadyTime> begins_;
    std::chrono::nanoseconds paused_for_{0};
  };

  class Attestation final : public v1::AttestationService::Service {
   public:
    explicit Attestation(client::FakeServer& fake) : fake_(fake) {}
    grpc::Status GetEvidence(grpc::ServerContext* /*context*/, const v1::GetEvidenceRequest* request,
                             v1::GetEvidenceResponse* response) override {
      const client::EvidenceReply reply = fake_.MakeEvidence(Fixed<32>(request->nonce()));
      response->set_manifest(ToString(reply.manifest));
      response->mutable_evidence()->set_kind(v1::SIMULATED);
      response->mutable_evidence()->set_data(ToString(reply.evidence.data));
      return grpc::Status::OK;
    }

   private:
    client::FakeServer& fake_;
  };

  client::FakeServer fake_;
  Inference inference_;
  Attestation attestation_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

CommandResult Load(const std::string& address, const std::string& key_file, const std::vector<std::string>& more,
                   milliseconds timeout = seconds(100)) {
  std::vector<std::string> argv = {testing::BinDir() + "/shoji",
                                   "load",
                                   "--server",
                                   address,
                                   "--plaintext",
                                   "--allow-simulated",
                                   "--simulated-key",
                                   key_file};
  argv.insert(argv.end(), more.begin(), more.end());
  return RunCommand(argv, timeout);
}

// Requests at a constant rate for T = 10 s meet a pause of P = 1 s, whose end answers all that came in it. A request
// that was meant to be sent t before the end of the pause has latency t, for 0 < t <= P; of all requests the share (P -
// x) / T took longer than x. So the quantile q is at x = P - (1 - q) T: p99.9 at 990 ms, p99 at 900 ms, p95 at 500 ms.
// A generator that waits for answers before it sends on would find one request of a second, and a p99.9 of a
// millisecond.
TEST(LoadTest, APauseIsChargedForEveryRequestThatShouldHaveBeenSentInIt) {
  if (kSanitizerBuild) {
    GTEST_SKIP() << "a sanitizer's own time would be measured";
  }
  PausingServer server(seconds(4), seconds(1));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  const CommandResult result =
      Load(server.address(), folder.File("key.pem"),
           {"--rate", "100", "--duration", "10s", "--warmup", "0s", "--connections", "2", "--output", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  auto& level = json["levels"][0];
  EXPECT_EQ(level["answered"], 1000);
  EXPECT_EQ(level["failed"], 0);
  const double pause = server.pause();
  EXPECT_NEAR(pause, 1, 0.5);
  for (const auto& [name, quantile] : {std::pair{"p99.9", 0.999}, std::pair{"p99", 0.99}, std::pair{"p95", 0.95}}) {
    const double expected = pause - (1 - quantile) * 10;
    EXPECT_NEAR(level["latency"][name].get<double>(), expected, 0.05 * expected + (quantile < 0.99 ? 0.03 : 0)) << name;
  }
  EXPECT_NEAR(level["latency"]["max"].get<double>(), pause, 0.05);
  EXPECT_NEAR(level["achieved_rate"].get<double>(), 100, 5);
}

// The same where the generator may not have them all under way: what waits for its turn is late, and is charged too.
TEST(LoadTest, ABoundOnWhatIsInFlightHidesNoPause) {
  PausingServer server(seconds(4), seconds(1));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  const CommandResult result =
      Load(server.address(), folder.File("key.pem"),
           {"--rate", "200", "--duration", "10s", "--warmup", "0s", "--max-in-flight", "4", "--output", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  auto& level = json["levels"][0];
  // Those in line go out four at a time after the pause, which takes a while.
  EXPECT_GT(level["latency"]["p99.9"].get<double>(), 0.95 * 0.990);
  EXPECT_GT(level["latency"]["p95"].get<double>(), 0.90 * 0.500);
  EXPECT_GT(level["late"].get<int>(), 150);
  EXPECT_LT(level["service_time"]["p99"].get<double>(), 0.5) << "four requests at most met the pause under way";
}

TEST(LoadTest, WhoseTimeIsOverBeforeItsTurnIsDroppedAndCounted) {
  PausingServer server(milliseconds(500), seconds(3));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  const CommandResult result = Load(server.address(), folder.File("key.pem"),
                                    {"--rate", "50", "--requests", "100", "--warmup", "0s", "--max-in-flight", "1",
                                     "--timeout", "1s", "--output", "json", "--slo", "errors=1%"});
  EXPECT_EQ(result.exit_code, 10) << result.err;
  EXPECT_THAT(result.err, HasSubstr("errors=1% was not kept"));
  auto json = nlohmann::json::parse(result.out);
  auto& level = json["levels"][0];
  EXPECT_GT(level["dropped"].get<int>(), 10);
  EXPECT_GE(level["errors"]["DEADLINE_EXCEEDED"]["count"].get<int>(), 1) << result.out;
  EXPECT_EQ(level["answered"].get<int>() + level["failed"].get<int>() + level["dropped"].get<int>(), 100);
}

// What the generator has not come to by the end of the level is the latest of all: here it stands still across the end.
TEST(LoadTest, NoRequestIsForgottenWhereTheGeneratorIsLate) {
  PausingServer server(std::chrono::hours(1), seconds(0));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  std::vector<std::string> argv = {testing::BinDir() + "/shoji", "load", "--server", server.address()};
  for (const char* more : {"--plaintext", "--allow-simulated", "--rate", "400", "--duration", "1s", "--warmup", "0s",
                           "--timeout", "30s"}) {
    argv.emplace_back(more);
  }
  argv.insert(argv.end(), {"--simulated-key", folder.File("key.pem"), "--raw", folder.File("raw.csv")});
  const auto process =
      *testing::Process::Start({.argv = argv, .log_file = folder.File("log"), .environment = {}, .uid = {}});
  ASSERT_TRUE(testing::WaitFor([&] { return server.num_infers() > 50; }));
  process->Signal(SIGSTOP);
  const SteadyTime end = std::chrono::steady_clock::now() + milliseconds(1500);
  ASSERT_TRUE(testing::WaitFor([&] { return std::chrono::steady_clock::now() >= end; }));
  process->Signal(SIGCONT);
  const std::optional<int> status = process->Wait(seconds(60));
  ASSERT_TRUE(status.has_value() && WIFEXITED(*status) && WEXITSTATUS(*status) == 0) << process->Log();
  std::ifstream raw(folder.File("raw.csv"));
  EXPECT_EQ(std::count(std::istreambuf_iterator<char>(raw), {}, '\n'), 401) << "a line for each, and their names";
}

TEST(LoadTest, ALevelEndsWithItsTimeHoweverLateTheNextRequestWouldBe) {
  PausingServer server(std::chrono::hours(1), seconds(0));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  const CommandResult result =
      Load(server.address(), folder.File("key.pem"),
           {"--rate", "0.01", "--duration", "1s", "--warmup", "0s", "--output", "json"}, seconds(60));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["levels"][0]["answered"], 1);
  EXPECT_NEAR(json["levels"][0]["seconds"].get<double>(), 1, 0.001);
}

TEST(LoadTest, ACountedLevelAchievesNoMoreThanItsRate) {
  PausingServer server(std::chrono::hours(1), seconds(0));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  const CommandResult result = Load(server.address(), folder.File("key.pem"),
                                    {"--rate", "2", "--requests", "2", "--warmup", "0s", "--timeout", "30s", "--output",
                                     "json", "--slo", "rate=2.1"});
  EXPECT_EQ(result.exit_code, 10) << result.err;
  auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["levels"][0]["answered"], 2);
  EXPECT_LE(json["levels"][0]["achieved_rate"].get<double>(), 2.001);
}

// What holds in a part of the time must not pass for the whole.
TEST(LoadTest, AStoppedRunSaysSoAndKeepsNoObjective) {
  PausingServer server(std::chrono::hours(1), seconds(0));
  const testing::TempDir folder;
  std::ofstream(folder.File("key.pem")) << server.PublicKey();
  const int before = server.num_infers();
  std::vector<std::string> argv = {testing::BinDir() + "/shoji", "load", "--server", server.address()};
  for (const char* more : {"--plaintext", "--allow-simulated", "--rate", "50:70:10", "--duration", "1h", "--warmup",
                           "0s", "--slo", "errors=0%"}) {
    argv.emplace_back(more);
  }
  argv.insert(argv.end(), {"--simulated-key", folder.File("key.pem")});
  const auto process =
      *testing::Process::Start({.argv = argv, .log_file = folder.File("log"), .environment = {}, .uid = {}});
  ASSERT_TRUE(testing::WaitFor([&] { return server.num_infers() > before + 20; }));
  process->Signal(SIGINT);
  const std::optional<int> status = process->Wait(seconds(30));
  ASSERT_TRUE(status.has_value() && WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 1);
  EXPECT_THAT(process->Log(), HasSubstr("stopped by a signal after"));
  EXPECT_THAT(process->Log(), HasSubstr("of 50/s, with 2 more levels to go"));
}

// A call to nobody fails in no time: sent one after the other, they would be counted by the hundred thousand.
TEST(LoadTest, AClosedLoopWaitsWhereTheServerIsGone) {
  for (const std::vector<std::string>& sessions : {std::vector<std::string>{}, {"--session-per-request"}}) {
    PausingServer server(std::chrono::hours(1), seconds(0));
    const testing::TempDir folder;
    std::ofstream(folder.File("key.pem")) << server.PublicKey();
    std::jthread end([&] {
      testing::WaitFor([&] { return server.num_infers() > 100; });
      server.Stop();
    });
    std::vector<std::string> arguments = {"--concurrency", "4",  "--duration", "3s",  "--warmup", "0s",
                                          "--timeout",     "1s", "--output",   "json"};
    arguments.insert(arguments.end(), sessions.begin(), sessions.end());
    const CommandResult result = Load(server.address(), folder.File("key.pem"), arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    auto json = nlohmann::json::parse(result.out);
    auto& level = json["levels"][0];
    EXPECT_GE(level["answered"].get<int>(), 100);
    EXPECT_GE(level["failed"].get<int>() + level["dropped"].get<int>(), 4) << "each of the four has met it";
    EXPECT_LT(level["failed"].get<int>(), 100) << result.out;
  }
}

TEST(LoadTest, WrongArgumentsSayWhatIsWrong) {
  const auto expect = [](const std::vector<std::string>& arguments, const std::string& says) {
    const CommandResult result = Load("127.0.0.1:1", "/nonexistent.pem", arguments);
    EXPECT_EQ(result.exit_code, 2) << says;
    EXPECT_THAT(result.err, HasSubstr(says));
  };
  expect({"--concurrency", "many"},
         "--concurrency: 'many' is neither a positive whole number, ten million at most, nor a sweep");
  expect({"--rate", "1:2"}, "sweep first:last:step");
  expect({"--rate", "1", "--concurrency", "1"}, "--concurrency");
  expect({"--arrival", "poisson"}, "--arrival goes with --rate");
  expect({"--duration", "soon"}, "--duration: 'soon' is not a time");
  expect({"--rate", "1", "--timeout", "25h"}, "--timeout: '25h' is not a time");
  expect({"--requests", "0"}, "--requests: Value 0 not in range 1 to 9007199254740992");
  expect({"--slo", "p99"}, "'p99' is no bound");
  expect({"--connections", "0"}, "--connections");
  expect({"--slo", "p97=1s"}, "the report states p50, p90, p95, p99, p99.9 and max");
  expect({"--wait", "soon"}, "/nonexistent.pem");
  const testing::TempDir folder;
  expect({"--raw", folder.File("x"), "--report", folder.File("./x")}, "--raw and --report would write the same file");
  for (const char* option : {"--raw", "--hgrm", "--report"}) {
    expect({option, "/nonexistent/file"}, std::string(option) + ": cannot create /nonexistent/file");
  }
}

class LoadClusterTest : public ::testing::Test {
 protected:
  void Start(ClusterOptions options = {}) {
    options.models = {testing::BuiltInModel(testing::ReadyPolicy("slalom"))};
    auto cluster = Cluster::Start(std::move(options));
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
  }
  CommandResult LoadCluster(const std::vector<std::string>& more) const {
    return Load(cluster_->address(), cluster_->signer_public_key_file(), more);
  }
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(LoadClusterTest, SweepsTheProductAndAsksWhereTheTimeGoes) {
  Start();
  const testing::TempDir folder;
  const CommandResult result =
      LoadCluster({"--concurrency", "1:5:4", "--requests", "100", "--warmup", "0s", "--connections", "2", "--phases",
                   "--pictures", std::string(SHOJI_SOURCE_DIR) + "/models/photos", "--output", "json", "--raw",
                   folder.File("raw.csv"), "--hgrm", folder.File("out.hgrm")});
  ASSERT_EQ(result.exit_code, 0) << result.err << cluster_->Logs();
  auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["levels"].size(), 2U);
  for (auto& level : json["levels"]) {
    EXPECT_EQ(level["answered"], 100);
    EXPECT_EQ(level["failed"], 0);
    // Whether a layer is masked depends on how many pads there are just then.
    EXPECT_GT(level["phases"]["compute"]["max"].get<double>() + level["phases"]["verify"]["max"].get<double>(), 0);
    EXPECT_GE(level["attestation"]["count"].get<int>(), 1);
    EXPECT_EQ(level["handshake"]["count"], 2);
  }
  std::ifstream raw(folder.File("raw.csv"));
  int lines = 0;
  for (std::string line; std::getline(raw, line);) {
    ++lines;
  }
  EXPECT_EQ(lines, 201);
  std::stringstream hgrm;
  hgrm << std::ifstream(folder.File("out.hgrm")).rdbuf();
  EXPECT_THAT(hgrm.str(), HasSubstr("Total count    =          100]"));
}

TEST_F(LoadClusterTest, ASessionForEveryRequestCostsItsHandshake) {
  Start();
  const CommandResult result =
      LoadCluster({"--rate", "50", "--requests", "50", "--warmup", "0s", "--session-per-request", "--output", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["levels"][0]["answered"], 50);
  EXPECT_EQ(json["levels"][0]["handshake"]["count"], 50);
}

TEST_F(LoadClusterTest, ATokenThatMayMakeFewCallsIsWaitedForBeforeTheFirstRequest) {
  const testing::TempDir folder;
  const std::string token = "slow-0123456789abcdef0123456789ab";
  for (const auto& [name, line] :
       {std::pair("server_tokens", "name=slow rate=4 burst=1 " + token), std::pair("token", token)}) {
    std::ofstream(folder.File(name)) << line << "\n";
    std::filesystem::permissions(folder.File(name), std::filesystem::perms::owner_read);
  }
  ClusterOptions options;
  options.server_yaml = "auth: {tokens_file: \"" + folder.File("server_tokens") + "\"}\n";
  Start(std::move(options));
  // Two sessions before the first request.
  const CommandResult result = LoadCluster({"--token-file", folder.File("token"), "--connections", "2", "--rate", "1",
                                            "--requests", "2", "--warmup", "0s", "--output", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err << cluster_->Logs();
  auto json = nlohmann::json::parse(result.out);
  EXPECT_GE(json["levels"][0]["answered"], 1) << result.out;
  EXPECT_EQ(json["levels"][0]["handshake"]["count"], 2);
  EXPECT_THAT(cluster_->server().Log(), HasSubstr("refused=token_rate"));  // the limit was met
}

TEST_F(LoadClusterTest, ARestartOfTheEnclaveCostsErrorsOfItsOwnAndNewSessions) {
  Start();
  std::jthread restarts([this] {
    // Under load, as the enclave's log shows.
    testing::WaitFor([this] { return cluster_->enclave().Log().find(" request session=") != std::string::npos; });
    cluster_->enclave().Kill();
    cluster_->StartEnclave();
  });
  const CommandResult result = LoadCluster({"--rate", "50", "--duration", "8s", "--warmup", "0s", "--output", "json"});
  restarts.join();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  auto& level = json["levels"][0];
  EXPECT_GT(level["answered"].get<int>(), 100) << result.out;
  EXPECT_GE(level["sessions_reopened"].get<int>(), 1) << result.out;
}

TEST_F(LoadClusterTest, AClosedLoopGoesOnWhenTheFrontEndIsBack) {
  Start();
  std::jthread restarts([this] {
    testing::WaitFor([this] { return cluster_->enclave().Log().find(" request session=") != std::string::npos; });
    cluster_->server().Kill();
    cluster_->StartServer();
  });
  const CommandResult result =
      LoadCluster({"--concurrency", "2", "--duration", "6s", "--warmup", "0s", "--output", "json"});
  restarts.join();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  auto& level = json["levels"][0];
  EXPECT_GE(level["sessions_reopened"].get<int>(), 1) << result.out;
  EXPECT_LT(level["failed"].get<int>(), 50) << result.out;
  ASSERT_GT(level["slices"].size(), 2U);
  EXPECT_GT(level["slices"][level["slices"].size() - 2]["answered"].get<int>(), 0) << result.out;
}

// The colours of the page's series, found in a part of a screenshot.
class Screenshot {
 public:
  bool Load(const std::string& path) {
    png_image image = {};
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_file(&image, path.c_str()) == 0) {
      return false;
    }
    image.format = PNG_FORMAT_RGB;
    width_ = image.width;
    height_ = image.height;
    pixels_.resize(PNG_IMAGE_SIZE(image));
    return png_image_finish_read(&image, nullptr, pixels_.data(), 0, nullptr) != 0;
  }
  // How many pixels of rows [top, bottom) have this colour, give or take the edges' smoothing.
  size_t Count(std::array<int, 3> colour, size_t top, size_t bottom) const {
    size_t count = 0;
    for (size_t y = top; y < std::min<size_t>(bottom, height_); ++y) {
      for (size_t x = 0; x < width_; ++x) {
        const uint8_t* const pixel = &pixels_[3 * (y * width_ + x)];
        bool near = true;
        for (size_t i = 0; i < 3; ++i) {
          near = near && std::abs(int{pixel[i]} - colour[i]) <= 6;
        }
        count += near ? 1U : 0U;
      }
    }
    return count;
  }
  size_t height() const { return height_; }

 private:
  size_t width_ = 0;
  size_t height_ = 0;
  Bytes pixels_;
};

// What a browser shows of `html`.
Screenshot ScreenshotOf(const std::string& html) {
  const testing::TempDir folder;
  std::ofstream(folder.File("page.html")) << html;
  const CommandResult browser = RunCommand(
      {"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
       "--user-data-dir=" + folder.File("profile"), "--screenshot=" + folder.File("page.png"),
       "--window-size=1100,2400", "file://" + folder.File("page.html")},
      seconds(120));
  Screenshot page;
  EXPECT_TRUE(page.Load(folder.File("page.png"))) << browser.err;
  return page;
}

TEST_F(LoadClusterTest, ABrowserDrawsTheReportsCharts) {
  if (RunCommand({"/bin/sh", "-c", "command -v chromium"}).exit_code != 0) {
    GTEST_SKIP() << "chromium is not installed: the report was not looked at in a browser";
  }
  Start();
  const testing::TempDir folder;
  const CommandResult result = LoadCluster(
      {"--rate", "20:60:20", "--duration", "2s", "--warmup", "0s", "--phases", "--report", folder.File("report.html")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::stringstream report;
  report << std::ifstream(folder.File("report.html")).rdbuf();
  const std::string html = report.str();
  constexpr std::array<int, 3> kBlue = {0x00, 0x72, 0xb2};
  constexpr std::array<int, 3> kOrange = {0xe6, 0x9f, 0x00};
  constexpr std::array<int, 3> kRed = {0xd5, 0x5e, 0x00};
  // Two charts of three lines each come first; each line is longer than 300 pixels, and 2 wide. One at a time is shown:
  // where quantiles are equal, the last line covers the others.
  const size_t half = 1000;
  const size_t end_of_style = html.find("</style>");
  ASSERT_NE(end_of_style, std::string::npos);
  size_t series = 0;
  for (const std::array<int, 3> colour : {kBlue, kOrange, kRed}) {
    const std::string number = std::to_string(series++);
    const std::string alone = "svg path, svg circle { visibility: hidden; } svg .s" + number + ", svg .f" + number +
                              " { visibility: visible; }\n";
    const Screenshot page = ScreenshotOf(std::string(html).insert(end_of_style, alone));
    EXPECT_GT(page.Count(colour, 300, half), 600U) << "line " << number;
  }
  // Then the distribution, whose bars are blue, and the phases, with colours of their own.
  const Screenshot page = ScreenshotOf(html);
  EXPECT_GT(page.Count(kBlue, half, page.height()), 5000U) << "bars";
  size_t phases = 0;
  for (const std::array<int, 3> colour : {kOrange, kRed, std::array<int, 3>{0x00, 0x9e, 0x73},
                                          std::array<int, 3>{0xcc, 0x79, 0xa7}, std::array<int, 3>{0x56, 0xb4, 0xe9}}) {
    phases += page.Count(colour, half, page.height());
  }
  EXPECT_GT(phases, 1000U) << "phases besides the wait in the queue";
}

}  // namespace
}  // namespace shoji
