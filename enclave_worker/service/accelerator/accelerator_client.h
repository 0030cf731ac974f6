// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/accelerator.h"
#include "enclave_worker/core/readiness_signal.h"
#include "enclave_worker/service/accelerator/accelerator_link.h"
#include "enclave_worker/service/accelerator/backoff.h"
#include "lib/base/clock.h"

namespace grpc {
class Channel;
}

namespace shoji::enclave {

// An accelerator behind a gRPC channel, over one Attach stream at a time that a thread of its own keeps up: it connects
// in the background, again with backoff whenever the stream ends, and uploads anew what is registered. Thread-safe. The
// destructor makes every waiting Execute return UNAVAILABLE, ends the stream and joins the thread.
class AcceleratorClient final : public Accelerator {
 public:
  struct Options {
    std::string name;
    // Of its own connection; shared with the calls on it. Its largest message is to be a little over `link.limits`'s.
    std::shared_ptr<grpc::Channel> channel;
    AcceleratorLink::Options link;
    Backoff::Options backoff;
    // From the call until the accelerator admits it.
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(5);
  };

  // Connects from now on. INVALID_ARGUMENT without a channel. `readiness` and `clock` outlive it.
  static absl::StatusOr<std::unique_ptr<AcceleratorClient>> Create(Options options, ReadinessSignal& readiness,
                                                                   const Clock& clock);
  ~AcceleratorClient() override;

  const std::string& name() const override { return options_.name; }
  bool ready() const override { return link_->ready(); }
  bool Serves(const digest::Sha256Digest& digest) const override { return link_->Serves(digest); }
  size_t num_in_flight() const override { return link_->num_in_flight(); }
  uint64_t num_sent_bytes() const override { return link_->num_sent_bytes(); }
  uint64_t num_received_bytes() const override { return link_->num_received_bytes(); }
  void Register(const digest::Sha256Digest& digest, std::shared_ptr<const Bytes> bytes,
                SubModelFormat format) override {
    link_->Register(digest, std::move(bytes), format);
  }
  void Unregister(const digest::Sha256Digest& digest) override { link_->Unregister(digest); }
  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& digest, std::span<const Tensor* const> inputs,
                                              const Execution& execution) override {
    return link_->Execute(digest, inputs, execution);
  }

 private:
  class Stream;

  AcceleratorClient(Options options, ReadinessSignal& readiness, const Clock& clock);
  void KeepConnected();
  // Until the stream ends; whether it was one to a working accelerator.
  bool RunStream();

  const Options options_;
  const Clock& clock_;
  std::unique_ptr<AcceleratorLink> link_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  Stream* stream_ ABSL_GUARDED_BY(mu_) = nullptr;  // the one that runs, on the thread's stack
  std::jthread thread_;                            // last: it uses all of the above
};

}  // namespace shoji::enclave
