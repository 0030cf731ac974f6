// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One tenant of the accelerator: what one Attach stream has uploaded and asked for. The protocol of
// proto/shoji/internal/v1/accelerator.proto without the stream that carries it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "gpu_worker/accelerator_metrics.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/charge.h"
#include "gpu_worker/executable.h"
#include "gpu_worker/upload_pieces.h"
#include "gpu_worker/work_queue.h"
#include "lib/base/clock.h"
#include "lib/digest/sha2.h"
#include "lib/telemetry/log.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::accelerator {

// What one tenant may have at a time. A sub-model that is unloaded counts as bytes and as memory until the last of its
// executions has ended.
struct TenantQuotas {
  uint64_t model_bytes = uint64_t{1} << 30;  // of all its sub-models, as declared at upload, uploads under way included
  uint64_t memory = uint64_t{8} << 30;       // of all its sub-models, as Executable::memory_bytes says
  size_t num_models = 512;
  size_t num_executions = 32;                      // from receipt to answer; one for each request of a batch
  uint64_t execution_bytes = uint64_t{256} << 20;  // of their inputs together
  size_t message_bytes = size_t{64} << 20;         // of one answer; what is received is bounded by the carrier
};

// Where a tenant's answers go. Thread-safe.
class AnswerSink {
 public:
  AnswerSink() = default;
  AnswerSink(const AnswerSink&) = delete;
  AnswerSink& operator=(const AnswerSink&) = delete;
  virtual ~AnswerSink() = default;
  // Takes over `answer` and returns at once. May not call back into the tenant. Whoever stops reading fills the sink,
  // not the tenant: the sink's owner stops calling `Handle` meanwhile.
  virtual void Send(internal::v1::AttachResponse answer) = 0;
};

// Every message is answered, by a Failure where it is wrong or over a quota; only a message whose failure could not be
// attributed to it ends the stream. Jobs of the work queue share ownership with the stream, so that either may end
// first. Thread-safe, but `Handle` is called by one thread at a time.
class Tenant : public std::enable_shared_from_this<Tenant> {
 public:
  struct Environment {
    Backend& backend;
    WorkQueue& queue;
    const Clock& clock;
    telemetry::Logger& log;
    AcceleratorMetrics* metrics = nullptr;   // optional
    telemetry::RateLimit* traces = nullptr;  // bounds the lines of traced executions; null: none are logged
  };

  // Answers go to `sink` until Close, which the owner calls before `sink` goes: jobs may hold the tenant longer. All of
  // `environment` outlives the tenant and its jobs.
  static std::shared_ptr<Tenant> Create(TenantId id, const TenantQuotas& quotas, const Environment& environment,
                                        AnswerSink& sink);
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;
  ~Tenant();

  TenantId id() const { return id_; }

  // Takes one message of the stream. An error says why the stream must end: INVALID_ARGUMENT for a message with no id
  // or the id of another that is not answered yet, RESOURCE_EXHAUSTED for too many refused uploads under way.
  absl::Status Handle(internal::v1::AttachRequest request);
  // From now on; what it has beyond them it keeps.
  void SetQuotas(const TenantQuotas& quotas);
  // From now on new uploads and executions are refused with UNAVAILABLE; those under way go on.
  void Drain();
  // Nothing is being loaded or executed.
  bool Idle() const;
  // Adds its own.
  void AddTo(AcceleratorState& state) const;
  // The stream has ended: frees every model and upload, drops what is queued, stops what runs. `sink` is not
  // used after this returns. Idempotent.
  void Close();

 private:
  struct Upload {
    digest::Sha256Digest digest = {};
    uint64_t size = 0;
    Charge size_charge;
    internal::v1::SubModelFormat format = internal::v1::ONNX;
    UploadPieces data;
  };
  // An execution from receipt to answer.
  struct InFlight {
    uint64_t bytes = 0;  // of its message
    size_t batch = 1;
  };
  // A sub-model and what it counts for, as long as anything refers to it.
  struct LoadedModel {
    Charge size;
    Charge memory;
    std::unique_ptr<Executable> executable;  // last: gone before its charges are
  };
  struct Entry {
    Charge size;                         // while it loads
    std::shared_ptr<LoadedModel> model;  // null while it loads; shared with the executions in flight
  };
  // Beyond this many refused uploads whose end has not come yet, the stream is abused.
  static constexpr size_t kMaxRefusedUploads = 64;
  // A tenant cannot fill the log with failing uploads.
  static constexpr uint64_t kMaxLoggedFailures = 16;

  Tenant(TenantId id, const TenantQuotas& quotas, const Environment& environment, AnswerSink& sink)
      : id_(id), environment_(environment), quotas_(quotas), sink_(&sink) {}

  absl::Status BeginUpload(uint64_t id, const internal::v1::UploadBegin& begin) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckUpload(const internal::v1::UploadBegin& begin) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AddChunk(uint64_t id, const internal::v1::UploadChunk& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndUpload(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status StartLoading(uint64_t id, Upload upload) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckMemory(const Executable& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Unload(uint64_t id, const internal::v1::Unload& unload) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Execute(uint64_t id, internal::v1::Execute execute, SteadyTime received)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status RefuseUpload(uint64_t id, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the request that `answer` is for.
  void Send(internal::v1::AttachResponse answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendFailure(uint64_t id, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LogFailedUpload(const digest::Sha256Digest& digest, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Run on the queue's threads.
  void Load(uint64_t id, Upload upload);
  void Run(uint64_t id, std::shared_ptr<LoadedModel> model, internal::v1::Execute execute, SteadyTime received,
           const TenantQuotas& quotas);
  void Report(const std::string& traceparent, const AcceleratorMetrics::Execution& execution) const;
  // Whether an execution may go on.
  absl::Status CheckWanted(SteadyTime deadline) const;

  const TenantId id_;
  const Environment environment_;
  // Of uploads_, models_ and models that are unloaded but still run. Charged under mu_, so that what is left of a quota
  // only grows meanwhile.
  const std::shared_ptr<Charge::Counter> model_bytes_ = std::make_shared<Charge::Counter>(0);
  const std::shared_ptr<Charge::Counter> memory_ = std::make_shared<Charge::Counter>(0);
  std::atomic<bool> closed_ = false;  // for runs, which do not wait for mu_
  mutable absl::Mutex mu_;
  TenantQuotas quotas_ ABSL_GUARDED_BY(mu_);
  AnswerSink* sink_ ABSL_GUARDED_BY(mu_);  // null once closed
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  std::map<uint64_t, Upload> uploads_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> refused_uploads_ ABSL_GUARDED_BY(mu_);  // their chunks are still to come, and are dropped
  std::map<digest::Sha256Digest, Entry> models_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> loads_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, InFlight> executions_ ABSL_GUARDED_BY(mu_);
  uint64_t execution_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of their messages together
  size_t num_executed_ ABSL_GUARDED_BY(mu_) = 0;       // requests that they are for
  uint64_t num_failed_uploads_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace shoji::accelerator
