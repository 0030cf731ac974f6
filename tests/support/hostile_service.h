// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The accelerator's service, with an honest tenant of gpu_worker behind every stream and an attacker between the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gpu_worker/ring_layer.h"
#include "gpu_worker/tenant_table.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "shoji/internal/v1/accelerator.grpc.pb.h"
#include "tests/support/execution_recorder.h"
#include "tests/support/hostile_attacks.h"
#include "tests/support/hostile_control.h"

namespace shoji::testing {

// Decides, attacks and counts, for all streams together. Thread-safe.
class Attacker {
 public:
  struct Options {
    uint64_t seed = 1;
    HostileOrder order;        // while there is no control file
    std::string control_file;  // empty: none
    std::string status_file;   // empty: none
    size_t huge_bytes = size_t{80} << 20;
    // Of earlier answers that are kept for replay, all layers together.
    size_t max_memory = size_t{256} << 20;
  };
  // What becomes of one answer: nothing, when `answer` is empty.
  struct Outcome {
    std::optional<internal::v1::AttachResponse> answer;
    bool late = false;
    bool close_stream = false;
  };

  explicit Attacker(Options options) : options_(std::move(options)), random_(options_.seed) {}
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;

  // A layer that a tenant uploaded, which may be wrong and is then no target.
  void Learn(const std::string& digest, ByteSpan serialized);
  bool Knows(const std::string& digest) const;
  // `answer` is the honest one, an ExecuteReply, of an execution of `digest`; `other_ids` are under way on its stream.
  Outcome Treat(const std::string& digest, const std::vector<uint64_t>& other_ids, internal::v1::AttachResponse answer);

 private:
  struct Layer {
    accelerator::RingLayer shape;     // without weights
    std::deque<std::string> answers;  // the latest last, honest
  };

  HostileOrder CurrentOrder() const;
  std::optional<Attack> Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Attack Corrupt(Attack attack, Layer& layer, const std::vector<uint64_t>& other_ids, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  EarlierAnswers EarlierThan(const std::string& answer, const Layer& layer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Remember(Layer& layer, std::string answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Count(std::optional<Attack> attack) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  mutable absl::Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Layer> layers_ ABSL_GUARDED_BY(mu_);  // by digest
  size_t memory_ ABSL_GUARDED_BY(mu_) = 0;
  HostileStatus status_ ABSL_GUARDED_BY(mu_);
};

// A thread of gRPC's for each stream, and one more that sends. All that it borrows outlives the server.
class HostileService final : public internal::v1::AcceleratorService::Service {
 public:
  HostileService(accelerator::TenantTable& tenants, Attacker& attacker, ExecutionRecorder& recorder, const Clock& clock)
      : tenants_(tenants), attacker_(attacker), recorder_(recorder), clock_(clock) {}

  grpc::Status Describe(grpc::ServerContext* context, const internal::v1::DescribeRequest* request,
                        internal::v1::DescribeResponse* response) override;
  grpc::Status Attach(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<internal::v1::AttachResponse, internal::v1::AttachRequest>* stream) override;

 private:
  accelerator::TenantTable& tenants_;
  Attacker& attacker_;
  ExecutionRecorder& recorder_;
  const Clock& clock_;
};

}  // namespace shoji::testing
