// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji-accelerator: runs, for enclaves, the parts of networks that a policy lets it see.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/accelerator_server.h"
#include "gpu_worker/choose_backend.h"
#include "gpu_worker/config.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/kernels/ring/linear.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/server.h"
#include "lib/rpc/signal_waiter.h"
#include "lib/telemetry/log.h"

namespace shoji::accelerator {
namespace {

constexpr int kCannotServe = 1;
constexpr int kBadStart = 2;

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Load(path));
  ASSIGN_OR_RETURN(Config config, ReadConfig(document));
  RETURN_IF_ERROR(rpc::ServerCredentialsFor(config.listen.security).status());
  return config;
}

int Fail(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "shoji-accelerator: %s\n", std::string(status.message()).c_str());
  return exit_code;
}

// Takes over all that the file says now, or nothing. What the drain at the end may take, from now on.
std::chrono::nanoseconds Reload(const std::string& path, std::chrono::nanoseconds drain_timeout,
                                AcceleratorServer& server, telemetry::Logger& log) {
  const absl::StatusOr<Config> config = LoadConfig(path);
  if (!config.ok()) {
    server.CountRefusedReload();
  }
  const absl::Status status = config.ok() ? server.Reload(*config) : config.status();
  if (!status.ok()) {
    log.Error("reload_refused", {{"cause", std::string(status.message())}});
    return drain_timeout;
  }
  log.Info("reloaded", {{"config", path}});
  return config->drain_timeout;
}

int Serve(const Config& config, const std::string& config_file, const std::string& address_file,
          rpc::SignalWaiter& signals) {
  // Kernels that are nearly always right would go unnoticed in the clear, and get this host quarantined when masked.
  if (const absl::Status exact = kernels::ring::SelfTest(config.kernel); !exact.ok()) {
    return Fail(exact, kCannotServe);
  }
  const RealClock clock;
  telemetry::Logger log("shoji-accelerator", config.log, clock);
  const absl::StatusOr<std::unique_ptr<metrics::Exporter>> exporter = metrics::Exporter::Start(config.metrics);
  if (!exporter.ok()) {
    return Fail(exporter.status(), kCannotServe);
  }
  if ((*exporter)->address().has_value()) {
    log.Info("metrics", {{"address", (*exporter)->address()->ToString()}});
  }
  // A device that failed stays so for this process: it stops as if asked to, and says that it failed.
  std::atomic<bool> lost = false;
  absl::StatusOr<std::unique_ptr<Backend>> backend = ChooseBackend(config, log, clock, [&lost] {
    lost = true;
    static_cast<void>(::kill(::getpid(), SIGTERM));
  });
  if (!backend.ok()) {
    return Fail(backend.status(), kCannotServe);
  }
  absl::StatusOr<std::unique_ptr<AcceleratorServer>> server =
      AcceleratorServer::Start(config, *std::move(backend), clock, log, **exporter);
  if (!server.ok()) {
    return Fail(server.status(), kCannotServe);
  }
  for (const rpc::Address& address : (*server)->addresses()) {
    log.Info("listening", {{"address", address.ToString()},
                           {"version", SHOJI_VERSION},
                           {"backend", (*server)->backend_name()},
                           {"workers", config.num_workers},
                           {"threads", config.threads_per_run},
                           {"kernel", kernels::ring::NameOf(config.kernel)}});
  }
  if (!address_file.empty()) {
    if (absl::Status status = rpc::WriteAddressFile(address_file, (*server)->addresses()); !status.ok()) {
      return Fail(status, kCannotServe);
    }
  }
  std::chrono::nanoseconds drain_timeout = config.drain_timeout;
  while (signals.Wait() != rpc::Signal::kDrain) {
    drain_timeout = Reload(config_file, drain_timeout, **server, log);
  }
  log.Info("draining");
  if ((*server)->Drain(drain_timeout)) {
    log.Info("stopped");
  } else {
    log.Warning("stopped", {{"because", "drain_timeout passed before everything was answered"}});
  }
  return lost ? kCannotServe : 0;
}

}  // namespace
}  // namespace shoji::accelerator

int main(int argc, char** argv) {
  // Before any thread; and a SIGHUP that comes while the kernels test themselves ends nothing.
  shoji::rpc::SignalWaiter signals;
  CLI::App app("Runs, for enclaves, the parts of networks that a policy lets it see. Not trusted.",
               "shoji-accelerator");
  std::string config_file;
  std::string address_file;
  bool check_only = false;
  app.add_option("--config", config_file, "YAML configuration file")->required()->type_name("FILE");
  app.add_flag("--check-config", check_only, "Check the configuration and exit");
  app.add_option("--address-file", address_file, "Write the address listened on here, once ready")->type_name("FILE");
  app.set_version_flag("--version", std::string("shoji-accelerator ") + SHOJI_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : shoji::accelerator::kBadStart;
  }
  const absl::StatusOr<shoji::accelerator::Config> config = shoji::accelerator::LoadConfig(config_file);
  if (!config.ok()) {
    return shoji::accelerator::Fail(config.status(), shoji::accelerator::kBadStart);
  }
  if (check_only) {
    std::fputs(shoji::config::ValidText(config_file).c_str(), stdout);
    return 0;
  }
  return shoji::accelerator::Serve(*config, config_file, address_file, signals);
}
