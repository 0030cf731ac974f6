// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the enclave wants of one accelerator and how far it has got: sub-models to upload, executions under way, answers
// expected. It outlives any one stream; accelerator_client.h carries its messages. No gRPC here.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/accelerator.h"
#include "enclave_worker/core/readiness_signal.h"
#include "enclave_worker/service/accelerator/attach_answer.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/digest/sha2.h"
#include "lib/tensor/tensor.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::enclave {

// For the operator's log: what happened, never what was in it.
enum class AcceleratorEvent : uint8_t {
  kConnected,
  kLost,           // the stream ended, or could not be opened
  kUploaded,       // a sub-model is acknowledged
  kUploadRefused,  // it is tried again later
  kMalformed,      // an answer was malformed; its request failed
  kMisbehaved,     // the stream was broken off by us
};

// "connected", "lost", ...
const char* NameOf(AcceleratorEvent event);

// The stream as the link sees it. Thread-safe.
class LinkOutlet {
 public:
  LinkOutlet() = default;
  LinkOutlet(const LinkOutlet&) = delete;
  LinkOutlet& operator=(const LinkOutlet&) = delete;
  virtual ~LinkOutlet() = default;
  // NextToSend has something again.
  virtual void MoreToSend() = 0;
  // Ends the stream; Disconnected follows.
  virtual void Break() = 0;
};

// Thread-safe. The destructor makes every waiting Execute fail and waits until they have returned.
class AcceleratorLink {
 public:
  struct Options {
    // Executions in flight; one more is refused with RESOURCE_EXHAUSTED.
    size_t max_in_flight = 256;
    // Timed-out executions that the accelerator has not answered yet; with one more it is taken for stuck and the
    // stream is broken off.
    size_t max_abandoned = 256;
    // Answers on one stream that no request asked for; with one more the stream is broken off.
    size_t max_unsolicited = 16;
    size_t chunk_bytes = size_t{1} << 20;
    AnswerLimits limits;
    std::chrono::nanoseconds upload_retry = std::chrono::seconds(5);  // after a refusal
    // Called from any thread, with no lock held. May be empty.
    std::function<void(AcceleratorEvent, absl::StatusCode)> on_event;
  };

  AcceleratorLink(Options options, ReadinessSignal& readiness, const Clock& clock);
  AcceleratorLink(const AcceleratorLink&) = delete;
  AcceleratorLink& operator=(const AcceleratorLink&) = delete;
  ~AcceleratorLink();

  // The enclave's side: as enclave_worker/core/accelerator.h says.
  bool ready() const;
  bool Serves(const digest::Sha256Digest& digest) const;
  size_t num_in_flight() const;
  // Of messages, since the start.
  uint64_t num_sent_bytes() const { return num_sent_bytes_; }
  uint64_t num_received_bytes() const { return num_received_bytes_; }
  void Register(const digest::Sha256Digest& digest, std::shared_ptr<const Bytes> bytes, SubModelFormat format);
  void Unregister(const digest::Sha256Digest& digest);
  absl::StatusOr<Outputs> Execute(const digest::Sha256Digest& digest, std::span<const Tensor* const> inputs,
                                  const Execution& execution);

  // The stream's side: Connected, then NextToSend and Received as they come, then Disconnected.
  void Connected(LinkOutlet& outlet);
  // `outlet` is not used after this returns. Every request under way fails with UNAVAILABLE; sub-models are to be
  // uploaded again. Without a Connected before it, reports a failed attempt.
  void Disconnected(absl::StatusCode why);
  // The next message, or nothing.
  std::optional<internal::v1::AttachRequest> NextToSend();
  // An error says why the stream must be broken off.
  absl::Status Received(const internal::v1::AttachResponse& response);
  // Something has been acknowledged or answered since Connected: this is a working accelerator.
  bool answered() const;
  // Makes refused sub-models that have waited long enough due again.
  void RetryRefused();

 private:
  // kWaiting -> kSending -> kSent -> kUploaded; from kSending and kSent also -> kRefused -> kWaiting. An upload that
  // has begun always goes on to its answer; one that is unregistered meanwhile is unloaded, or forgotten, then.
  enum class State : uint8_t { kWaiting, kSending, kSent, kUploaded, kRefused };
  struct Entry {
    std::shared_ptr<const Bytes> bytes;  // shared with the model that it is a part of
    SubModelFormat format = SubModelFormat::kOnnx;
    State state = State::kWaiting;
    uint64_t id = 0;           // of the upload, kSending and kSent
    size_t num_sent = 0;       // kSending
    bool begun = false;        // kSending
    SteadyTime retry_at = {};  // kRefused
    bool wanted = true;        // false: unregistered, but not answered yet
  };
  // Of one Execute, on its caller's stack.
  struct Pending {
    std::optional<absl::StatusOr<Outputs>> result;
    absl::CondVar done;
  };

  std::optional<internal::v1::AttachRequest> TakeNext();
  bool ReadyLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool ServesLocked(const digest::Sha256Digest& digest) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status CheckLocked(const digest::Sha256Digest& digest) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void ForgetModels() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FailPending(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<internal::v1::AttachRequest> NextOfUpload() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReceivedForUpload(uint64_t id, const internal::v1::AttachResponse& response) ABSL_LOCKS_EXCLUDED(mu_);
  void ReceivedForExecute(uint64_t id, const internal::v1::AttachResponse& response) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<Outputs> Await(uint64_t id, Pending& pending, SteadyTime deadline);
  void QueueUnload(const digest::Sha256Digest& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueUploadEnd(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What ReceivedForUpload does with the answer; whether the sub-model is uploaded now.
  bool SettleUpload(uint64_t id, const Answer& answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  void BreakOff() ABSL_LOCKS_EXCLUDED(mu_);
  void Emit(AcceleratorEvent event, absl::StatusCode code = absl::StatusCode::kOk) const ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  ReadinessSignal& readiness_;
  const Clock& clock_;

  // Held while the outlet is called, so that it lives; taken before the outlet's own lock and that before `mu_`.
  absl::Mutex outlet_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  LinkOutlet* outlet_ ABSL_GUARDED_BY(outlet_mu_) = nullptr;

  std::atomic<uint64_t> num_sent_bytes_ = 0;
  std::atomic<uint64_t> num_received_bytes_ = 0;
  mutable absl::Mutex mu_;
  bool connected_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool answered_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;  // never goes back, across streams too
  std::map<digest::Sha256Digest, Entry> models_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, digest::Sha256Digest> uploads_ ABSL_GUARDED_BY(mu_);  // ids of those kSending and kSent
  std::set<uint64_t> unloads_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, Pending*> pending_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> abandoned_ ABSL_GUARDED_BY(mu_);  // timed out after they were sent: a late answer is theirs
  // Sent in this order: unloads and ends of refused uploads, then in turn an execution and a piece of an upload.
  std::deque<internal::v1::AttachRequest> control_ ABSL_GUARDED_BY(mu_);
  std::deque<internal::v1::AttachRequest> executions_ ABSL_GUARDED_BY(mu_);
  bool upload_turn_ ABSL_GUARDED_BY(mu_) = false;
  size_t num_unsolicited_ ABSL_GUARDED_BY(mu_) = 0;
  size_t num_callers_ ABSL_GUARDED_BY(mu_) = 0;  // inside Execute
};

}  // namespace shoji::enclave
