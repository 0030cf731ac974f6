// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji-enclave, the trusted process.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "enclave_worker/core/accelerator_registry.h"
#include "enclave_worker/core/enclave.h"
#include "enclave_worker/core/released_keys.h"
#include "enclave_worker/evidence/device_files.h"
#include "enclave_worker/evidence/evidence_source.h"
#include "enclave_worker/evidence/simulated_quoter.h"
#include "enclave_worker/hardening/hardening.h"
#include "enclave_worker/service/accelerator/accelerator_client.h"
#include "enclave_worker/service/enclave_config.h"
#include "enclave_worker/service/enclave_metrics.h"
#include "enclave_worker/service/enclave_service.h"
#include "enclave_worker/service/model_loader.h"
#include "enclave_worker/service/reload_thread.h"
#include "enclave_worker/service/worker_pool.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/crypto/secret_bytes.h"
#include "lib/metrics/exporter.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/event_loop.h"
#include "lib/rpc/listener_claim.h"
#include "lib/rpc/listener_identity.h"
#include "lib/rpc/server.h"
#include "lib/rpc/signal_waiter.h"
#include "lib/telemetry/log.h"

namespace shoji::enclave {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr std::chrono::milliseconds kTick(200);
constexpr std::chrono::seconds kEventLines(1);  // between lines of what happens often

struct Flags {
  std::string config;
  std::string address_file;
  bool check_config = false;
};

absl::StatusOr<std::vector<AcceleratorRegistry::Member>> ConnectAccelerators(const EnclaveConfig& config,
                                                                             ReadinessSignal& readiness,
                                                                             const Clock& clock,
                                                                             telemetry::Logger& logger) {
  std::vector<AcceleratorRegistry::Member> members;
  for (const AcceleratorConfig& accelerator : config.accelerators) {
    AcceleratorClient::Options options;
    options.name = accelerator.name;
    options.link.on_event = [&logger, name = accelerator.name](AcceleratorEvent event, absl::StatusCode code) {
      logger.Info("accelerator", {{"name", name}, {"event", NameOf(event)}, {"code", absl::StatusCodeToString(code)}});
    };
    options.link.limits.max_bytes = config.max_message_bytes;
    options.link.max_in_flight = config.num_workers;
    rpc::ChannelOptions channel_options;
    channel_options.max_message_bytes = config.max_message_bytes;
    ASSIGN_OR_RETURN(options.channel, rpc::CreateChannel(accelerator.endpoint, channel_options));
    AcceleratorRegistry::Member member;
    member.identity = IdentityOf(accelerator);
    ASSIGN_OR_RETURN(member.accelerator, AcceleratorClient::Create(std::move(options), readiness, clock));
    members.push_back(std::move(member));
  }
  return members;
}

// An accelerator that lied: each time a warning. One that is away, or a pool that runs empty, shows at every layer of
// every request: a line of each kind a second, with how many there were besides.
EventSink LogEventsTo(telemetry::Logger& logger, const Clock& clock) {
  struct Limits {
    explicit Limits(const Clock& clock) : offloads(clock, kEventLines), pools(clock, kEventLines) {}
    telemetry::RateLimit offloads;
    telemetry::RateLimit pools;
  };
  // Shared by the copies of the sink.
  const auto limits = std::make_shared<Limits>(clock);
  return [&logger, limits](const EnclaveEvent& event) {
    const std::initializer_list<telemetry::LogField> fields = {
        {"model", event.model}, {"layer", event.layer}, {"accelerator", event.accelerator}, {"count", event.count}};
    switch (event.kind) {
      case EnclaveEventKind::kCheckFailed:
        logger.Warning(NameOf(event.kind), fields);
        break;
      case EnclaveEventKind::kOffloadFailed:
        logger.Warning(limits->offloads, NameOf(event.kind), fields);
        break;
      case EnclaveEventKind::kPoolEmpty:
        logger.Warning(limits->pools, NameOf(event.kind), fields);
        break;
    }
  };
}

std::function<void(const Accelerator&, Offence, std::chrono::nanoseconds)> LogTermsTo(telemetry::Logger& logger) {
  return [&logger](const Accelerator& accelerator, Offence offence, std::chrono::nanoseconds term) {
    logger.Warning("quarantined", {{"accelerator", accelerator.name()},
                                   {"offence", NameOf(offence)},
                                   {"seconds", std::chrono::duration_cast<std::chrono::seconds>(term).count()}});
  };
}

void LogHardening(const HardeningMeasure& measure, telemetry::Logger& logger) {
  logger.Write(measure.on ? telemetry::LogLevel::kInfo : telemetry::LogLevel::kWarning, "hardening",
               std::vector<telemetry::LogField>{
                   {"measure", measure.name}, {"on", measure.on ? "yes" : "NO"}, {"detail", measure.detail}});
}

EvidenceCalls CallsOf(EvidenceInterface interface) {
  switch (interface) {
    case EvidenceInterface::kConfigfsTsm:
      return EvidenceCalls::kFolders;
    case EvidenceInterface::kSevGuest:
      return EvidenceCalls::kSevGuestIoctl;
    case EvidenceInterface::kSimulated:
    case EvidenceInterface::kGramine:
      break;
  }
  return EvidenceCalls::kNone;
}

// The source of evidence that the configuration asks for, and no other, once it has made a quote under the system calls
// that are left to it. A platform that cannot sign is found out here, not by the first client.
absl::StatusOr<std::unique_ptr<EvidenceProvider>> StartEvidence(const EvidenceConfig& config, DeviceFiles& files,
                                                                telemetry::Logger& logger) {
  ASSIGN_OR_RETURN(std::unique_ptr<EvidenceProvider> provider, config.platform.has_value()
                                                                   ? CreatePlatformProvider(*config.platform, files)
                                                                   : SimulatedQuoter::Create(config.key));
  LogHardening(NarrowTo(CallsOf(provider->interface())), logger);
  const std::string interface(NameOf(provider->interface()));
  // Over zeros, which bind no manifest: nobody can use it.
  if (const absl::Status made = provider->Generate(attest::ReportData{}).status(); !made.ok()) {
    return absl::Status(made.code(),
                        "evidence: no quote can be made through " + interface + ": " + std::string(made.message()));
  }
  logger.Info("evidence_source", {{"kind", NameOf(provider->kind())}, {"through", interface}});
  if (provider->kind() == attest::EvidenceKind::kSimulated) {
    logger.Warning("simulated_evidence",
                   {{"meaning", "no TEE protects this process; its operator can read every input"}});
  }
  return provider;
}

absl::StatusOr<std::unique_ptr<metrics::Exporter>> StartMetrics(const metrics::Options& options,
                                                                telemetry::Logger& logger) {
  ASSIGN_OR_RETURN(std::unique_ptr<metrics::Exporter> exporter, metrics::Exporter::Start(options));
  if (exporter->address().has_value()) {
    logger.Info("metrics", {{"address", exporter->address()->ToString()}});
  }
  return exporter;
}

// What a reload changes, and what says how it went.
struct Reloadable {
  const std::string& path;
  const config::FixedSettings& fixed;
  Quarantine& quarantine;
  const ModelLoader& loader;
  Enclave& enclave;
  rpc::Server& server;
  std::atomic<std::chrono::nanoseconds>& drain_timeout;
  RequestMetrics& metrics;
  telemetry::Logger& logger;
};

// Takes over models, files and policies, the listener's certificates, the drain timeout and the log's level, or
// nothing.
absl::StatusOr<Enclave::Reloaded> TryReload(const Reloadable& running) {
  ASSIGN_OR_RETURN(const EnclaveConfig config, LoadEnclaveConfig(running.path));
  RETURN_IF_ERROR(running.fixed.CheckUnchanged(config.fixed));
  ASSIGN_OR_RETURN(std::optional<rpc::ListenerFiles> files, rpc::LoadListenerFiles(config.listen.security));
  ASSIGN_OR_RETURN(const Enclave::Reloaded reloaded,
                   running.enclave.Reload([&] { return running.loader.Load(config); }));
  // Nothing fails from here on.
  if (files.has_value()) {
    running.server.ReplaceIdentity(0, *std::move(files));
  }
  running.drain_timeout = config.drain_timeout;
  running.logger.SetLevel(config.log.level);
  return reloaded;
}

void Reload(const Reloadable& running) {
  running.quarantine.ReleaseAll();
  const absl::StatusOr<Enclave::Reloaded> reloaded = TryReload(running);
  running.metrics.Reloaded(reloaded.ok() ? metrics::ReloadResult::kAccepted : metrics::ReloadResult::kRefused);
  if (reloaded.ok()) {
    const bool is_same = *reloaded == Enclave::Reloaded::kManifestKept;
    running.logger.Info("reloaded", {{"config", running.path}, {"manifest", is_same ? "unchanged" : "renewed"}});
  } else {
    running.logger.Error("reload_refused", {{"cause", std::string(reloaded.status().message())}});
  }
}

// Serves until SIGTERM or SIGINT.
void ServeUntilDrained(ReloadThread& reloads, Enclave& enclave, EnclaveService& service, rpc::SignalWaiter& signals) {
  while (true) {
    const std::optional<rpc::Signal> signal = signals.WaitFor(kTick);
    if (signal == rpc::Signal::kDrain) {
      return;
    }
    if (signal == rpc::Signal::kReload) {
      reloads.Ask();
    }
    enclave.Tick();
    service.Publish();
  }
}

absl::Status Run(const Flags& flags, rpc::SignalWaiter& signals, const std::vector<HardeningMeasure>& hardening) {
  ASSIGN_OR_RETURN(const EnclaveConfig config, LoadEnclaveConfig(flags.config));
  const RealClock clock;
  telemetry::Logger logger("shoji-enclave", config.log, clock);
  for (const HardeningMeasure& measure : hardening) {
    LogHardening(measure, logger);
  }
  RETURN_IF_ERROR(rpc::ServerCredentialsFor(config.listen.security).status());
  PosixDeviceFiles device_files;
  ASSIGN_OR_RETURN(const std::unique_ptr<EvidenceProvider> evidence,
                   StartEvidence(config.evidence, device_files, logger));
  // Before minutes may go into loading models, and once there are no more system calls to give up: it starts threads.
  std::unique_ptr<metrics::Exporter> exporter;
  if (!flags.check_config) {
    RETURN_IF_ERROR(rpc::ListenerClaim::Take(config.listen.address).status());
    ASSIGN_OR_RETURN(exporter, StartMetrics(config.metrics, logger));
  }

  ReadinessSignal readiness;
  ComputeSlots slots(
      config.compute_slots > 0 ? config.compute_slots : static_cast<int>(std::thread::hardware_concurrency()), clock);
  ASSIGN_OR_RETURN(std::vector<AcceleratorRegistry::Member> members,
                   ConnectAccelerators(config, readiness, clock, logger));
  AcceleratorRegistry accelerators(std::move(members));
  Quarantine quarantine(clock, {config.quarantine.first, config.quarantine.max, LogTermsTo(logger)});
  PadFiller filler(static_cast<size_t>(config.filler_threads));
  const ModelContext context{
      .accelerators = accelerators,
      .readiness = readiness,
      .slots = slots,
      .clock = clock,
      .quarantine = quarantine,
      .filler = filler,
      .events = LogEventsTo(logger, clock),
      .threads_per_run = config.threads_per_run,
      // Half of what a message may have: the rest is for what goes around the tensors.
      .max_batch_bytes = std::min<uint64_t>(ModelContext::kMaxBatchBytes, config.max_message_bytes / 2),
      .offload_timeout = config.offload_timeout};
  ReleasedKeys keys;
  const ModelLoader loader(context, keys, logger, config.max_message_bytes);
  ASSIGN_OR_RETURN(Served served, loader.Load(config));
  ASSIGN_OR_RETURN(const std::unique_ptr<Enclave> enclave,
                   Enclave::Create({&clock, config.sessions, SHOJI_VERSION, &keys}, std::move(served)));
  if (flags.check_config) {
    std::fputs(config::ValidText(flags.config).c_str(), stdout);
    return absl::OkStatus();
  }

  RequestMetrics request_metrics(*exporter);
  WorkerPool workers(config.num_workers, config.queue);
  EnclaveService service({.enclave = *enclave,
                          .evidence = *evidence,
                          .workers = workers,
                          .clock = clock,
                          .logger = logger,
                          .software_version = SHOJI_VERSION,
                          .evidence_limits = config.evidence.limits,
                          .metrics = &request_metrics});
  const EnclaveSources sources = {.enclave = *enclave,
                                  .workers = workers,
                                  .accelerators = accelerators,
                                  .quarantine = quarantine,
                                  .evidence = [&service] { return service.evidence_counts(); },
                                  .software_version = SHOJI_VERSION};
  const metrics::Exporter::ScopedCollector collecting(*exporter, [&sources] { return CollectFrom(sources); });
  rpc::ServerOptions server_options;
  server_options.listeners = {config.listen};
  server_options.max_message_bytes = config.max_message_bytes;
  rpc::AsyncCalls calls;
  calls.num_loops = rpc::NumEventLoops();
  calls.coalescing.wait = config.coalesce;
  calls.coalescing.events_per_call = 3;  // accepted, done, finished
  ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                   rpc::Server::Start(server_options, {service.service()}, &calls));
  // Before the server's end, and after its shutdown: also where an error ends this early.
  const auto stop_serving = absl::MakeCleanup([&server, &calls, &workers] {
    server->Shutdown(std::chrono::milliseconds(0));
    calls.loops.clear();
    workers.Stop();  // one that has answered may still have a line to log
  });
  service.Serve(calls.loops);
  if (!flags.address_file.empty()) {
    RETURN_IF_ERROR(rpc::WriteAddressFile(flags.address_file, server->addresses()));
  }
  logger.Info("serving", {{"address", server->addresses()[0].ToString()}, {"version", SHOJI_VERSION}});
  std::atomic<std::chrono::nanoseconds> drain_timeout = config.drain_timeout;
  const Reloadable running = {.path = flags.config,
                              .fixed = config.fixed,
                              .quarantine = quarantine,
                              .loader = loader,
                              .enclave = *enclave,
                              .server = *server,
                              .drain_timeout = drain_timeout,
                              .metrics = request_metrics,
                              .logger = logger};
  ReloadThread reloads([&running] { Reload(running); });
  ServeUntilDrained(reloads, *enclave, service, signals);
  logger.Info("draining", {});
  service.Drain();
  service.EndWatches();
  server->Shutdown(std::chrono::duration_cast<std::chrono::milliseconds>(drain_timeout.load()));
  logger.Info("stopped", {});
  return absl::OkStatus();
}

// What is wrong with the configuration, or with a file that it names, is the operator's to correct.
int ExitCodeFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
      return kExitUsage;
    default:
      return kExitFailure;
  }
}

}  // namespace
}  // namespace shoji::enclave

int main(int argc, char** argv) {
  using namespace shoji::enclave;  // NOLINT(google-build-using-namespace): main has no namespace of its own
  // Before anything is read or any thread starts; locking memory before hardening, as it may have to raise a limit.
  shoji::rpc::SignalWaiter signals;
  absl::Status status = shoji::crypto::InitializeSecretMemory();
  const std::vector<HardeningMeasure> hardening = HardenProcess();
  Flags flags;
  CLI::App app("The trusted process of Shoji: decrypts requests, runs or masks its part of the network.");
  app.add_option("--config", flags.config, "Configuration file (docs/operations.md)")->required();
  app.add_option("--address-file", flags.address_file, "Write the address it listens on to this file");
  app.add_flag("--check-config", flags.check_config, "Check the configuration and everything it names, then exit");
  app.set_version_flag("--version", SHOJI_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : kExitUsage;
  }
  if (status.ok()) {
    status = Run(flags, signals, hardening);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "shoji-enclave: %s\n", std::string(status.message()).c_str());
    return ExitCodeFor(status.code());
  }
  return 0;
}
