// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji-server: the public front end. Exit status: 0 after a drain, 1 when it cannot serve, 2 for a bad configuration.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/rpc/runtime.h"
#include "lib/rpc/server.h"
#include "lib/rpc/signal_waiter.h"
#include "lib/telemetry/log.h"
#include "server/config.h"
#include "server/front_end.h"
#include "server/version.h"

namespace shoji::server {
namespace {

constexpr int kExitCannotServe = 1;
constexpr int kExitBadConfig = 2;

struct Arguments {
  std::string config_file;
  std::string address_file;
  bool is_check_only = false;
};

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Load(path));
  return ReadConfig(document);
}

int Fail(const absl::Status& status, int exit_status) {
  std::fprintf(stderr, "shoji-server: %s\n", std::string(status.message()).c_str());
  return exit_status;
}

// All that the file says now, or nothing.
void Reload(const Arguments& arguments, FrontEnd& front_end, telemetry::Logger& logger) {
  const absl::StatusOr<Config> config = LoadConfig(arguments.config_file);
  if (!config.ok()) {
    front_end.CountRefusedReload();
  }
  const absl::Status status = config.ok() ? front_end.Reload(*config) : config.status();
  if (status.ok()) {
    logger.Info("reloaded");
  } else {
    logger.Error("reload_refused", {{"cause", std::string(status.message())}});
  }
}

// Serves until a signal asks to drain.
void AwaitDrain(const Arguments& arguments, rpc::SignalWaiter& signals, FrontEnd& front_end,
                telemetry::Logger& logger) {
  while (signals.Wait() != rpc::Signal::kDrain) {
    Reload(arguments, front_end, logger);
  }
}

int Serve(const Config& config, const Arguments& arguments, rpc::SignalWaiter& signals) {
  const RealClock clock;
  telemetry::Logger logger("shoji-server", config.log, clock);
  absl::StatusOr<std::unique_ptr<FrontEnd>> front_end = FrontEnd::Start(config, clock, logger);
  if (!front_end.ok()) {
    return Fail(front_end.status(), kExitCannotServe);
  }
  if (!config.tokens_file.has_value() && !config.listen.address.IsLocal()) {
    logger.Warning("no_tokens", {{"detail", "whoever reaches the port may call; set auth.tokens_file"}});
  }
  logger.Info("listening", {{"address", (*front_end)->addresses().front().ToString()},
                            {"version", kSoftwareVersion},
                            {"enclaves", config.enclaves.size()}});
  if (const std::optional<rpc::Address>& metrics = (*front_end)->metrics_address()) {
    logger.Info("metrics", {{"address", metrics->ToString()}});
  }
  if (!arguments.address_file.empty()) {
    const absl::Status status = rpc::WriteAddressFile(arguments.address_file, (*front_end)->addresses());
    if (!status.ok()) {
      return Fail(status, kExitCannotServe);
    }
  }
  AwaitDrain(arguments, signals, **front_end, logger);
  logger.Info("draining", {{"in_flight", (*front_end)->num_in_flight()}, {"queued", (*front_end)->num_queued()}});
  const bool is_clean = (*front_end)->Drain() == FrontEnd::Drained::kAll;
  logger.Info("stopped", {{"drained", is_clean ? "all" : "some calls were cut off"}});
  return 0;
}

int Main(int argc, char** argv) {
  rpc::SignalWaiter signals;
  rpc::RaiseFileLimit();
  Arguments arguments;
  CLI::App app("The public front end of Shoji: admits requests and routes them to enclaves.", "shoji-server");
  app.add_option("--config", arguments.config_file, "Configuration (YAML)")->required();
  app.add_flag("--check-config", arguments.is_check_only, "Check the configuration and the files it names, then exit");
  app.add_option("--address-file", arguments.address_file, "Write the address that is listened on to this file");
  app.set_version_flag("--version", std::string("shoji-server ") + kSoftwareVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : kExitBadConfig;
  }
  const absl::StatusOr<Config> config = LoadConfig(arguments.config_file);
  if (!config.ok()) {
    return Fail(config.status(), kExitBadConfig);
  }
  if (const absl::Status status = CheckConfig(*config); !status.ok()) {
    return Fail(status, kExitBadConfig);
  }
  if (arguments.is_check_only) {
    std::fputs(config::ValidText(arguments.config_file).c_str(), stdout);
    return 0;
  }
  return Serve(*config, arguments, signals);
}

}  // namespace
}  // namespace shoji::server

int main(int argc, char** argv) { return shoji::server::Main(argc, argv); }
