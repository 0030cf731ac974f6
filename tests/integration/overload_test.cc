// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Three times as many requests as the enclave can answer: those that are answered are nearly as many as without the
// excess, the others are refused fast, and what comes after the excess is served as if it had not been. The front end
// is a process of its own; the enclave is a fake one that answers at a known pace, and the requests come at a known
// rate whatever becomes of them, so that neither takes much of the machine.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/rpc/status.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/support/fake_enclave_service.h"

namespace shoji {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPace = 200;  // requests a second: a model of 5 ms
constexpr size_t kBody = size_t{150} * 1024;
constexpr int kConnections = 4;
constexpr seconds kOverload(SHOJI_OVERLOAD_SECONDS);

// Times are held to their bounds in the long form only, which runs alone; the short one, which shares the machine with
// other tests, asks that nothing is lost, and prints them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasuresTime = false;
#else
constexpr bool kMeasuresTime = SHOJI_OVERLOAD_SECONDS >= 60;
#endif

const std::string kKey(16, 'k');  // NOLINT(cert-err58-cpp): test code

struct Sample {
  Clock::time_point sent;  // when it was to be
  double millis = 0;
  grpc::StatusCode code = grpc::StatusCode::OK;
  milliseconds retry_after{0};
  std::string message = {};
};

double Percentile(std::vector<double> values, double p) {
  if (values.empty()) {
    return -1;
  }
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))];
}

// Ticks at `interval`, without drift, until the stop.
class Ticker {
 public:
  explicit Ticker(duration<double> interval) : interval_(interval) {}
  // The time of the next tick, waited for.
  Clock::time_point Next() {
    next_ += std::chrono::duration_cast<Clock::duration>(interval_);
    const absl::MutexLock lock(&mu_);
    bool never = false;
    mu_.AwaitWithTimeout(absl::Condition(&never), absl::FromChrono(next_ - Clock::now()));
    return next_;
  }

 private:
  const duration<double> interval_;
  absl::Mutex mu_;
  Clock::time_point next_ = Clock::now();
};

class OverloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rpc::Address address;
    address.kind = rpc::Address::Kind::kUnix;
    address.path = dir_.File("enclave.sock");
    state_.set_ready(true);
    state_.add_key_ids(kKey);
    state_.add_models()->set_name("m");
    auto enclave = testing::FakeEnclave::Start("enclave", address, state_);
    ASSERT_TRUE(enclave.ok()) << enclave.status();
    enclave_ = *std::move(enclave);
    enclave_->Hold();
    std::ofstream(dir_.File("server.yaml")) << "listen: {address: \"127.0.0.1:0\"}\n"
                                            << "enclaves: [{name: e, address: \"unix:enclave.sock\"}]\n"
                                            << "log: {level: warning}\n";
    auto server = testing::Process::Start({{testing::BinDir() + "/shoji-server", "--config", dir_.File("server.yaml"),
                                            "--address-file", dir_.File("address")},
                                           dir_.File("server.log"),
                                           {},
                                           {}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    std::string at;
    ASSERT_TRUE(testing::WaitFor([&] { return static_cast<bool>(std::ifstream(dir_.File("address")) >> at); }));
    for (int i = 0; i < kConnections; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      stubs_.push_back(
          v1::InferenceService::NewStub(grpc::CreateCustomChannel(at, grpc::InsecureChannelCredentials(), arguments)));
    }
    pacer_ = std::jthread([this](const std::stop_token& stop) {
      Ticker ticker{duration<double>(1.0 / kPace)};
      for (int i = 0; !stop.stop_requested(); ++i) {
        ticker.Next();
        enclave_->LetOne();
        if (i % (2 * kPace) == 0) {
          enclave_->Report(state_);  // a sign of life, as a real one gives
        }
      }
    });
    ASSERT_TRUE(testing::WaitFor([this] { return Run(50, milliseconds(100)).front().code == grpc::StatusCode::OK; }));
  }

  // Sends `rate` requests a second for `time`, at their times, and waits for what comes of them.
  std::vector<Sample> Run(int rate, Clock::duration time) {
    struct Call {
      grpc::ClientContext context;
      v1::InferResponse response;
    };
    v1::InferRequest request;
    request.set_key_id(kKey);
    request.set_ciphertext(std::string(kBody, 'x'));
    const auto count = static_cast<size_t>(std::max<int64_t>(1, time * rate / seconds(1)));
    std::vector<Sample> samples(count);
    std::vector<std::unique_ptr<Call>> calls(count);
    absl::Mutex mu;
    size_t num_left = count;
    Ticker ticker{duration<double>(1.0 / rate)};
    for (size_t i = 0; i < count; ++i) {
      samples[i].sent = ticker.Next();
      calls[i] = std::make_unique<Call>();
      calls[i]->context.set_deadline(std::chrono::system_clock::now() + seconds(10));
      stubs_[i % stubs_.size()]->async()->Infer(
          &calls[i]->context, &request, &calls[i]->response, [&, i](const grpc::Status& status) {
            samples[i].millis = duration<double, std::milli>(Clock::now() - samples[i].sent).count();
            samples[i].code = status.error_code();
            samples[i].message = status.error_message();
            samples[i].retry_after = rpc::RetryAfterOf(rpc::FromGrpcStatus(status));
            calls[i].reset();  // with what it sent
            const absl::MutexLock lock(&mu);
            --num_left;
          });
    }
    const absl::MutexLock lock(&mu);
    const auto none_left = [&num_left] { return num_left == 0; };
    mu.Await(absl::Condition(&none_left));
    return samples;
  }

  static double NumOk(const std::vector<Sample>& samples) {
    return static_cast<double>(
        std::count_if(samples.begin(), samples.end(), [](const Sample& s) { return s.code == grpc::StatusCode::OK; }));
  }
  static std::vector<double> MillisOf(const std::vector<Sample>& samples, grpc::StatusCode code) {
    std::vector<double> out;
    for (const Sample& sample : samples) {
      if (sample.code == code) {
        out.push_back(sample.millis);
      }
    }
    return out;
  }
  long PeakKib() const { return testing::PeakKib(server_->pid()); }

  const testing::TempDir dir_;
  internal::v1::EnclaveState state_;
  std::unique_ptr<testing::FakeEnclave> enclave_;
  std::unique_ptr<testing::Process> server_;
  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs_;
  std::jthread pacer_;
};

TEST_F(OverloadTest, ThreeTimesSaturationCostsLittleGoodputRefusesFastAndLeavesNothingBehind) {
  const std::vector<Sample> calm = Run(kPace / 2, seconds(2));
  EXPECT_GE(NumOk(calm), kMeasuresTime ? static_cast<double>(calm.size()) : 1);
  EXPECT_EQ(NumOk(calm) + static_cast<double>(MillisOf(calm, grpc::StatusCode::RESOURCE_EXHAUSTED).size()),
            static_cast<double>(calm.size()));
  const double calm_p99 = Percentile(MillisOf(calm, grpc::StatusCode::OK), 0.99);

  const std::vector<Sample> overload = Run(3 * kPace, kOverload);
  const Clock::time_point end = Clock::now();
  // What was answered while more came; what was still queued at the end does not count.
  const auto in_time = std::count_if(overload.begin(), overload.end(), [&](const Sample& sample) {
    return sample.code == grpc::StatusCode::OK &&
           sample.sent + duration<double, std::milli>(sample.millis) <= overload.back().sent;
  });
  const double goodput = static_cast<double>(in_time) / static_cast<double>(kOverload.count()) / kPace;
  const std::vector<double> refused = MillisOf(overload, grpc::StatusCode::RESOURCE_EXHAUSTED);
  std::map<std::string, int> others;
  for (const Sample& sample : overload) {
    if (sample.code != grpc::StatusCode::OK && sample.code != grpc::StatusCode::RESOURCE_EXHAUSTED) {
      ++others[std::to_string(sample.code) + " " + sample.message];
    }
  }
  EXPECT_THAT(others, ::testing::IsEmpty());
  const double refused_p99 = Percentile(refused, 0.99);
  const double ok_p99 = Percentile(MillisOf(overload, grpc::StatusCode::OK), 0.99);
  milliseconds max_retry_after{0};
  int num_unadvised = 0;
  for (const Sample& sample : overload) {
    max_retry_after = std::max(max_retry_after, sample.retry_after);
    num_unadvised += sample.code != grpc::StatusCode::OK && sample.retry_after.count() == 0 ? 1 : 0;
  }
  EXPECT_EQ(num_unadvised, 0);

  const std::vector<Sample> after = Run(kPace / 2, seconds(2));
  const double late_p99 = Percentile(MillisOf(after, grpc::StatusCode::OK), 0.99);
  EXPECT_GE(NumOk(after), kMeasuresTime ? static_cast<double>(after.size()) : 1);
  EXPECT_EQ(NumOk(after) + static_cast<double>(MillisOf(after, grpc::StatusCode::RESOURCE_EXHAUSTED).size()),
            static_cast<double>(after.size()));

  std::printf(
      "goodput/peak %.3f, refused %zu of %zu p50 %.2f ms p99 %.2f ms, answered p99 %.0f ms, advice up to %lld ms, "
      "calm p99 %.2f ms, after p99 %.2f ms, peak %ld KiB\n",
      goodput, refused.size(), overload.size(), Percentile(refused, 0.5), refused_p99, ok_p99,
      static_cast<long long>(max_retry_after.count()), calm_p99, late_p99, PeakKib());
  if (kMeasuresTime) {
    EXPECT_LT(end - overload.back().sent, seconds(2));
    EXPECT_GE(goodput, 0.85);
    EXPECT_LE(refused_p99, 20);
    EXPECT_LE(late_p99, std::max(4 * calm_p99, 100.0));
    EXPECT_LE(PeakKib(), 400 * 1024);
  }
}

}  // namespace
}  // namespace shoji
