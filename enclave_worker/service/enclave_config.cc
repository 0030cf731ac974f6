// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/enclave_config.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/graph/model_file.h"
#include "lib/policy_file/policy_file.h"
#include "lib/preprocessing_file/preprocessing_file.h"
#include "lib/ranges_file/model_ranges.h"
#include "lib/ranges_file/ranges_file.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/pem.h"
#include "lib/tensor/shape_text.h"

namespace shoji::enclave {
namespace {

constexpr size_t kMaxLabelBytes = size_t{4} << 20;

absl::StatusOr<std::chrono::seconds> Seconds(const config::Fields& fields, std::string_view key,
                                             std::chrono::seconds value) {
  ASSIGN_OR_RETURN(const std::chrono::nanoseconds read,
                   fields.DurationOr(key, value, std::chrono::seconds(1), std::chrono::hours(24 * 365)));
  return std::chrono::duration_cast<std::chrono::seconds>(read);
}

// The path of a file, which must be there.
absl::StatusOr<std::string> ReadableFile(const config::Fields& fields, std::string_view key) {
  ASSIGN_OR_RETURN(const config::Node node, fields.Require(key));
  ASSIGN_OR_RETURN(std::string path, node.Path());
  if (::access(path.c_str(), R_OK) != 0) {
    return node.Error("cannot open " + path + ": " + std::strerror(errno));
  }
  return path;
}

absl::StatusOr<std::string> ReadableFileOrNone(const config::Fields& fields, std::string_view key) {
  return fields.Has(key) ? ReadableFile(fields, key) : std::string();
}

absl::Status ReadBatching(const config::Fields& model, BatchingOptions& batching) {
  const std::optional<config::Node> node = model.Find("batching");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"max_batch", "max_delay"}));
  ASSIGN_OR_RETURN(batching.max_batch, fields.Uint64Or("max_batch", batching.max_batch, 1, BatchingOptions::kMaxBatch));
  ASSIGN_OR_RETURN(batching.max_delay, fields.DurationOr("max_delay", batching.max_delay, std::chrono::microseconds(1),
                                                         std::chrono::seconds(1)));
  return absl::OkStatus();
}

absl::Status ReadInputShape(const config::Fields& fields, ModelConfig& model) {
  const std::optional<config::Node> node = fields.Find("input_shape");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  if (!model.preprocessing.empty()) {
    return node->Error("'preprocessing' says already what shape the model is given; leave one of them out");
  }
  ASSIGN_OR_RETURN(const std::string text, node->String());
  absl::StatusOr<Shape> shape = ParseShape(text);
  if (!shape.ok()) {
    return node->Error(std::string(shape.status().message()));
  }
  model.input_shape = *std::move(shape);
  return absl::OkStatus();
}

absl::StatusOr<ModelConfig> ReadModel(const config::Node& node) {
  ASSIGN_OR_RETURN(const config::Fields fields, node.Map({"name", "file", "labels", "preprocessing", "policy", "ranges",
                                                          "input_shape", "batching"}));
  ModelConfig model;
  model.where = node.Where();
  ASSIGN_OR_RETURN(model.name, fields.String("name"));
  ASSIGN_OR_RETURN(model.file, ReadableFile(fields, "file"));
  ASSIGN_OR_RETURN(model.labels, ReadableFileOrNone(fields, "labels"));
  ASSIGN_OR_RETURN(model.preprocessing, ReadableFileOrNone(fields, "preprocessing"));
  ASSIGN_OR_RETURN(model.policy, ReadableFileOrNone(fields, "policy"));
  ASSIGN_OR_RETURN(model.ranges, ReadableFileOrNone(fields, "ranges"));
  if (const std::string beside = ranges_file::RangesPathOf(model.file);
      model.ranges.empty() && ::access(beside.c_str(), R_OK) == 0) {
    model.ranges = beside;
  }
  RETURN_IF_ERROR(ReadInputShape(fields, model));
  RETURN_IF_ERROR(ReadBatching(fields, model.batching));
  return model;
}

absl::StatusOr<AcceleratorConfig> ReadAccelerator(const config::Node& node) {
  ASSIGN_OR_RETURN(const config::Fields fields, node.Map({"name", "operator", "address", "tls", "insecure_plaintext"}));
  AcceleratorConfig accelerator;
  ASSIGN_OR_RETURN(accelerator.name, fields.String("name"));
  ASSIGN_OR_RETURN(accelerator.operator_name, fields.String("operator"));
  ASSIGN_OR_RETURN(accelerator.endpoint, rpc::ReadEndpoint(fields, rpc::Role::kConnect, rpc::Exposure::kInternal));
  if (const std::string& file = accelerator.endpoint.security.server_key_file; !file.empty()) {
    absl::StatusOr<Bytes> public_key = rpc::LoadPemPublicKey(file);
    RETURN_IF_ERROR(node.Annotate(public_key.status()));
    // One reading for what the plan states and for what the link demands.
    accelerator.endpoint.security.server_public_key = *std::move(public_key);
  }
  return accelerator;
}

absl::Status ReadQuarantine(const config::Fields& top, QuarantineConfig& quarantine) {
  const std::optional<config::Node> node = top.Find("quarantine");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"first", "max"}));
  constexpr std::chrono::milliseconds kShortest(1);
  constexpr std::chrono::hours kLongest(24 * 365);
  ASSIGN_OR_RETURN(quarantine.first, fields.DurationOr("first", quarantine.first, kShortest, kLongest));
  ASSIGN_OR_RETURN(quarantine.max, fields.DurationOr("max", quarantine.max, kShortest, kLongest));
  if (quarantine.max < quarantine.first) {
    return node->Error("'max' is shorter than 'first'");
  }
  return absl::OkStatus();
}

absl::Status ReadMasking(const config::Fields& top, EnclaveConfig& config) {
  const std::optional<config::Node> node = top.Find("masking");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"filler_threads"}));
  ASSIGN_OR_RETURN(const int64_t threads, fields.Int64Or("filler_threads", config.filler_threads, 0, 1024));
  config.filler_threads = static_cast<int>(threads);
  return absl::OkStatus();
}

// The keys of the sources that the platform has: where its files are, and as what an SEV-SNP guest reports itself.
absl::StatusOr<PlatformOptions> ReadPlatform(EvidenceSource source, const config::Node& node,
                                             const config::Fields& fields) {
  constexpr uint32_t kMaxVmpl = 3;
  PlatformOptions out;
  out.source = source;
  if (fields.Has("key")) {
    return node.Error("'key' is for simulated evidence; " + std::string(NameOf(source)) + " is signed by the platform");
  }
  if (fields.Has("path")) {
    if (source == EvidenceSource::kAuto) {
      return node.Error("'path' takes a kind that names the interface: gramine, configfs-tsm or sev-guest");
    }
    ASSIGN_OR_RETURN(const config::Node path, fields.Require("path"));
    ASSIGN_OR_RETURN(out.gramine.root, path.Path());
    out.tsm.root = out.sev_guest.device = out.gramine.root;
  }
  if (fields.Has("vmpl")) {
    if (source == EvidenceSource::kGramine) {
      return node.Error("'vmpl' is for SEV-SNP; an enclave under Gramine has none");
    }
    ASSIGN_OR_RETURN(const uint64_t vmpl, fields.Uint64Or("vmpl", 0, 0, kMaxVmpl));
    out.sev_guest.vmpl = static_cast<uint32_t>(vmpl);
    out.tsm.privlevel = out.sev_guest.vmpl;
  }
  return out;
}

absl::Status ReadEvidence(const config::Fields& top, EvidenceConfig& evidence) {
  ASSIGN_OR_RETURN(const config::Node node, top.Require("evidence"));
  ASSIGN_OR_RETURN(const config::Fields fields,
                   node.Map({"kind", "key", "path", "vmpl", "quotes_per_second", "queue"}));
  // Simulated evidence has no source: it is what is asked for by name, and nothing else ever leads to it.
  using Source = std::optional<EvidenceSource>;
  static constexpr std::array<std::pair<std::string_view, Source>, 5> kKinds = {
      {{"simulated", std::nullopt},
       {"auto", EvidenceSource::kAuto},
       {"gramine", EvidenceSource::kGramine},
       {"configfs-tsm", EvidenceSource::kConfigfsTsm},
       {"sev-guest", EvidenceSource::kSevGuest}}};
  ASSIGN_OR_RETURN(const Source source, fields.Enum<Source>("kind", kKinds));
  if (source.has_value()) {
    ASSIGN_OR_RETURN(evidence.platform, ReadPlatform(*source, node, fields));
  } else if (fields.Has("path") || fields.Has("vmpl")) {
    return node.Error("'path' and 'vmpl' are for evidence of the platform; simulated evidence has a 'key'");
  } else {
    ASSIGN_OR_RETURN(evidence.key, ReadableFile(fields, "key"));
  }
  ASSIGN_OR_RETURN(evidence.limits.quotes_per_second,
                   fields.DoubleOr("quotes_per_second", evidence.limits.quotes_per_second, 0.01, 1000));
  ASSIGN_OR_RETURN(evidence.limits.max_waiting,
                   fields.Uint64Or("queue", evidence.limits.max_waiting, 1, EvidenceQueue::kMaxWaiting));
  return absl::OkStatus();
}

absl::Status ReadSessions(const config::Fields& top, channel::ResponderOptions& sessions) {
  const std::optional<config::Node> node = top.Find("sessions");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields,
                   node->Map({"rotate_after", "grace", "max_per_key", "max_live", "idle_timeout", "replay_window"}));
  ASSIGN_OR_RETURN(sessions.rotate_after, Seconds(fields, "rotate_after", sessions.rotate_after));
  ASSIGN_OR_RETURN(sessions.grace, Seconds(fields, "grace", sessions.grace));
  ASSIGN_OR_RETURN(sessions.idle_timeout, Seconds(fields, "idle_timeout", sessions.idle_timeout));
  ASSIGN_OR_RETURN(sessions.max_sessions_per_key,
                   fields.Uint64Or("max_per_key", sessions.max_sessions_per_key, 1, 10'000'000));
  ASSIGN_OR_RETURN(sessions.max_live_sessions, fields.Uint64Or("max_live", sessions.max_live_sessions, 1,
                                                               channel::ResponderOptions::kMaxLiveSessions));
  ASSIGN_OR_RETURN(sessions.replay_window_size,
                   fields.Uint64Or("replay_window", sessions.replay_window_size, 64, 65536));
  return absl::OkStatus();
}

absl::Status ReadWork(const config::Fields& top, EnclaveConfig& config) {
  const std::optional<config::Node> node = top.Find("work");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields,
                   node->Map({"requests_in_flight", "queue", "compute_slots", "threads_per_run", "offload_timeout"}));
  ASSIGN_OR_RETURN(config.num_workers, fields.Uint64Or("requests_in_flight", config.num_workers, 1, 4096));
  ASSIGN_OR_RETURN(config.queue, fields.Uint64Or("queue", config.queue, 1, 1'000'000));
  ASSIGN_OR_RETURN(const int64_t slots, fields.Int64Or("compute_slots", config.compute_slots, 0, 1024));
  ASSIGN_OR_RETURN(const int64_t threads, fields.Int64Or("threads_per_run", config.threads_per_run, 1, 1024));
  ASSIGN_OR_RETURN(config.offload_timeout, fields.DurationOr("offload_timeout", config.offload_timeout,
                                                             std::chrono::milliseconds(1), std::chrono::hours(1)));
  config.compute_slots = static_cast<int>(slots);
  config.threads_per_run = static_cast<int>(threads);
  return absl::OkStatus();
}

std::string TextOf(const AcceleratorConfig& accelerator) {
  return accelerator.name + " " + accelerator.operator_name + " " + rpc::TextOf(accelerator.endpoint) + " " +
         HexEncode(accelerator.endpoint.security.server_public_key);
}

std::string TextOf(std::chrono::nanoseconds time) { return std::to_string(time.count()); }

void ReadFixedEvidence(const config::Fields& top, EnclaveConfig& config) {
  const EvidenceConfig& evidence = config.evidence;
  const PlatformOptions platform = evidence.platform.value_or(PlatformOptions());
  config::FixedSettings& fixed = config.fixed;
  fixed.Add(top, "evidence.kind",
            evidence.platform.has_value() ? std::string(NameOf(evidence.platform->source)) : "simulated");
  fixed.Add(top, "evidence.key", evidence.key);
  fixed.Add(top, "evidence.path", platform.gramine.root + " " + platform.tsm.root + " " + platform.sev_guest.device);
  fixed.Add(top, "evidence.vmpl",
            std::to_string(platform.sev_guest.vmpl) + (platform.tsm.privlevel.has_value() ? " for all" : ""));
  fixed.Add(top, "evidence.quotes_per_second", std::to_string(evidence.limits.quotes_per_second));
  fixed.Add(top, "evidence.queue", std::to_string(evidence.limits.max_waiting));
}

// Every setting that a reload cannot change.
void ReadFixed(const config::Fields& top, EnclaveConfig& config) {
  config::FixedSettings& fixed = config.fixed;
  fixed.Add(top, "listen", rpc::TextOf(config.listen));
  ReadFixedEvidence(top, config);
  std::string accelerators;
  for (const AcceleratorConfig& accelerator : config.accelerators) {
    accelerators += TextOf(accelerator) + "\n";
  }
  fixed.Add(top, "accelerators", accelerators);
  fixed.Add(top, "coalesce", TextOf(config.coalesce));
  fixed.Add(top, "quarantine.first", TextOf(config.quarantine.first));
  fixed.Add(top, "quarantine.max", TextOf(config.quarantine.max));
  fixed.Add(top, "masking.filler_threads", std::to_string(config.filler_threads));
  fixed.Add(top, "sessions.rotate_after", TextOf(config.sessions.rotate_after));
  fixed.Add(top, "sessions.grace", TextOf(config.sessions.grace));
  fixed.Add(top, "sessions.max_per_key", std::to_string(config.sessions.max_sessions_per_key));
  fixed.Add(top, "sessions.max_live", std::to_string(config.sessions.max_live_sessions));
  fixed.Add(top, "sessions.idle_timeout", TextOf(config.sessions.idle_timeout));
  fixed.Add(top, "sessions.replay_window", std::to_string(config.sessions.replay_window_size));
  fixed.Add(top, "work.requests_in_flight", std::to_string(config.num_workers));
  fixed.Add(top, "work.queue", std::to_string(config.queue));
  fixed.Add(top, "work.compute_slots", std::to_string(config.compute_slots));
  fixed.Add(top, "work.threads_per_run", std::to_string(config.threads_per_run));
  fixed.Add(top, "work.offload_timeout", TextOf(config.offload_timeout));
  fixed.Add(top, "max_message", std::to_string(config.max_message_bytes));
  const std::optional<rpc::Address>& metrics = config.metrics.address;
  fixed.Add(top, "metrics.address", metrics.has_value() ? metrics->ToString() : "");
  fixed.Add(top, "log.format", std::to_string(static_cast<int>(config.log.format)));
}

}  // namespace

absl::StatusOr<EnclaveConfig> LoadEnclaveConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Load(path));
  ASSIGN_OR_RETURN(
      const config::Fields top,
      document.root().Map({"listen", "evidence", "models", "accelerators", "quarantine", "masking", "sessions", "work",
                           "max_message", "drain_timeout", "coalesce", "metrics", "log"}));
  EnclaveConfig config;
  ASSIGN_OR_RETURN(const config::Node listen, top.Require("listen"));
  ASSIGN_OR_RETURN(const config::Fields listen_fields, listen.Map({"address", "tls", "insecure_plaintext"}));
  ASSIGN_OR_RETURN(config.listen, rpc::ReadEndpoint(listen_fields, rpc::Role::kListen, rpc::Exposure::kInternal));
  RETURN_IF_ERROR(ReadEvidence(top, config.evidence));
  ASSIGN_OR_RETURN(const std::vector<config::Node> models, top.List("models"));
  for (const config::Node& node : models) {
    ASSIGN_OR_RETURN(config.models.emplace_back(), ReadModel(node));
  }
  ASSIGN_OR_RETURN(const std::vector<config::Node> accelerators, top.ListOrEmpty("accelerators"));
  std::set<std::string> names;
  for (const config::Node& node : accelerators) {
    ASSIGN_OR_RETURN(AcceleratorConfig accelerator, ReadAccelerator(node));
    if (!names.insert(accelerator.name).second) {
      return node.Error("two accelerators are called '" + accelerator.name + "'");
    }
    config.accelerators.push_back(std::move(accelerator));
  }
  RETURN_IF_ERROR(ReadQuarantine(top, config.quarantine));
  RETURN_IF_ERROR(ReadMasking(top, config));
  RETURN_IF_ERROR(ReadSessions(top, config.sessions));
  RETURN_IF_ERROR(ReadWork(top, config));
  for (const ModelConfig& model : config.models) {
    if (model.batching.max_batch > config.num_workers) {
      return absl::InvalidArgumentError(model.where + ": batching.max_batch is " +
                                        std::to_string(model.batching.max_batch) +
                                        ", but only work.requests_in_flight = " + std::to_string(config.num_workers) +
                                        " requests are taken at a time; lower the one or raise the other");
    }
  }
  if (config.sessions.max_live_sessions + 2 * config.num_workers > channel::ResponderOptions::kMaxLiveSessions) {
    return top.node().Error("sessions.max_live and twice work.requests_in_flight are " +
                            std::to_string(config.sessions.max_live_sessions + 2 * config.num_workers) +
                            " together; the locked memory holds the keys of " +
                            std::to_string(channel::ResponderOptions::kMaxLiveSessions));
  }
  ASSIGN_OR_RETURN(config.metrics, metrics::ReadOptions(top));
  ASSIGN_OR_RETURN(config.log, telemetry::ReadLogOptions(top));
  ASSIGN_OR_RETURN(config.max_message_bytes, top.ByteSizeOr("max_message", rpc::kDefaultMaxMessageBytes, 65536,
                                                            std::numeric_limits<int32_t>::max()));
  ASSIGN_OR_RETURN(config.drain_timeout, top.DurationOr("drain_timeout", config.drain_timeout));
  ASSIGN_OR_RETURN(config.coalesce, top.DurationOr("coalesce", config.coalesce, std::chrono::nanoseconds(0),
                                                   rpc::Coalescing::kMostWait));
  ReadFixed(top, config);
  return config;
}

absl::StatusOr<ModelSource> LoadSourceWithoutModel(const ModelConfig& config) {
  ModelSource source;
  source.name = config.name;
  source.batching = config.batching;
  if (!config.labels.empty()) {
    ASSIGN_OR_RETURN(source.labels, ReadFile(config.labels, kMaxLabelBytes));
  }
  if (!config.preprocessing.empty()) {
    ASSIGN_OR_RETURN(source.preprocessing, preprocessing_file::LoadPreprocessing(config.preprocessing));
  }
  if (config.policy.empty()) {
    source.policy = partition::DefaultPolicy(config.name);
  } else {
    ASSIGN_OR_RETURN(partition::PartitionPolicy policy, policy_file::LoadPolicy(config.policy));
    source.policy = partition::ForModel(std::move(policy), config.name);
  }
  return source;
}

absl::StatusOr<ModelSource> LoadModelSource(const ModelConfig& config) {
  ASSIGN_OR_RETURN(ModelSource source, LoadSourceWithoutModel(config));
  absl::StatusOr<graph::ImportedModel> model = graph::ImportModelFile(config.file, ImportOptionsOf(config, source));
  if (!model.ok()) {
    return absl::Status(model.status().code(),
                        config.where + ": model " + config.name + ": " + std::string(model.status().message()));
  }
  source.model = *std::move(model);
  if (!partition::NeedsRanges(source.policy)) {
    return source;
  }
  if (config.ranges.empty()) {
    const std::string why =
        config.policy.empty() ? "without `policy:` every linear layer is masked" : config.policy + " computes in int8";
    return absl::FailedPreconditionError(
        config.where + ": model " + config.name + ": " + why + ", which needs calibrated ranges, and " +
        ranges_file::HowToMakeRanges(config.file) + " (or name a policy that computes in float32)");
  }
  ASSIGN_OR_RETURN(source.ranges, ranges_file::LoadRangesOf(source.model.digest, config.ranges));
  return source;
}

graph::ImportOptions ImportOptionsOf(const ModelConfig& config, const ModelSource& source) {
  graph::ImportOptions options;
  if (source.preprocessing.has_value()) {
    options.input_shape = {source.preprocessing->input_shape(), "its preprocessing makes a tensor of"};
  } else if (config.input_shape.has_value()) {
    options.input_shape = {*config.input_shape, "its `input_shape` is"};
  }
  options.how_to_fix_shape =
      "say what it shall be with `preprocessing` or `input_shape: 3x224x224` (for instance) beside the model's `file`, "
      "or export the model with a fixed input shape";
  return options;
}

partition::AcceleratorIdentity IdentityOf(const AcceleratorConfig& accelerator) {
  const rpc::Endpoint& endpoint = accelerator.endpoint;
  const bool mutual_tls = endpoint.address.kind == rpc::Address::Kind::kTcp &&
                          endpoint.security.kind == rpc::TransportSecurity::Kind::kMutualTls;
  return {.name = accelerator.name,
          .operator_name = accelerator.operator_name,
          .public_key = endpoint.security.server_public_key,
          .address = endpoint.address.ToString(),
          .link = mutual_tls ? partition::LinkSecurity::kMutualTls : partition::LinkSecurity::kOther};
}

}  // namespace shoji::enclave
