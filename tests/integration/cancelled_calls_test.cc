// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Callers who take back what they have asked for. Their slot at the front end is free at once, and what the enclave has
// begun for them ends only at its next step: so the enclave may have more calls than the front end counts. It takes
// them all the same as long as its queue alone holds what the front end sends at a time (limits.in_flight): those in
// the queue who are gone make room when it is full.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "lib/channel/payload.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/scrape.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using testing::RawClient;

constexpr char kModel[] = "cifar10_resnet";
constexpr char kPatient[] = "patient-0123456789abcdef0123456789";
constexpr char kFickle[] = "fickle-0123456789abcdef0123456789a";
constexpr int kConnections = 3;
constexpr size_t kAtATime = 12;  // of each connection; together more than the front end sends on

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

const Bytes kPicture(size_t{3} * 32 * 32, 7);  // NOLINT(cert-err58-cpp): test code

// Asks for `kAtATime` answers, takes back all the others when it has got the first, and asks again.
class FickleCaller {
 public:
  // Counts in `num_taken_back` the calls that were not answered before.
  FickleCaller(const std::string& address, std::atomic<size_t>& num_taken_back)
      : client_(address), num_taken_back_(num_taken_back) {
    client_.SetToken(kFickle);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::InferenceService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  ~FickleCaller() = default;
  FickleCaller(const FickleCaller&) = delete;
  FickleCaller& operator=(const FickleCaller&) = delete;

  absl::Status Attest() { return client_.Attest(kModel); }
  void Round() {
    for (size_t i = 0; i < kAtATime; ++i) {
      ASSERT_NO_FATAL_FAILURE(Ask());
    }
    Await(*calls_.front());
    for (const std::unique_ptr<Call>& call : calls_) {
      call->context.TryCancel();
    }
    for (const std::unique_ptr<Call>& call : calls_) {
      Await(*call);
      num_taken_back_ += call->status.error_code() == grpc::StatusCode::CANCELLED ? 1U : 0U;
    }
    calls_.clear();
  }

 private:
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::InferResponse>> reader;
    v1::InferResponse response;
    grpc::Status status;
    bool is_done = false;
  };

  void Ask() {
    const auto sealed = client_.Seal(channel::RequestKind::kPicture, kPicture, kModel);
    ASSERT_TRUE(sealed.ok()) << sealed.status();
    v1::InferRequest request;
    request.set_key_id(ToString(sealed->key_id));
    request.set_session_id(ToString(sealed->session_id));
    request.set_sequence(sealed->sequence);
    request.set_model(sealed->model);
    request.set_ciphertext(ToString(sealed->ciphertext));
    auto& call = *calls_.emplace_back(std::make_unique<Call>());
    call.context.AddMetadata("authorization", std::string("Bearer ") + kFickle);
    call.reader = stub_->AsyncInfer(&call.context, request, &queue_);
    call.reader->Finish(&call.response, &call.status, &call);
  }
  void Await(const Call& call) {
    void* tag = nullptr;
    bool ok = false;
    while (!call.is_done && queue_.Next(&tag, &ok)) {
      static_cast<Call*>(tag)->is_done = true;
    }
  }

  RawClient client_;
  std::atomic<size_t>& num_taken_back_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Call>> calls_;
};

class CancelledCallsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string tokens = folder_.File("tokens");
    std::ofstream(tokens) << "name=patient " << kPatient << "\nname=fickle " << kFickle << "\n";
    ASSERT_EQ(::chmod(tokens.c_str(), 0600), 0);
    ClusterOptions options;
    options.models = {testing::BuiltInModel(testing::ReadyPolicy("enclave-only"))};
    options.num_accelerators = 0;
    options.server_yaml =
        "auth: {tokens_file: \"" + tokens + "\"}\nlimits: {in_flight: 16}\nmetrics: {address: \"127.0.0.1:0\"}\n";
    options.enclave_yaml = "work: {requests_in_flight: 4, queue: 16}\nlog: {level: warning}\n";
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
  }

  // Floods until it is stopped.
  std::jthread Flood() {
    return std::jthread([this](const std::stop_token& stop) {
      FickleCaller caller(cluster_->address(), num_taken_back_);
      EXPECT_TRUE(caller.Attest().ok());
      while (!stop.stop_requested() && !HasFatalFailure()) {
        caller.Round();
      }
    });
  }

  const testing::TempDir folder_;
  std::unique_ptr<Cluster> cluster_;
  std::atomic<size_t> num_taken_back_ = 0;
};

TEST_F(CancelledCallsTest, WhoTakesCallsBackDoesNotKeepOthersOutNorGrowAnything) {
  RawClient patient(cluster_->address());
  patient.SetToken(kPatient);
  ASSERT_TRUE(patient.Attest(kModel).ok());
  std::vector<std::jthread> floods;
  for (int i = 0; i < kConnections; ++i) {
    floods.push_back(Flood());
  }
  ASSERT_TRUE(testing::WaitFor([this] { return num_taken_back_ > 300; })) << cluster_->Logs();
  const long enclave_before = testing::ResidentKib(cluster_->enclave().pid());
  const long server_before = testing::ResidentKib(cluster_->server().pid());
  std::chrono::milliseconds longest(0);
  const size_t before = num_taken_back_;
  for (int i = 0; i < 50 || num_taken_back_ < before + 300; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const absl::Status served = patient.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel);
    ASSERT_TRUE(served.ok()) << i << ": " << served << cluster_->Logs();
    longest = std::max(longest,
                       std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin));
  }
  RecordProperty("longest ms", static_cast<int>(longest.count()));
  RecordProperty("taken back", static_cast<int>(num_taken_back_ - before));
  const long enclave_growth = testing::ResidentKib(cluster_->enclave().pid()) - enclave_before;
  const long server_growth = testing::ResidentKib(cluster_->server().pid()) - server_before;
  RecordProperty("enclave growth KiB", static_cast<int>(enclave_growth));
  RecordProperty("server growth KiB", static_cast<int>(server_growth));
  if (!kSanitizerBuild) {
    EXPECT_LT(enclave_growth, 32 * 1024);
    EXPECT_LT(server_growth, 32 * 1024);
  }
  floods.clear();
  // What they left ends by itself.
  const absl::StatusOr<rpc::Address> metrics = testing::MetricsAddressIn(cluster_->server().Log());
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  std::string page;
  EXPECT_TRUE(testing::WaitFor([&] {
    page = testing::Scrape(*metrics).value_or("");
    return testing::SeriesIn(page, "shoji_server_token_in_flight{token=\"fickle\"}") == 0 &&
           testing::SeriesIn(page, "shoji_server_in_flight") == 0;
  })) << page;
  EXPECT_TRUE(patient.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel).ok());
}

}  // namespace
}  // namespace shoji
