// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the overhead benchmark compares the product with: processes that only pass gRPC messages on, over the product's
// own services, so that every message has the size of the real one. Three roles, one process each:
//
//   relay    InferenceService.Infer: passes the request on to --forward (EnclaveService.Infer) and the answer back
//   answer   EnclaveService.Infer: answers with --bytes zeros; with --forward, first sends --feature-bytes zeros over a
//            stream to there (AcceleratorService.Attach) and waits for the reply
//   stream   AcceleratorService.Attach: answers every execution with --bytes zeros
//
// Everything is done in gRPC's own callbacks: no thread, queue or log line besides. No limits, no checks: a benchmark's
// peer, nothing to deploy.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/rpc/signal_waiter.h"
#include "shoji/internal/v1/accelerator.grpc.pb.h"
#include "shoji/internal/v1/enclave.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::bench {
namespace {

namespace pb = internal::v1;

constexpr size_t kSaltBytes = 32;
constexpr size_t kDigestBytes = 32;

struct Flags {
  std::string role;
  std::string listen;
  std::string forward;
  std::string address_file;
  size_t bytes = 0;
  size_t feature_bytes = 0;
};

void FillTensor(size_t num_bytes, pb::Tensor& out) {
  out.set_data_type(v1::FLOAT32);
  out.add_dims(static_cast<int64_t>(num_bytes / sizeof(float)));
  out.set_data(std::string(num_bytes, '\0'));
}

class Relay final : public v1::InferenceService::CallbackService {
 public:
  explicit Relay(const std::shared_ptr<grpc::Channel>& channel) : stub_(pb::EnclaveService::NewStub(channel)) {}

  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context, const v1::InferRequest* request,
                                  v1::InferResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    auto forwarded = std::make_unique<grpc::ClientContext>();
    grpc::ClientContext* raw = forwarded.get();
    stub_->async()->Infer(raw, request, response,
                          [reactor, owned = std::shared_ptr<grpc::ClientContext>(std::move(forwarded))](
                              const grpc::Status& status) { reactor->Finish(status); });
    return reactor;
  }

 private:
  const std::unique_ptr<pb::EnclaveService::Stub> stub_;
};

// The caller's end of one stream; any number of executions under way. It lives as long as the process.
class StreamCaller final : public grpc::ClientBidiReactor<pb::AttachRequest, pb::AttachResponse> {
 public:
  explicit StreamCaller(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(pb::AcceleratorService::NewStub(channel)) {
    stub_->async()->Attach(&context_, this);
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  void Execute(size_t feature_bytes, std::function<void(grpc::Status)> done) {
    pb::AttachRequest request;
    pb::Execute& execute = *request.mutable_execute();
    execute.set_digest(std::string(kDigestBytes, '\0'));
    FillTensor(feature_bytes, *execute.add_inputs());
    const absl::MutexLock lock(&mu_);
    request.set_id(++last_id_);
    pending_[last_id_] = std::move(done);
    queue_.push_back(std::move(request));
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Fail();
      return;
    }
    std::function<void(grpc::Status)> done;
    {
      const absl::MutexLock lock(&mu_);
      const auto found = pending_.find(response_.id());
      if (found != pending_.end()) {
        done = std::move(found->second);
        pending_.erase(found);
      }
    }
    if (done) {
      done(grpc::Status::OK);
    }
    response_.Clear();
    StartRead(&response_);
  }

  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&mu_);
    writing_ = false;
    if (ok) {
      Pump();
    }
  }

 private:
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || queue_.empty()) {
      return;
    }
    request_ = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    StartWrite(&request_);
  }

  void Fail() {
    std::map<uint64_t, std::function<void(grpc::Status)>> pending;
    {
      const absl::MutexLock lock(&mu_);
      pending.swap(pending_);
    }
    for (const auto& [id, done] : pending) {
      done(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream ended"));
    }
  }

  const std::unique_ptr<pb::AcceleratorService::Stub> stub_;
  grpc::ClientContext context_;
  pb::AttachResponse response_;  // of the read under way
  absl::Mutex mu_;
  pb::AttachRequest request_ ABSL_GUARDED_BY(mu_);  // of the write under way
  std::deque<pb::AttachRequest> queue_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, std::function<void(grpc::Status)>> pending_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
};

class Answerer final : public pb::EnclaveService::CallbackService {
 public:
  // `stream` may be null: no third hop.
  Answerer(const Flags& flags, std::unique_ptr<StreamCaller> stream) : flags_(flags), stream_(std::move(stream)) {}

  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context, const v1::InferRequest* /*request*/,
                                  v1::InferResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    response->set_salt(std::string(kSaltBytes, '\0'));
    response->set_ciphertext(std::string(flags_.bytes, '\0'));
    if (stream_ == nullptr) {
      reactor->Finish(grpc::Status::OK);
    } else {
      stream_->Execute(flags_.feature_bytes, [reactor](const grpc::Status& status) { reactor->Finish(status); });
    }
    return reactor;
  }

 private:
  const Flags flags_;
  const std::unique_ptr<StreamCaller> stream_;
};

// Owns itself. A caller sends no faster than it is answered here, so at most a few answers wait.
class StreamAnswerer final : public grpc::ServerBidiReactor<pb::AttachRequest, pb::AttachResponse> {
 public:
  explicit StreamAnswerer(size_t num_bytes) : num_bytes_(num_bytes) {
    StartSendInitialMetadata();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    const absl::MutexLock lock(&mu_);
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    pb::AttachResponse answer;
    answer.set_id(request_.id());
    FillTensor(num_bytes_, *answer.mutable_execute_reply()->add_outputs());
    queue_.push_back(std::move(answer));
    Pump();
    request_.Clear();
    StartRead(&request_);
  }
  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&mu_);
    writing_ = false;
    queue_.pop_front();
    if (ok) {
      Pump();
    }
  }
  void OnDone() override { delete this; }

 private:
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!writing_ && !queue_.empty()) {
      writing_ = true;
      StartWrite(&queue_.front());
    }
  }

  const size_t num_bytes_;
  pb::AttachRequest request_;  // of the read under way
  absl::Mutex mu_;
  std::deque<pb::AttachResponse> queue_ ABSL_GUARDED_BY(mu_);  // the front one is being written while `writing_`
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
};

class StreamService final : public pb::AcceleratorService::CallbackService {
 public:
  explicit StreamService(const Flags& flags) : flags_(flags) {}

  grpc::ServerBidiReactor<pb::AttachRequest, pb::AttachResponse>* Attach(
      grpc::CallbackServerContext* /*context*/) override {
    return new StreamAnswerer(flags_.bytes);  // owns itself
  }

 private:
  const Flags flags_;
};

std::unique_ptr<grpc::Service> ServiceFor(const Flags& flags) {
  const auto connect = [&flags] { return grpc::CreateChannel(flags.forward, grpc::InsecureChannelCredentials()); };
  if (flags.role == "relay") {
    return std::make_unique<Relay>(connect());
  }
  if (flags.role == "answer") {
    return std::make_unique<Answerer>(flags,
                                      flags.forward.empty() ? nullptr : std::make_unique<StreamCaller>(connect()));
  }
  return std::make_unique<StreamService>(flags);
}

int Serve(const Flags& flags) {
  rpc::SignalWaiter signals;  // before any thread
  const std::unique_ptr<grpc::Service> service = ServiceFor(flags);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(flags.listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service.get());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "shoji-echo-peer: cannot listen on %s\n", flags.listen.c_str());
    return 1;
  }
  const bool is_unix = flags.listen.starts_with("unix:");
  const std::string address = is_unix ? flags.listen : "127.0.0.1:" + std::to_string(port);
  if (const absl::Status written = WriteFileAtomically(flags.address_file, AsBytes(address)); !written.ok()) {
    std::fprintf(stderr, "shoji-echo-peer: %s\n", std::string(written.message()).c_str());
    return 1;
  }
  signals.Wait();
  // There is nothing to drain.
  std::_Exit(0);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("A gRPC process of the overhead benchmark that passes messages on and does nothing else.");
  app.add_option("--role", flags.role)->required()->check(CLI::IsMember({"relay", "answer", "stream"}));
  app.add_option("--listen", flags.listen, "unix:PATH or 127.0.0.1:0")->required();
  app.add_option("--forward", flags.forward, "The next hop");
  app.add_option("--address-file", flags.address_file, "Write the address to this file when it serves")->required();
  app.add_option("--bytes", flags.bytes, "Length of the answers");
  app.add_option("--feature-bytes", flags.feature_bytes, "Length of what is sent to the third hop");
  CLI11_PARSE(app, argc, argv);
  return shoji::bench::Serve(flags);
}
