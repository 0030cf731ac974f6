// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/model.h"
#include "enclave_worker/evidence/evidence_source.h"
#include "enclave_worker/service/evidence_queue.h"
#include "lib/base/bytes.h"
#include "lib/channel/responder.h"
#include "lib/config/fixed_settings.h"
#include "lib/graph/onnx_import.h"
#include "lib/image/preprocessing.h"
#include "lib/metrics/exporter.h"
#include "lib/partition/plan.h"
#include "lib/rpc/coalescing.h"
#include "lib/rpc/endpoint.h"
#include "lib/telemetry/log.h"
#include "lib/tensor/shape.h"

namespace shoji::enclave {

struct ModelConfig {
  std::string where;  // "enclave.yaml:12: key 'models[0]'"
  std::string name;
  std::string file;
  std::string labels;                               // empty: none
  std::string preprocessing;                        // empty: none
  std::string policy;                               // empty: partition::DefaultPolicy
  std::string ranges;                               // calibrated; empty: none
  std::optional<Shape> input_shape = std::nullopt;  // of a model without preprocessing; none: what its file fixes
  BatchingOptions batching;
};

struct AcceleratorConfig {
  std::string name;
  std::string operator_name;
  rpc::Endpoint endpoint;
};

// How long an accelerator whose answer failed its check is not used: `first`, and twice as long each time it fails
// again, up to `max`.
struct QuarantineConfig {
  std::chrono::nanoseconds first = std::chrono::minutes(1);
  std::chrono::nanoseconds max = std::chrono::hours(1);
};

// Who signs the evidence, and how requests for it are taken.
struct EvidenceConfig {
  std::optional<PlatformOptions> platform;  // absent: simulated
  std::string key;                          // of simulated evidence
  EvidenceQueue::Limits limits;
};

// The enclave's configuration file; docs/operations.md describes every key.
struct EnclaveConfig {
  rpc::Endpoint listen;
  EvidenceConfig evidence;
  std::vector<ModelConfig> models;
  std::vector<AcceleratorConfig> accelerators;
  channel::ResponderOptions sessions;
  size_t num_workers = 16;
  size_t queue = 64;
  int compute_slots = 0;  // 0: one a processor
  int threads_per_run = 1;
  // The longest that one layer waits for an accelerator before another, or the enclave, computes it.
  std::chrono::nanoseconds offload_timeout = std::chrono::seconds(5);
  QuarantineConfig quarantine;
  int filler_threads = 1;  // threads that prepare pads, for all models together
  size_t max_message_bytes = 0;
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds coalesce = rpc::Coalescing().wait;
  metrics::Options metrics;
  telemetry::LogOptions log;
  config::FixedSettings fixed;
};

// Errors name file, line and key. Every file that it names can be opened.
absl::StatusOr<EnclaveConfig> LoadEnclaveConfig(const std::string& path);

// Reads all files that `config` names for one model; ranges only where its policy needs them. Errors name the file.
// FAILED_PRECONDITION: the policy computes in int8 and there are no calibrated ranges; says how to make them.
absl::StatusOr<ModelSource> LoadModelSource(const ModelConfig& config);

// The part of that which stands beside the model's file: labels, preprocessing, policy.
absl::StatusOr<ModelSource> LoadSourceWithoutModel(const ModelConfig& config);

// How the file of `config` is read, `source` standing beside it: the preprocessing, or the configuration, says what
// shape the input has where the file leaves that open.
graph::ImportOptions ImportOptionsOf(const ModelConfig& config, const ModelSource& source);

// What a plan has to know of an accelerator.
partition::AcceleratorIdentity IdentityOf(const AcceleratorConfig& accelerator);

}  // namespace shoji::enclave
