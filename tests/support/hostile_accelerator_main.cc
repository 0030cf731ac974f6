// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji-hostile-accelerator: an accelerator that computes as shoji-accelerator does and then lies about linear layers.
//   shoji-hostile-accelerator --listen unix:/a.sock --attack random --one-in 3 --seed 7 --status FILE
// It can stand in for shoji-accelerator (--config, --address-file). Files hostile_control.h describes; without
// --control and --status they are the address file's name and .control, .status, and with no order it is honest.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "gpu_worker/config.h"
#include "gpu_worker/cpu/cpu_backend.h"
#include "gpu_worker/tenant_table.h"
#include "gpu_worker/work_queue.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/rpc/health.h"
#include "lib/rpc/server.h"
#include "lib/rpc/signal_waiter.h"
#include "lib/telemetry/log.h"
#include "tests/support/hostile_service.h"

namespace shoji::testing {
namespace {

struct Flags {
  std::string config;
  std::string listen;
  std::string address_file;
  std::string attack = "none";
  uint64_t one_in = 1;
  uint64_t seed = 1;
  std::string control;
  std::string status;
  bool record = false;
  size_t huge_bytes = Attacker::Options().huge_bytes;
};

absl::StatusOr<accelerator::Config> ReadConfig(const Flags& flags) {
  if (flags.config.empty() == flags.listen.empty()) {
    return absl::InvalidArgumentError("give either --config or --listen");
  }
  ASSIGN_OR_RETURN(const config::Document document,
                   flags.listen.empty()
                       ? config::Document::Load(flags.config)
                       : config::Document::Parse("listen: {address: \"" + flags.listen + "\"}\n", "--listen"));
  return accelerator::ReadConfig(document);
}

absl::StatusOr<Attacker::Options> AttackerOptions(const Flags& flags) {
  Attacker::Options options;
  options.seed = flags.seed;
  ASSIGN_OR_RETURN(options.order, ParseOrder(flags.attack + " " + std::to_string(flags.one_in)));
  const bool beside = !flags.address_file.empty();
  options.control_file = flags.control.empty() && beside ? flags.address_file + ".control" : flags.control;
  options.status_file = flags.status.empty() && beside ? flags.address_file + ".status" : flags.status;
  options.huge_bytes = flags.huge_bytes;
  return options;
}

absl::Status Serve(const Flags& flags) {
  ASSIGN_OR_RETURN(const accelerator::Config config, ReadConfig(flags));
  ASSIGN_OR_RETURN(const Attacker::Options options, AttackerOptions(flags));
  rpc::SignalWaiter signals;  // before any thread
  const RealClock clock;
  telemetry::Logger log("shoji-hostile-accelerator", config.log, clock);
  const std::unique_ptr<accelerator::Backend> backend =
      accelerator::CreateCpuBackend({.num_threads = config.threads_per_run, .isa = config.kernel});
  Attacker attacker(options);
  accelerator::WorkQueue queue({.num_threads = config.num_workers, .max_queued = config.max_queue});
  accelerator::TenantTable tenants(config.tenants, {.backend = *backend, .queue = queue, .clock = clock, .log = log});
  ExecutionRecorder recorder(flags.record ? flags.address_file + ".record" : "");
  HostileService service(tenants, attacker, recorder, clock);
  rpc::HealthService health({"shoji.internal.v1.AcceleratorService"});
  rpc::ServerOptions server_options;
  server_options.listeners = {config.listen};
  server_options.max_message_bytes = std::numeric_limits<int>::max();  // for the huge ones
  ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                   rpc::Server::Start(server_options, {&service, health.service()}));
  health.Set(rpc::Health::kServing);
  for (const rpc::Address& address : server->addresses()) {
    log.Info("listening", {{"address", address.ToString()}, {"attack", flags.attack}, {"seed", flags.seed}});
  }
  if (!flags.address_file.empty()) {
    RETURN_IF_ERROR(rpc::WriteAddressFile(flags.address_file, server->addresses()));
  }
  while (signals.Wait() != rpc::Signal::kDrain) {
  }
  health.Shutdown();
  server->Shutdown(std::chrono::milliseconds(0));
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Computes as shoji-accelerator does, and lies about linear layers. For tests.");
  app.add_option("--config", flags.config, "Configuration of a shoji-accelerator")->type_name("FILE");
  app.add_option("--listen", flags.listen, "Address, instead of --config")->type_name("ADDRESS");
  app.add_option("--address-file", flags.address_file, "Write the address listened on here, once ready");
  app.add_option("--attack", flags.attack, "none, random, or the name of one");
  app.add_option("--one-in", flags.one_in, "Attack one in N executions");
  app.add_option("--seed", flags.seed, "Of all that is random");
  app.add_option("--control", flags.control, "File that, while it exists, says what to do instead");
  app.add_option("--status", flags.status, "File to count attacks in");
  app.add_flag("--record", flags.record,
               "Append digests of every execution's input to the address file's name and .record");
  app.add_option("--huge-bytes", flags.huge_bytes, "Size of a huge answer");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = Serve(flags); !status.ok()) {
    std::fprintf(stderr, "shoji-hostile-accelerator: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace shoji::testing

int main(int argc, char** argv) { return shoji::testing::Main(argc, argv); }
