// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "gpu_worker/accelerator_server.h"
#include "gpu_worker/config.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/channel.h"
#include "tests/unit/gpu_worker/fake_backend.h"
#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::accelerator {
namespace {

using ::testing::HasSubstr;
using Kind = rpc::TransportSecurity::Kind;

class AcceleratorReloadTest : public ::testing::Test {
 protected:
  AcceleratorReloadTest() {
    for (const std::string ca : {"ca", "other_ca"}) {
      rpc::MakeCertificate(folder_.path(), ca, "");
    }
    rpc::MakeCertificate(folder_.path(), "server", "ca");
    rpc::MakeCertificate(folder_.path(), "renewed", "other_ca");
    rpc::MakeCertificate(folder_.path(), "caller", "ca");
  }

  absl::StatusOr<Config> Read(const std::string& more) const {
    const std::string listen =
        "listen: {address: '127.0.0.1:0', tls: {certificate: server.pem, private_key: server.key, client_ca: "
        "ca.pem}}\n";
    ASSIGN_OR_RETURN(const config::Document document,
                     config::Document::Parse(listen + more, folder_.File("accelerator.yaml")));
    return ReadConfig(document);
  }
  void Start(const std::string& more) {
    const absl::StatusOr<Config> config = Read(more);
    ASSERT_TRUE(config.ok()) << config.status();
    auto server = AcceleratorServer::Start(*config, std::make_unique<testing::FakeBackend>(), clock_, log_, *exporter_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  absl::Status Reload(const std::string& more) {
    ASSIGN_OR_RETURN(const Config config, Read(more));
    return server_->Reload(config);
  }
  std::string ReloadError(const std::string& more) { return std::string(Reload(more).message()); }
  // Whether a caller who trusts `ca` alone is answered, over a connection of its own.
  bool Answers(const std::string& ca) {
    rpc::Endpoint endpoint{.address = server_->addresses()[0], .security = {}};
    endpoint.security.kind = Kind::kMutualTls;
    endpoint.security.certificate_file = folder_.File("caller.pem");
    endpoint.security.private_key_file = folder_.File("caller.key");
    endpoint.security.ca_file = folder_.File(ca + ".pem");
    const auto channel = rpc::CreateChannel(endpoint, {});
    EXPECT_TRUE(channel.ok()) << channel.status();
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(*channel)->Check(&context, {}, &response).ok();
  }
  double Reloads(const std::string& result) {
    for (const prometheus::MetricFamily& family : exporter_->registry().Collect()) {
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (family.name == "shoji_accelerator_reloads_total" && metric.label.at(0).value == result) {
          return metric.counter.value;
        }
      }
    }
    ADD_FAILURE() << "no reloads are counted as " << result;
    return 0;
  }

  const rpc::ScratchFolder folder_;
  RealClock clock_;
  telemetry::Logger log_{"test", {.level = telemetry::LogLevel::kError}, clock_};
  const std::unique_ptr<metrics::Exporter> exporter_ = *metrics::Exporter::Start({});
  std::unique_ptr<AcceleratorServer> server_;
};

TEST_F(AcceleratorReloadTest, TakesTheCertificateThatTheFilesHoldNow) {
  Start("");
  EXPECT_TRUE(Answers("ca"));
  EXPECT_FALSE(Answers("other_ca"));
  std::filesystem::copy_file(folder_.File("renewed.pem"), folder_.File("server.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(ReloadError(""), HasSubstr("server.key")) << "the key is another certificate's";
  EXPECT_TRUE(Answers("ca")) << "the old certificate is in force";
  std::filesystem::copy_file(folder_.File("renewed.key"), folder_.File("server.key"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(ReloadError(""), "");
  EXPECT_TRUE(Answers("other_ca"));
  EXPECT_FALSE(Answers("ca"));
  EXPECT_EQ(Reloads("accepted"), 1);
  EXPECT_EQ(Reloads("refused"), 1);
}

TEST_F(AcceleratorReloadTest, TakesLimitsQuotasAndTheLogsLevel) {
  Start("");
  EXPECT_EQ(ReloadError("limits: {queue: 3, drain_timeout: 1s}\nlog: {level: error}\n"
                        "quotas: {tenants: 3, models: 4, model_bytes: 5MiB, memory: 6MiB, executions: 7, "
                        "execution_bytes: 8MiB}\n"),
            "");
  EXPECT_EQ(Reloads("accepted"), 1);
}

TEST_F(AcceleratorReloadTest, RefusesByNameWhatOnlyARestartChangesAndTakesNothingElse) {
  Start("");
  const std::pair<std::string, std::string> changes[] = {{"compute: {backend: cpu}", "compute.backend"},
                                                         {"compute: {device: 1}", "compute.device"},
                                                         {"compute: {workers: 77}", "compute.workers"},
                                                         {"compute: {threads: 7}", "compute.threads"},
                                                         {"compute: {kernel: portable}", "compute.kernel"},
                                                         {"limits: {max_message: 7MiB}", "limits.max_message"},
                                                         {"quotas: {model_memory: 7MiB}", "quotas.model_memory"},
                                                         {"quotas: {model_macs: 7}", "quotas.model_macs"},
                                                         {"metrics: {address: '127.0.0.1:1'}", "metrics.address"},
                                                         {"log: {format: json}", "log.format"}};
  double num_refused = 0;
  for (const auto& [yaml, key] : changes) {
    if (key == "compute.kernel" && kernels::ring::BestIsa() == kernels::ring::Isa::kPortable) {
      continue;  // it is what there is
    }
    EXPECT_THAT(ReloadError(yaml + "\n"), ::testing::AllOf(HasSubstr("accelerator.yaml:2: key '"),
                                                           HasSubstr("'" + key + "' has changed, and only a restart")));
    EXPECT_EQ(Reloads("refused"), ++num_refused) << key;
  }
  EXPECT_EQ(Reloads("accepted"), 0);
  EXPECT_TRUE(Answers("ca"));
}

}  // namespace
}  // namespace shoji::accelerator
