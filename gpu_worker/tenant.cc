// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A message's id is in at most one of uploads_, refused_uploads_, loads_ and executions_:
//   begin -> uploads_ -> (end) loads_ -> (answer) gone
//   begin -> refused_uploads_ -> (end) gone
//   execute -> executions_ -> (answer) gone
// A digest's bytes count from its begin, first in uploads_ and then in models_, until failure, or until it is unloaded
// and no execution of it is left.
#include "gpu_worker/tenant.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/telemetry/trace_context.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;

absl::StatusOr<digest::Sha256Digest> ParseDigest(const std::string& bytes) {
  digest::Sha256Digest out = {};
  if (bytes.size() != out.size()) {
    return absl::InvalidArgumentError("a digest has exactly 32 bytes (SHA-256)");
  }
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Enough of a digest to find a model in a log.
std::string ShortName(const digest::Sha256Digest& digest) { return HexEncode(ByteSpan(digest).first(6)); }

// A status' message may quote what a tenant uploaded: at most 500 characters of plain ASCII of it go on.
std::string Printable(const absl::Status& status) {
  std::string out(status.message().substr(0, 500));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

// Saturates, so that a claim of 2^64 microseconds is merely no deadline.
SteadyTime DeadlineOf(uint64_t timeout_micros, SteadyTime received) {
  constexpr uint64_t kLongest = 86'400'000'000;  // a day
  if (timeout_micros == 0 || timeout_micros > kLongest) {
    return SteadyTime::max();
  }
  return received + std::chrono::microseconds(timeout_micros);
}

// What a quota leaves beside what is used, which may be more where the quota was lowered meanwhile.
uint64_t LeftOf(uint64_t quota, uint64_t used) { return quota - std::min(quota, used); }

}  // namespace

std::shared_ptr<Tenant> Tenant::Create(TenantId id, const TenantQuotas& quotas, const Environment& environment,
                                       AnswerSink& sink) {
  return std::shared_ptr<Tenant>(new Tenant(id, quotas, environment, sink));
}

Tenant::~Tenant() { Close(); }

absl::Status Tenant::Handle(pb::AttachRequest request) {
  const SteadyTime received = environment_.clock.SteadyNow();
  const uint64_t id = request.id();
  const absl::MutexLock lock(&mu_);
  if (sink_ == nullptr) {
    return absl::CancelledError("the stream has ended");
  }
  if (id == 0) {
    return absl::InvalidArgumentError("a message without an id; ids start at 1");
  }
  if (loads_.contains(id) || executions_.contains(id)) {
    return absl::InvalidArgumentError("a message with the id of one that is not answered yet");
  }
  switch (request.message_case()) {
    case pb::AttachRequest::kUploadBegin:
      return BeginUpload(id, request.upload_begin());
    case pb::AttachRequest::kUploadChunk:
      return AddChunk(id, request.upload_chunk());
    case pb::AttachRequest::kUploadEnd:
      EndUpload(id);
      return absl::OkStatus();
    case pb::AttachRequest::kUnload:
    case pb::AttachRequest::kExecute:
    case pb::AttachRequest::MESSAGE_NOT_SET:
      break;
  }
  if (uploads_.contains(id) || refused_uploads_.contains(id)) {
    return absl::InvalidArgumentError("a message with the id of an upload under way");
  }
  absl::Status status = absl::InvalidArgumentError("a message of no known kind");
  if (request.has_unload()) {
    status = Unload(id, request.unload());
  } else if (request.has_execute()) {
    status = Execute(id, std::move(*request.mutable_execute()), received);
    if (!status.ok() && environment_.metrics != nullptr) {
      environment_.metrics->Refused(status);
    }
  }
  if (!status.ok()) {
    SendFailure(id, status);
  }
  return absl::OkStatus();
}

absl::Status Tenant::CheckUpload(const pb::UploadBegin& begin) const {
  if (draining_) {
    return absl::UnavailableError("the accelerator is shutting down");
  }
  ASSIGN_OR_RETURN(const digest::Sha256Digest digest, ParseDigest(begin.digest()));
  if (begin.size() == 0) {
    return absl::InvalidArgumentError("an upload of no bytes");
  }
  const bool uploading =
      std::any_of(uploads_.begin(), uploads_.end(), [&](const auto& upload) { return upload.second.digest == digest; });
  if (uploading || models_.contains(digest)) {
    return absl::AlreadyExistsError("this sub-model is uploaded already; unload it first");
  }
  if (models_.size() + uploads_.size() >= quotas_.num_models) {
    return absl::ResourceExhaustedError("over the quota of " + std::to_string(quotas_.num_models) +
                                        " sub-models a tenant (quotas.models)");
  }
  const uint64_t used = *model_bytes_;
  if (begin.size() > LeftOf(quotas_.model_bytes, used)) {
    return absl::ResourceExhaustedError("an upload of " + std::to_string(begin.size()) + " bytes beside " +
                                        std::to_string(used) + " is over the quota of " +
                                        std::to_string(quotas_.model_bytes) + " a tenant (quotas.model_bytes)");
  }
  return absl::OkStatus();
}

absl::Status Tenant::BeginUpload(uint64_t id, const pb::UploadBegin& begin) {
  if (uploads_.contains(id) || refused_uploads_.contains(id)) {
    return absl::InvalidArgumentError("an upload with the id of another that is under way");
  }
  if (absl::Status status = CheckUpload(begin); !status.ok()) {
    return RefuseUpload(id, status);
  }
  Upload& upload = uploads_[id];
  upload.digest = *ParseDigest(begin.digest());
  upload.size = begin.size();
  upload.size_charge = Charge(model_bytes_, begin.size());
  upload.format = begin.format();
  return absl::OkStatus();
}

absl::Status Tenant::RefuseUpload(uint64_t id, const absl::Status& why) {
  if (refused_uploads_.size() >= kMaxRefusedUploads) {
    return absl::ResourceExhaustedError("too many refused uploads without an end");
  }
  refused_uploads_.insert(id);
  SendFailure(id, why);
  return absl::OkStatus();
}

absl::Status Tenant::AddChunk(uint64_t id, const pb::UploadChunk& chunk) {
  if (refused_uploads_.contains(id)) {
    return absl::OkStatus();
  }
  const auto found = uploads_.find(id);
  if (found == uploads_.end()) {
    SendFailure(id, absl::FailedPreconditionError("a chunk of an upload that was not begun"));
    return absl::OkStatus();
  }
  Upload& upload = found->second;
  if (chunk.data().size() > upload.size - upload.data.size()) {
    uploads_.erase(found);
    return RefuseUpload(id, absl::InvalidArgumentError("more bytes than the upload declared"));
  }
  upload.data.Append(AsBytes(chunk.data()));
  return absl::OkStatus();
}

void Tenant::EndUpload(uint64_t id) {
  if (refused_uploads_.erase(id) != 0) {
    return;  // answered when it was refused
  }
  const auto found = uploads_.find(id);
  if (found == uploads_.end()) {
    SendFailure(id, absl::FailedPreconditionError("the end of an upload that was not begun"));
    return;
  }
  Upload upload = std::move(found->second);
  uploads_.erase(found);
  const digest::Sha256Digest digest = upload.digest;
  if (absl::Status status = StartLoading(id, std::move(upload)); !status.ok()) {
    models_.erase(digest);
    LogFailedUpload(digest, status);
    SendFailure(id, status);
  }
}

absl::Status Tenant::StartLoading(uint64_t id, Upload upload) {
  if (draining_) {
    return absl::UnavailableError("the accelerator is shutting down");
  }
  if (upload.data.size() != upload.size) {
    return absl::InvalidArgumentError("fewer bytes than the upload declared");
  }
  models_[upload.digest] = Entry{.size = std::move(upload.size_charge), .model = nullptr};
  RETURN_IF_ERROR(environment_.queue.Submit(id_, [self = shared_from_this(), id, upload = std::move(upload)]() mutable {
    self->Load(id, std::move(upload));
  }));
  loads_.insert(id);
  return absl::OkStatus();
}

absl::Status Tenant::CheckMemory(const Executable& model) const {
  const uint64_t used = *memory_;
  if (model.memory_bytes() > LeftOf(quotas_.memory, used)) {
    return absl::ResourceExhaustedError("the sub-model takes " + std::to_string(model.memory_bytes()) +
                                        " bytes of memory beside " + std::to_string(used) + ", over the quota of " +
                                        std::to_string(quotas_.memory) + " a tenant (quotas.memory)");
  }
  return absl::OkStatus();
}

void Tenant::Load(uint64_t id, Upload upload) {
  const digest::Sha256Digest& digest = upload.digest;
  const bool as_declared = upload.data.Digest() == digest;
  UploadSource source(std::move(upload.data));
  absl::StatusOr<std::unique_ptr<Executable>> model =
      as_declared ? LoadExecutable(environment_.backend, upload.format, source)
                  : absl::InvalidArgumentError("the uploaded bytes do not have the digest they were declared with");
  const absl::MutexLock lock(&mu_);
  const auto entry = models_.find(digest);
  if (sink_ == nullptr || entry == models_.end()) {
    return;
  }
  const absl::Status status = model.ok() ? CheckMemory(**model) : model.status();
  if (environment_.metrics != nullptr) {
    environment_.metrics->Uploaded(status);
  }
  if (!status.ok()) {
    models_.erase(entry);
    LogFailedUpload(digest, status);
    SendFailure(id, status);
    return;
  }
  Charge memory(memory_, (*model)->memory_bytes());
  entry->second.model =
      std::make_shared<LoadedModel>(LoadedModel{std::move(entry->second.size), std::move(memory), *std::move(model)});
  environment_.log.Info("model_loaded", {{"tenant", id_},
                                         {"digest", ShortName(digest)},
                                         {"bytes", upload.size},
                                         {"models", models_.size()},
                                         {"tenant_bytes", model_bytes_->load()},
                                         {"tenant_memory", memory_->load()}});
  pb::AttachResponse answer;
  answer.set_id(id);
  answer.mutable_upload_reply();
  Send(std::move(answer));
}

absl::Status Tenant::Unload(uint64_t id, const pb::Unload& unload) {
  ASSIGN_OR_RETURN(const digest::Sha256Digest digest, ParseDigest(unload.digest()));
  const auto entry = models_.find(digest);
  if (entry == models_.end()) {
    return absl::NotFoundError("no sub-model of this digest is uploaded");
  }
  if (entry->second.model == nullptr) {
    return absl::FailedPreconditionError("the sub-model is still loading");
  }
  models_.erase(entry);
  environment_.log.Info("model_unloaded", {{"tenant", id_},
                                           {"digest", ShortName(digest)},
                                           {"models", models_.size()},
                                           {"tenant_bytes", model_bytes_->load()}});
  pb::AttachResponse answer;
  answer.set_id(id);
  answer.mutable_unload_reply();
  Send(std::move(answer));
  return absl::OkStatus();
}

absl::Status Tenant::Execute(uint64_t id, pb::Execute execute, SteadyTime received) {
  if (draining_) {
    return absl::UnavailableError("the accelerator is shutting down");
  }
  ASSIGN_OR_RETURN(const digest::Sha256Digest digest, ParseDigest(execute.digest()));
  const auto entry = models_.find(digest);
  if (entry == models_.end() || entry->second.model == nullptr) {
    return absl::NotFoundError("no sub-model of this digest is uploaded and loaded");
  }
  ASSIGN_OR_RETURN(const size_t batch, BatchOf(execute));
  if (batch > LeftOf(quotas_.num_executions, num_executed_)) {
    return absl::ResourceExhaustedError("over the quota of " + std::to_string(quotas_.num_executions) +
                                        " executions in flight a tenant (quotas.executions)");
  }
  const uint64_t bytes = execute.ByteSizeLong();
  if (bytes > LeftOf(quotas_.execution_bytes, execution_bytes_)) {
    return absl::ResourceExhaustedError("over the quota of " + std::to_string(quotas_.execution_bytes) +
                                        " bytes of inputs in flight a tenant (quotas.execution_bytes)");
  }
  // Under the quotas that it was taken under, whatever these are when its turn comes.
  RETURN_IF_ERROR(environment_.queue.Submit(id_, [self = shared_from_this(), id, model = entry->second.model, received,
                                                  quotas = quotas_, message = std::move(execute)]() mutable {
    self->Run(id, std::move(model), std::move(message), received, quotas);
  }));
  executions_[id] = {bytes, batch};
  execution_bytes_ += bytes;
  num_executed_ += batch;
  return absl::OkStatus();
}

absl::Status Tenant::CheckWanted(SteadyTime deadline) const {
  if (closed_) {
    return absl::CancelledError("the stream has ended");
  }
  if (environment_.clock.SteadyNow() >= deadline) {
    return absl::DeadlineExceededError("the request's timeout passed during its execution");
  }
  return absl::OkStatus();
}

void Tenant::Run(uint64_t id, std::shared_ptr<LoadedModel> model, pb::Execute execute, SteadyTime received,
                 const TenantQuotas& quotas) {
  const SteadyTime started = environment_.clock.SteadyNow();
  const SteadyTime deadline = DeadlineOf(execute.timeout_micros(), received);
  const std::string traceparent = telemetry::ParseTraceParent(execute.traceparent()).value_or("");
  AcceleratorMetrics::Execution record;
  record.queued = started - received;
  record.received_bytes = execute.ByteSizeLong();
  pb::AttachResponse answer;
  answer.set_id(id);
  absl::Status status = absl::DeadlineExceededError("the request's timeout passed in the queue");
  if (started < deadline) {
    const auto stop = [this, deadline] { return CheckWanted(deadline); };
    status = model->executable->Run(std::move(execute), quotas.execution_bytes, stop, *answer.mutable_execute_reply());
  }
  if (status.ok() && answer.ByteSizeLong() > quotas.message_bytes) {
    status = absl::ResourceExhaustedError("the outputs are larger than a message may be (max_message)");
  }
  record.ran = environment_.clock.SteadyNow() - started;
  record.sent_bytes = status.ok() ? answer.ByteSizeLong() : 0;
  record.status = status;
  Report(traceparent, record);
  model.reset();  // before the answer: whoever has that may unload the model and count on its memory
  const absl::MutexLock lock(&mu_);
  if (status.ok()) {
    Send(std::move(answer));
  } else {
    SendFailure(id, status);
  }
}

void Tenant::Report(const std::string& traceparent, const AcceleratorMetrics::Execution& execution) const {
  if (environment_.metrics != nullptr) {
    environment_.metrics->Executed(execution);
  }
  if (traceparent.empty() || environment_.traces == nullptr || !environment_.traces->Admit().has_value()) {
    return;
  }
  const std::chrono::duration<double, std::milli> ran = execution.ran;
  environment_.log.Info("execution", {{"tenant", id_},
                                      {"status", absl::StatusCodeToString(execution.status.code())},
                                      {"ms", ran.count()},
                                      {"trace", telemetry::TraceIdOf(traceparent)}});
}

void Tenant::AddTo(AcceleratorState& state) const {
  const absl::MutexLock lock(&mu_);
  state.models += models_.size();
  state.memory_bytes += *memory_;
}

void Tenant::SetQuotas(const TenantQuotas& quotas) {
  const absl::MutexLock lock(&mu_);
  quotas_ = quotas;
}

void Tenant::Drain() {
  const absl::MutexLock lock(&mu_);
  draining_ = true;
}

bool Tenant::Idle() const {
  const absl::MutexLock lock(&mu_);
  return loads_.empty() && executions_.empty();
}

void Tenant::Close() {
  closed_ = true;
  std::map<digest::Sha256Digest, Entry> models;  // both destroyed after the lock is released
  std::map<uint64_t, Upload> uploads;
  {
    const absl::MutexLock lock(&mu_);
    sink_ = nullptr;
    models.swap(models_);
    uploads.swap(uploads_);
    refused_uploads_.clear();
    loads_.clear();
    executions_.clear();
    execution_bytes_ = 0;
    num_executed_ = 0;
  }
  environment_.queue.Drop(id_);
}

void Tenant::Send(pb::AttachResponse answer) {
  loads_.erase(answer.id());
  if (const auto found = executions_.find(answer.id()); found != executions_.end()) {
    execution_bytes_ -= found->second.bytes;
    num_executed_ -= found->second.batch;
    executions_.erase(found);
  }
  if (sink_ != nullptr) {
    sink_->Send(std::move(answer));
  }
}

void Tenant::SendFailure(uint64_t id, const absl::Status& why) {
  pb::AttachResponse answer;
  answer.set_id(id);
  pb::Failure& failure = *answer.mutable_failure();
  failure.set_code(static_cast<uint32_t>(why.code()));
  failure.set_message(Printable(why));
  Send(std::move(answer));
}

void Tenant::LogFailedUpload(const digest::Sha256Digest& digest, const absl::Status& why) {
  if (++num_failed_uploads_ <= kMaxLoggedFailures) {
    environment_.log.Warning("upload_refused", {{"tenant", id_},
                                                {"digest", ShortName(digest)},
                                                {"code", std::string(absl::StatusCodeToString(why.code()))},
                                                {"because", Printable(why)}});
  }
}

}  // namespace shoji::accelerator
