// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// An id belongs to exactly one of uploads_, unloads_, pending_ and abandoned_ from when its first message is queued
// until its answer arrives or the stream ends; an answer with any other id is unsolicited. Ids start at 1 and are never
// reused, so that an answer can never be taken for that of another request.
#include "enclave_worker/service/accelerator/accelerator_link.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/tensor_proto.h"

namespace shoji::enclave {
namespace {

namespace pb = internal::v1;

// In the protocol 0 means "no timeout", so less than a microsecond is rounded up.
uint64_t TimeoutMicros(SteadyTime deadline, SteadyTime now) {
  if (deadline == SteadyTime::max()) {
    return 0;
  }
  return static_cast<uint64_t>(
      std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::microseconds>(deadline - now).count()));
}

pb::AttachRequest PopFront(std::deque<pb::AttachRequest>& queue) {
  pb::AttachRequest front = std::move(queue.front());
  queue.pop_front();
  return front;
}

pb::SubModelFormat ToProto(SubModelFormat format) {
  switch (format) {
    case SubModelFormat::kOnnx:
      return pb::ONNX;
    case SubModelFormat::kLinearLayer:
      return pb::LINEAR_LAYER;
  }
  return pb::ONNX;
}

absl::Status Lost() { return absl::UnavailableError("the connection to the accelerator was lost"); }

}  // namespace

const char* NameOf(AcceleratorEvent event) {
  switch (event) {
    case AcceleratorEvent::kConnected:
      return "connected";
    case AcceleratorEvent::kLost:
      return "lost";
    case AcceleratorEvent::kUploaded:
      return "uploaded";
    case AcceleratorEvent::kUploadRefused:
      return "upload_refused";
    case AcceleratorEvent::kMalformed:
      return "malformed_answer";
    case AcceleratorEvent::kMisbehaved:
      return "misbehaved";
  }
  return "unknown";
}

AcceleratorLink::AcceleratorLink(Options options, ReadinessSignal& readiness, const Clock& clock)
    : options_(std::move(options)), readiness_(readiness), clock_(clock) {}

AcceleratorLink::~AcceleratorLink() {
  const absl::MutexLock lock(&mu_);
  stopping_ = true;
  connected_ = false;
  FailPending(absl::UnavailableError("the enclave is shutting down"));
  const auto left = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return num_callers_ == 0; };
  mu_.Await(absl::Condition(&left));
}

bool AcceleratorLink::ReadyLocked() const {
  return connected_ && std::all_of(models_.begin(), models_.end(), [](const auto& model) {
           return model.second.state == State::kUploaded || !model.second.wanted;
         });
}

bool AcceleratorLink::ready() const {
  const absl::MutexLock lock(&mu_);
  return ReadyLocked();
}

bool AcceleratorLink::ServesLocked(const digest::Sha256Digest& digest) const {
  const auto model = models_.find(digest);
  return connected_ && model != models_.end() && model->second.state == State::kUploaded;
}

bool AcceleratorLink::Serves(const digest::Sha256Digest& digest) const {
  const absl::MutexLock lock(&mu_);
  return ServesLocked(digest);
}

size_t AcceleratorLink::num_in_flight() const {
  const absl::MutexLock lock(&mu_);
  return pending_.size();
}

bool AcceleratorLink::answered() const {
  const absl::MutexLock lock(&mu_);
  return answered_;
}

void AcceleratorLink::Register(const digest::Sha256Digest& digest, std::shared_ptr<const Bytes> bytes,
                               SubModelFormat format) {
  {
    const absl::MutexLock lock(&mu_);
    Entry& entry = models_[digest];
    entry.wanted = true;
    if (entry.bytes == nullptr) {
      entry.bytes = std::move(bytes);
      entry.format = format;
    }
  }
  readiness_.Notify();
  Wake();
}

void AcceleratorLink::Unregister(const digest::Sha256Digest& digest) {
  {
    const absl::MutexLock lock(&mu_);
    const auto model = models_.find(digest);
    if (model == models_.end()) {
      return;
    }
    switch (model->second.state) {
      case State::kUploaded:
        QueueUnload(digest);
        models_.erase(model);
        break;
      case State::kWaiting:
      case State::kRefused:
        models_.erase(model);
        break;
      case State::kSending:
      case State::kSent:
        model->second.wanted = false;
        break;
    }
  }
  readiness_.Notify();
  Wake();
}

void AcceleratorLink::QueueUnload(const digest::Sha256Digest& digest) {
  pb::AttachRequest unload;
  unload.set_id(next_id_++);
  unload.mutable_unload()->set_digest(ToString(digest));
  unloads_.insert(unload.id());
  control_.push_back(std::move(unload));
}

void AcceleratorLink::QueueUploadEnd(uint64_t id) {
  pb::AttachRequest end;
  end.set_id(id);
  end.mutable_upload_end();
  control_.push_back(std::move(end));
}

absl::Status AcceleratorLink::CheckLocked(const digest::Sha256Digest& digest) const {
  if (stopping_) {
    return absl::UnavailableError("the enclave is shutting down");
  }
  if (!ServesLocked(digest)) {
    return absl::UnavailableError("the accelerator is not connected, or does not hold this sub-model yet");
  }
  if (pending_.size() >= options_.max_in_flight) {
    return absl::ResourceExhaustedError("too many executions in flight");
  }
  return absl::OkStatus();
}

absl::StatusOr<Outputs> AcceleratorLink::Execute(const digest::Sha256Digest& digest,
                                                 std::span<const Tensor* const> inputs, const Execution& execution) {
  const SteadyTime now = clock_.SteadyNow();
  if (now >= execution.deadline) {
    return absl::DeadlineExceededError("the deadline has passed");
  }
  {
    const absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(CheckLocked(digest));  // before the copy below is made
    ++num_callers_;
  }
  pb::AttachRequest request;
  pb::Execute& execute = *request.mutable_execute();
  execute.set_traceparent(std::string(execution.traceparent));
  execute.set_digest(ToString(digest));
  execute.set_timeout_micros(TimeoutMicros(execution.deadline, now));
  if (execution.batch > 1) {
    execute.set_batch(static_cast<uint32_t>(execution.batch));
  }
  for (const Tensor* input : inputs) {
    rpc::WriteTensor(*input, *execute.add_inputs());
  }

  Pending pending;
  uint64_t id = 0;
  absl::Status refusal;
  {
    const absl::MutexLock lock(&mu_);
    refusal = CheckLocked(digest);  // again: much may have changed
    if (refusal.ok()) {
      id = next_id_++;
      request.set_id(id);
      pending_[id] = &pending;
      executions_.push_back(std::move(request));
    }
  }
  absl::StatusOr<Outputs> result = Outputs();
  if (refusal.ok()) {
    Wake();
    result = Await(id, pending, execution.deadline);
  } else {
    result = refusal;
  }
  const absl::MutexLock lock(&mu_);
  --num_callers_;
  return result;
}

absl::StatusOr<Outputs> AcceleratorLink::Await(uint64_t id, Pending& pending, SteadyTime deadline) {
  bool stuck = false;
  {
    const absl::MutexLock lock(&mu_);
    for (SteadyTime now = clock_.SteadyNow(); !pending.result.has_value() && now < deadline; now = clock_.SteadyNow()) {
      pending.done.WaitWithTimeout(&mu_, absl::FromChrono(deadline - now));
    }
    if (pending.result.has_value()) {
      return *std::move(pending.result);
    }
    pending_.erase(id);
    const auto queued = std::find_if(executions_.begin(), executions_.end(),
                                     [id](const pb::AttachRequest& request) { return request.id() == id; });
    if (queued != executions_.end()) {
      executions_.erase(queued);
    } else {
      abandoned_.insert(id);
      stuck = abandoned_.size() > options_.max_abandoned;
    }
  }
  if (stuck) {
    BreakOff();
  }
  return absl::DeadlineExceededError("the accelerator did not answer in time");
}

void AcceleratorLink::Connected(LinkOutlet& outlet) {
  {
    const absl::MutexLock lock(&outlet_mu_);
    outlet_ = &outlet;
    const absl::MutexLock state_lock(&mu_);
    connected_ = !stopping_;
    answered_ = false;
    num_unsolicited_ = 0;
  }
  Emit(AcceleratorEvent::kConnected);
  readiness_.Notify();
  Wake();
}

void AcceleratorLink::ForgetModels() {
  for (auto model = models_.begin(); model != models_.end();) {
    Entry& entry = model->second;
    if (entry.wanted) {
      entry = Entry{.bytes = std::move(entry.bytes), .format = entry.format};
      ++model;
    } else {
      model = models_.erase(model);
    }
  }
  uploads_.clear();
  unloads_.clear();
  control_.clear();
}

void AcceleratorLink::FailPending(const absl::Status& status) {
  for (const auto& [id, pending] : pending_) {
    pending->result = status;
    pending->done.Signal();
  }
  pending_.clear();
  abandoned_.clear();
  executions_.clear();
}

void AcceleratorLink::Disconnected(absl::StatusCode why) {
  {
    const absl::MutexLock lock(&outlet_mu_);
    outlet_ = nullptr;
    const absl::MutexLock state_lock(&mu_);
    connected_ = false;
    ForgetModels();
    FailPending(Lost());
  }
  Emit(AcceleratorEvent::kLost, why);
  readiness_.Notify();
}

std::optional<pb::AttachRequest> AcceleratorLink::NextToSend() {
  std::optional<pb::AttachRequest> next = TakeNext();
  if (next.has_value()) {
    num_sent_bytes_ += next->ByteSizeLong();
  }
  return next;
}

std::optional<pb::AttachRequest> AcceleratorLink::TakeNext() {
  const absl::MutexLock lock(&mu_);
  if (!connected_) {
    return std::nullopt;
  }
  if (!control_.empty()) {
    return PopFront(control_);
  }
  if (upload_turn_ || executions_.empty()) {
    upload_turn_ = false;
    if (std::optional<pb::AttachRequest> next = NextOfUpload(); next.has_value()) {
      return next;
    }
  }
  if (executions_.empty()) {
    return std::nullopt;
  }
  upload_turn_ = true;
  return PopFront(executions_);
}

// One upload at a time is sent, in pieces; any number may wait for their acknowledgement.
std::optional<pb::AttachRequest> AcceleratorLink::NextOfUpload() {
  const auto in_state = [this](State state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return std::find_if(models_.begin(), models_.end(),
                        [state](const auto& model) { return model.second.state == state; });
  };
  auto model = in_state(State::kSending);
  if (model == models_.end()) {
    model = in_state(State::kWaiting);
    if (model == models_.end()) {
      return std::nullopt;
    }
    model->second.state = State::kSending;
    model->second.id = next_id_++;
    model->second.num_sent = 0;
    model->second.begun = false;
    uploads_[model->second.id] = model->first;
  }
  Entry& entry = model->second;
  const Bytes& bytes = *entry.bytes;
  pb::AttachRequest next;
  next.set_id(entry.id);
  if (!entry.begun) {
    entry.begun = true;
    next.mutable_upload_begin()->set_digest(ToString(model->first));
    next.mutable_upload_begin()->set_size(bytes.size());
    next.mutable_upload_begin()->set_format(ToProto(entry.format));
  } else if (entry.num_sent < bytes.size()) {
    const size_t size = std::min(options_.chunk_bytes, bytes.size() - entry.num_sent);
    next.mutable_upload_chunk()->set_data(bytes.data() + entry.num_sent, size);
    entry.num_sent += size;
  } else {
    entry.state = State::kSent;
    next.mutable_upload_end();
  }
  return next;
}

absl::Status AcceleratorLink::Received(const pb::AttachResponse& response) {
  num_received_bytes_ += response.ByteSizeLong();
  const uint64_t id = response.id();
  bool upload = false;
  bool execute = false;
  bool flood = false;
  {
    const absl::MutexLock lock(&mu_);
    upload = uploads_.contains(id);
    execute = pending_.contains(id);
    answered_ = answered_ || upload || execute;
    // The answer to an unload says nothing, and that to an abandoned request comes too late.
    const bool expected = upload || execute || unloads_.erase(id) != 0 || abandoned_.erase(id) != 0;
    num_unsolicited_ += expected ? 0 : 1;
    flood = num_unsolicited_ > options_.max_unsolicited;
  }
  if (flood) {
    Emit(AcceleratorEvent::kMisbehaved, absl::StatusCode::kInvalidArgument);
    return absl::InvalidArgumentError("the accelerator sends answers that no request asked for");
  }
  if (upload) {
    ReceivedForUpload(id, response);
  } else if (execute) {
    ReceivedForExecute(id, response);
  }
  return absl::OkStatus();
}

bool AcceleratorLink::SettleUpload(uint64_t id, const Answer& answer) {
  const auto upload = uploads_.find(id);
  if (upload == uploads_.end()) {
    return false;  // the stream ended meanwhile
  }
  const digest::Sha256Digest digest = upload->second;
  uploads_.erase(upload);
  const auto model = models_.find(digest);  // there: an upload that has begun keeps its entry
  Entry& entry = model->second;
  const bool all_sent = entry.state == State::kSent;
  if (!all_sent) {
    QueueUploadEnd(id);  // until it comes the accelerator drops what follows
  }
  const bool accepted = all_sent && std::holds_alternative<UploadDone>(answer);
  entry.state = accepted ? State::kUploaded : State::kRefused;
  entry.retry_at = clock_.SteadyNow() + options_.upload_retry;
  if (!entry.wanted) {
    if (accepted) {
      QueueUnload(digest);
    }
    models_.erase(model);
  }
  return accepted;
}

void AcceleratorLink::ReceivedForUpload(uint64_t id, const pb::AttachResponse& response) {
  const Answer answer = DecodeAnswer(response, options_.limits);
  bool accepted = false;
  {
    const absl::MutexLock lock(&mu_);
    accepted = SettleUpload(id, answer);
  }
  if (accepted) {
    Emit(AcceleratorEvent::kUploaded);
  } else {
    const auto* failure = std::get_if<absl::Status>(&answer);
    Emit(AcceleratorEvent::kUploadRefused, failure != nullptr ? failure->code() : absl::StatusCode::kInvalidArgument);
  }
  readiness_.Notify();
  Wake();
}

void AcceleratorLink::ReceivedForExecute(uint64_t id, const pb::AttachResponse& response) {
  Answer answer = DecodeAnswer(response, options_.limits);  // with no lock held: it copies
  absl::StatusOr<Outputs> result = absl::InvalidArgumentError("the accelerator's answer is of the wrong kind");
  if (auto* outputs = std::get_if<Outputs>(&answer); outputs != nullptr) {
    result = std::move(*outputs);
  } else if (auto* status = std::get_if<absl::Status>(&answer); status != nullptr) {
    result = std::move(*status);
  }
  const bool malformed = absl::IsInvalidArgument(result.status());
  {
    const absl::MutexLock lock(&mu_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) {
      abandoned_.erase(id);  // timed out meanwhile, or the stream ended
      return;
    }
    found->second->result = std::move(result);
    found->second->done.Signal();
    pending_.erase(found);
  }
  if (malformed) {
    Emit(AcceleratorEvent::kMalformed, absl::StatusCode::kInvalidArgument);
  }
}

void AcceleratorLink::RetryRefused() {
  bool due = false;
  {
    const absl::MutexLock lock(&mu_);
    const SteadyTime now = clock_.SteadyNow();
    for (auto& [digest, entry] : models_) {
      if (entry.state == State::kRefused && now >= entry.retry_at) {
        entry.state = State::kWaiting;
        due = true;
      }
    }
  }
  if (due) {
    Wake();
  }
}

void AcceleratorLink::Wake() {
  const absl::MutexLock lock(&outlet_mu_);
  if (outlet_ != nullptr) {
    outlet_->MoreToSend();
  }
}

void AcceleratorLink::BreakOff() {
  {
    const absl::MutexLock lock(&outlet_mu_);
    if (outlet_ != nullptr) {
      outlet_->Break();
    }
  }
  Emit(AcceleratorEvent::kMisbehaved, absl::StatusCode::kDeadlineExceeded);
}

void AcceleratorLink::Emit(AcceleratorEvent event, absl::StatusCode code) const {
  if (options_.on_event) {
    options_.on_event(event, code);
  }
}

}  // namespace shoji::enclave
