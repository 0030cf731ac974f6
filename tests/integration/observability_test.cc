// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an operator sees of a request: metrics, phases, traces. Real processes.
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "lib/channel/payload.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/scrape.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using testing::RawClient;
using testing::SeriesIn;

constexpr char kModel[] = "cifar10_resnet";
constexpr char kMetrics[] = "metrics: {address: \"127.0.0.1:0\"}\n";

const Bytes kPicture(size_t{3} * 32 * 32, 7);  // NOLINT(cert-err58-cpp): test code

std::unique_ptr<Cluster> StartCluster(const std::string& policy) {
  ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy(policy))};
  options.enclave_yaml = kMetrics;
  options.accelerator_yaml = kMetrics;
  options.server_yaml = kMetrics;
  auto cluster = Cluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

std::string PageOf(const testing::Process& process) {
  const absl::StatusOr<rpc::Address> address = testing::MetricsAddressIn(process.Log());
  EXPECT_TRUE(address.ok()) << address.status();
  const absl::StatusOr<std::string> page = testing::Scrape(*address);
  EXPECT_TRUE(page.ok()) << page.status();
  return page.value_or("");
}

// Prometheus' own opinion of a page; empty where it has nothing to say.
std::string Lint(const std::string& page) {
  const testing::TempDir folder;
  std::ofstream(folder.File("page")) << page;
  const testing::CommandResult result =
      testing::RunCommand({"/bin/sh", "-c", "promtool check metrics < " + folder.File("page")});
  return result.exit_code == 0 ? result.out + result.err : "promtool: " + result.out + result.err;
}
bool HasPromtool() { return testing::RunCommand({"/bin/sh", "-c", "command -v promtool"}).exit_code == 0; }

TEST(ObservabilityTest, AMaskedRequestShowsInTheMetricsOfEnclaveAndAccelerator) {
  const std::unique_ptr<Cluster> cluster = StartCluster("slalom");
  ASSERT_NE(cluster, nullptr);
  // Without a pad a request is answered in the enclave alone.
  ASSERT_TRUE(testing::WaitFor([&] {
    return SeriesIn(PageOf(cluster->enclave()), "shoji_enclave_pads_available{model=\"cifar10_resnet\"}").value_or(0) >
           0;
  }));
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  constexpr int kRequests = 5;
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel).ok());
  }
  const auto sealed = client.Seal(channel::RequestKind::kPicture, kPicture, kModel);
  ASSERT_TRUE(client.Send(*sealed).ok());
  EXPECT_FALSE(client.Send(*sealed).ok());  // a replay

  std::string enclave;
  ASSERT_TRUE(testing::WaitFor([&] {
    enclave = PageOf(cluster->enclave());
    return SeriesIn(enclave, "shoji_enclave_requests_total{status=\"REPLAYED\"}") == 1;
  })) << enclave;
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_requests_total{status=\"ANSWERED\"}"), kRequests + 1);
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_request_duration_seconds_count"), kRequests + 1);
  for (const channel::Phase phase : channel::kAllPhases) {
    const std::string labels = absl::StrCat("{phase=\"", std::string(NameOf(phase)), "\"}");
    EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_phase_duration_seconds_count" + labels), kRequests + 1) << labels;
  }
  EXPECT_GT(SeriesIn(enclave, "shoji_enclave_phase_duration_seconds_sum{phase=\"offload_wait\"}").value_or(0), 0);
  EXPECT_GT(SeriesIn(enclave, "shoji_enclave_phase_duration_seconds_sum{phase=\"verify\"}").value_or(0), 0);
  EXPECT_GE(SeriesIn(enclave, "shoji_enclave_sessions").value_or(0), 1);
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_sessions_limit"), 10000);
  EXPECT_GE(SeriesIn(enclave, "shoji_enclave_sessions_opened_total").value_or(0), 1);
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_keys_made_total"), 1);
  EXPECT_GT(SeriesIn(enclave, "shoji_enclave_key_age_seconds").value_or(0), 0);
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_ready"), 1);
  EXPECT_GE(SeriesIn(enclave, "shoji_enclave_quotes_total{result=\"made\"}").value_or(0), 1);
  EXPECT_GE(SeriesIn(enclave, "shoji_enclave_evidence_total{result=\"issued\"}").value_or(0), 1);
  const double claimed = SeriesIn(enclave, "shoji_enclave_pads_claimed_total{model=\"cifar10_resnet\"}").value_or(-1);
  const double empty = SeriesIn(enclave, "shoji_enclave_pad_pool_empty_total{model=\"cifar10_resnet\"}").value_or(-1);
  EXPECT_EQ(claimed + empty, kRequests + 1);
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_failed_verifications_total{model=\"cifar10_resnet\"}"), 0);
  EXPECT_GT(SeriesIn(enclave, "shoji_enclave_accelerator_sent_bytes_total{accelerator=\"acc0\"}").value_or(0), 1e5);
  EXPECT_GT(SeriesIn(enclave, "shoji_enclave_accelerator_received_bytes_total{accelerator=\"acc0\"}").value_or(0), 1e4);
  EXPECT_EQ(SeriesIn(enclave, "shoji_enclave_accelerator_ready{accelerator=\"acc0\"}"), 1);

  const std::string accelerator = PageOf(cluster->accelerator(0));
  EXPECT_EQ(SeriesIn(accelerator, "shoji_accelerator_tenants"), 1);
  EXPECT_GT(SeriesIn(accelerator, "shoji_accelerator_models").value_or(0), 1);
  EXPECT_GT(SeriesIn(accelerator, "shoji_accelerator_model_memory_bytes").value_or(0), 1e5);
  EXPECT_GT(claimed, 0);
  EXPECT_GT(SeriesIn(accelerator, "shoji_accelerator_executions_total{status=\"OK\"}").value_or(0), 1);
  EXPECT_GT(SeriesIn(accelerator, "shoji_accelerator_received_bytes_total").value_or(0), 1e4);
  if (!HasPromtool()) {
    GTEST_SKIP() << "promtool is not installed (Debian's prometheus): the pages were not checked with it";
  }
  EXPECT_EQ(Lint(enclave), "");
  EXPECT_EQ(Lint(accelerator), "");
}

TEST(ObservabilityTest, TheAnswerSaysWhereItsTimeWentWhenAskedAndLooksTheSameFromOutside) {
  const std::unique_ptr<Cluster> cluster = StartCluster("slalom");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  const auto ask = [&](const crypto::PlaintextBytes& plaintext) {
    const auto request = client.initiator().Seal(kModel, plaintext.Expose());
    const auto answer = client.Send(*request);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return std::pair(answer->ciphertext.size(), *client.Open(*request, *answer));
  };
  constexpr size_t kOutputs = 10 * sizeof(float);
  const auto [size, plaintext] =
      ask(channel::BuildRequest(channel::RequestKind::kPicture, kPicture, channel::Trailer::kPhases));
  const auto view = channel::ParseAnswer(plaintext.Expose(), kOutputs, channel::Trailer::kPhases);
  ASSERT_TRUE(view.ok());
  ASSERT_TRUE(view->phases.has_value());
  std::chrono::nanoseconds sum(0);
  for (const std::chrono::nanoseconds time : view->phases->times) {
    EXPECT_EQ(time % std::chrono::microseconds(16), std::chrono::nanoseconds(0)) << "coarsened";
    sum += time;
  }
  EXPECT_GT(sum, std::chrono::microseconds(100));
  EXPECT_GT((*view->phases)[channel::Phase::kCompute] + (*view->phases)[channel::Phase::kVerify], sum / 100);
  // An error about the plaintext is as long, and has its times too.
  crypto::PlaintextBytes malformed =
      channel::BuildRequest(channel::RequestKind::kPicture, kPicture, channel::Trailer::kPhases);
  malformed.ExposeMutable()[0] = 9;
  const auto [error_size, error] = ask(malformed);
  EXPECT_EQ(error_size, size);
  const auto refused = channel::ParseAnswer(error.Expose(), kOutputs, channel::Trailer::kPhases);
  ASSERT_TRUE(refused.ok());
  EXPECT_FALSE(refused->status.ok());
  EXPECT_TRUE(refused->phases.has_value());
}

// The names of a text that are ours, without what a histogram adds to its own.
std::set<std::string> NamesIn(const std::string& text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz_";
  std::set<std::string> names;
  for (size_t at = text.find("shoji_"); at != std::string::npos; at = text.find("shoji_", at + 1)) {
    std::string name = text.substr(at, text.find_first_not_of(kLetters, at) - at);
    for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
      if (name.ends_with(suffix)) {
        name.resize(name.size() - suffix.size());
      }
    }
    names.insert(name);
  }
  return names;
}

TEST(ObservabilityTest, TheDashboardAndTheAlertsAskForMetricsThatThereAre) {
  const std::unique_ptr<Cluster> cluster = StartCluster("slalom");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  ASSERT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel).ok());
  std::set<std::string> there =
      NamesIn(PageOf(cluster->server()) + PageOf(cluster->enclave()) + PageOf(cluster->accelerator(0)));
  there.insert("shoji_server_token_requests_total");  // of tokens with a name, which this cluster has none of
  for (const std::string file : {"grafana-dashboard.json", "alerts.yaml"}) {
    std::stringstream text;
    text << std::ifstream(std::string(SHOJI_SOURCE_DIR) + "/deploy/monitoring/" + file).rdbuf();
    const std::set<std::string> asked = NamesIn(text.str());
    EXPECT_GT(asked.size(), 10U) << file;
    for (const std::string& name : asked) {
      EXPECT_TRUE(there.contains(name)) << file << " asks for " << name;
    }
  }
  if (!HasPromtool()) {
    GTEST_SKIP() << "promtool is not installed (Debian's prometheus): the rules were not checked with it";
  }
  const testing::CommandResult rules = testing::RunCommand(
      {"promtool", "check", "rules", std::string(SHOJI_SOURCE_DIR) + "/deploy/monitoring/alerts.yaml"});
  EXPECT_EQ(rules.exit_code, 0) << rules.out << rules.err;
  EXPECT_EQ(Lint(PageOf(cluster->server())), "");
}

// From the client's metadata to the last process, outside of everything that is sealed.
TEST(ObservabilityTest, ATraceIsInTheLogOfEveryProcessThatWorkedOnTheRequest) {
  const std::unique_ptr<Cluster> cluster = StartCluster("layer-partition");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  client.SetTraceParent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  ASSERT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel).ok());
  client.SetTraceParent("00-DEADBEEF77b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  ASSERT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel).ok());
  constexpr char kTrace[] = "trace=4bf92f3577b34da6a3ce929d0e0e4736";
  for (testing::Process* process : {&cluster->server(), &cluster->enclave(), &cluster->accelerator(0)}) {
    EXPECT_TRUE(testing::WaitFor([&] { return process->Log().find(kTrace) != std::string::npos; })) << process->Log();
    EXPECT_EQ(process->Log().find("DEADBEEF"), std::string::npos) << "what is not valid goes nowhere";
  }
}

// What a process does about a SIGHUP, once its log has `count` lines of `event`.
::testing::AssertionResult ReloadsAs(testing::Process& process, const std::string& event, size_t count = 1) {
  process.Signal(SIGHUP);
  const bool said = testing::WaitFor([&] {
    size_t found = 0;
    const std::string log = process.Log();
    for (size_t at = log.find(event); at != std::string::npos; at = log.find(event, at + 1)) {
      ++found;
    }
    return found == count;
  });
  return said ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << process.Log();
}

TEST(ObservabilityTest, EveryDaemonReloadsAllOrNothingAndCountsItAlike) {
  const std::unique_ptr<Cluster> cluster = StartCluster("layer-partition");
  ASSERT_NE(cluster, nullptr);
  const std::tuple<testing::Process&, std::string, std::string> daemons[] = {
      {cluster->server(), "server", "limits: {max_message: 9MiB}"},
      {cluster->enclave(), "enclave0", "max_message: 9MiB"},
      {cluster->accelerator(0), "acc0", "limits: {max_message: 9MiB, drain_timeout: 1s}"}};
  for (const auto& [process, name, change] : daemons) {
    EXPECT_TRUE(ReloadsAs(process, " reloaded"));
    std::ofstream(cluster->dir().File(name + ".yaml"), std::ios::app) << change << "\n";
    EXPECT_TRUE(ReloadsAs(process, " reload_refused "));
    EXPECT_NE(process.Log().find("max_message' has changed, and only a restart changes it"), std::string::npos)
        << process.Log();
    const std::string page = PageOf(process);
    const std::string metric = absl::StrCat("shoji_", name == "acc0" ? "accelerator" : name.substr(0, name.find('0')),
                                            "_reloads_total{result=");
    EXPECT_EQ(SeriesIn(page, metric + "\"accepted\"}"), 1) << page;
    EXPECT_EQ(SeriesIn(page, metric + "\"refused\"}"), 1);
  }
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  EXPECT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel).ok());
}

// With the signals that steer a daemon blocked in those that this thread starts, as `env --block-signal` does.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_ = {};
};

TEST(ObservabilityTest, ASignalThatComesWhileADaemonStartsIsTakenOnceItHasStarted) {
  const std::unique_ptr<Cluster> cluster = StartCluster("layer-partition");
  ASSERT_NE(cluster, nullptr);
  const BlockedSignals blocked;
  const std::pair<std::function<void()>, std::function<testing::Process&()>> daemons[] = {
      {[&] { cluster->StartServer(); }, [&]() -> testing::Process& { return cluster->server(); }},
      {[&] { cluster->StartEnclave(); }, [&]() -> testing::Process& { return cluster->enclave(); }},
      {[&] { cluster->StartAccelerator(0); }, [&]() -> testing::Process& { return cluster->accelerator(0); }}};
  for (const auto& [start, daemon] : daemons) {
    start();
    EXPECT_TRUE(ReloadsAs(daemon(), " reloaded"));
    start();
    daemon().Signal(SIGTERM);
    EXPECT_EQ(daemon().Wait(std::chrono::seconds(30)), 0) << daemon().Log();
    start();
  }
  EXPECT_TRUE(cluster->WaitServing());
}

TEST(ObservabilityTest, APortForMetricsThatIsTakenIsFoundBeforeModelsAreLoaded) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only");
  ASSERT_NE(cluster, nullptr);
  const std::string file = cluster->dir().File("enclave0.yaml");
  std::ifstream in(file);
  std::string yaml((std::istreambuf_iterator<char>(in)), {});
  const size_t at = yaml.find("metrics:");
  ASSERT_NE(at, std::string::npos);
  yaml.replace(at, yaml.find('\n', at) - at, "metrics: {address: \"" + cluster->address() + "\"}");
  yaml.replace(yaml.find("enclave0.sock"), 13, "other.sock");
  // What would be found first, if models were read before.
  const size_t model = yaml.find(".onnx");
  ASSERT_NE(model, std::string::npos);
  const size_t path = yaml.rfind(' ', model) + 1;
  std::ofstream(cluster->dir().File("bad.onnx")) << "no model";
  yaml.replace(path, model + 5 - path, cluster->dir().File("bad.onnx"));
  std::ofstream(cluster->dir().File("other.yaml")) << yaml;
  const testing::CommandResult refused =
      testing::RunCommand({testing::BinDir() + "/shoji-enclave", "--config", cluster->dir().File("other.yaml")});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(
      refused.err.find("key 'metrics.address': cannot listen on " + cluster->address() + ": Address already in use"),
      std::string::npos)
      << refused.err;
  EXPECT_EQ(refused.err.find("null context"), std::string::npos) << refused.err;
}

TEST(ObservabilityTest, ReloadsAreCounted) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only");
  ASSERT_NE(cluster, nullptr);
  ASSERT_TRUE(cluster->Reload());
  cluster->WritePolicy(kModel, "model: cifar10_resnet\nsegments: nonsense\n");
  ASSERT_FALSE(cluster->Reload());
  const std::string page = PageOf(cluster->enclave());
  EXPECT_EQ(SeriesIn(page, "shoji_enclave_reloads_total{result=\"accepted\"}"), 1);
  EXPECT_EQ(SeriesIn(page, "shoji_enclave_reloads_total{result=\"refused\"}"), 1);
  EXPECT_EQ(SeriesIn(page, "shoji_enclave_keys_made_total"), 1) << "neither of them changed the manifest";
}

TEST(ObservabilityTest, MetricsAreOffUnlessAskedFor) {
  ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy("enclave-only"))};
  const auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_FALSE(testing::MetricsAddressIn((*cluster)->enclave().Log()).ok());
}

}  // namespace
}  // namespace shoji
