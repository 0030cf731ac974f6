// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The product under load, sent by `shoji load`.
//
//   throughput  of a model that takes no time, all of it in the enclave, through client, front end and enclave, beside
//               a gRPC echo of the same sizes through as many processes, both with the same number of requests in
//               flight; in turns, and the median of the turns' ratios
//   spread      p99 over p50 of latency, from the intended times, at 70 % of the rate that saturates it; and the same
//   of
//               the echo, at 70 % of what saturates that
//   overload    a model of some milliseconds, whose peak is measured first; then three times as many requests a second
//               as that: what is answered of the peak, how long those take to hear that are refused, and how long it
//               takes until latency is as it was
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench/echo.h"
#include "bench/figures.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/channel/payload.h"
#include "lib/histogram/histogram.h"
#include "tests/support/onnx_builder.h"

namespace shoji::bench {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;
using testing::Cluster;
using testing::OnnxBuilder;

struct Flags {
  std::string figures;
  int rounds = 5;
  int round_seconds = 4;
  int overload_seconds = 60;
  int in_flight = 32;
};

constexpr size_t kValues = 768;  // 3 KiB, as a small picture

// Takes no time to speak of: what is left is the product's own.
Bytes NoModel() { return OnnxBuilder().Input("x", {1, kValues}).Node("Relu", {"x"}, {"y"}).Output("y").Build(); }

// Some milliseconds on one processor: convolutions over 16 x 16 places.
Bytes SlowModel() {
  OnnxBuilder builder;
  builder.Input("x", {1, 3, 16, 16});
  std::string value = "x";
  int64_t channels = 3;
  for (int i = 0; i < 8; ++i) {
    const std::string number = std::to_string(i);
    builder.Weight("w" + number, {512, channels, 3, 3});
    builder.Node("Conv", {value, "w" + number}, {"c" + number}).Attribute("pads", std::vector<int64_t>{1, 1, 1, 1});
    builder.Node("Relu", {"c" + number}, {"r" + number});
    value = "r" + number;
    channels = 512;
  }
  return builder.Node("GlobalAveragePool", {value}, {"y"}).Output("y").Build();
}

absl::StatusOr<std::unique_ptr<Cluster>> Serve(const testing::TempDir& folder, const Bytes& onnx) {
  RETURN_IF_ERROR(WriteFileAtomically(folder.File("m.onnx"), onnx));
  testing::ClusterOptions options;
  options.models = {{.name = "m",
                     .onnx = folder.File("m.onnx"),
                     .labels = "",
                     .preprocessing = "",
                     .policy = "model: m\nsegments: [{from: input, place: enclave}]\n"}};
  options.num_accelerators = 0;
  options.server_yaml = "log: {level: warning}\n";
  options.enclave_yaml = "log: {level: warning}\n";
  return Cluster::Start(std::move(options));
}

// Runs `shoji load`; its only level.
absl::StatusOr<Json> Load(const Cluster& cluster, const std::vector<std::string>& more) {
  std::vector<std::string> argv = {testing::BinDir() + "/shoji",
                                   "load",
                                   "--server",
                                   cluster.address(),
                                   "--plaintext",
                                   "--allow-simulated",
                                   "--simulated-key",
                                   cluster.signer_public_key_file(),
                                   "--output",
                                   "json"};
  argv.insert(argv.end(), more.begin(), more.end());
  const testing::CommandResult result = testing::RunCommand(argv, std::chrono::minutes(10));
  const Json json = Json::parse(result.out, nullptr, false);
  if (result.exit_code != 0 || json.is_discarded()) {
    return absl::InternalError("shoji load failed: " + result.err);
  }
  if (json.at("levels").at(0).at("answered") == 0) {
    return absl::InternalError("shoji load got no answer: " + json.at("levels").at(0).at("errors").dump());
  }
  return json.at("levels").at(0);
}

// What became of requests at a rate.
struct RateRun {
  double achieved = 0;  // answers a second
  double p50 = 0;       // seconds, from the intended times
  double p99 = 0;
};

// Calls a second through the echo, with as many in flight.
class EchoLoad {
 public:
  explicit EchoLoad(const Echo& echo) : echo_(echo) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::InferenceService::NewStub(
        grpc::CreateCustomChannel(echo.address(), grpc::InsecureChannelCredentials(), arguments));
  }

  double Run(int in_flight, seconds warmup, seconds duration) {
    end_ = std::chrono::steady_clock::now() + warmup + duration;
    from_ = end_ - duration;
    num_done_ = 0;
    num_left_ = in_flight;
    for (int i = 0; i < in_flight; ++i) {
      Next();
    }
    std::unique_lock lock(mu_);
    all_done_.wait(lock, [this] { return num_left_ == 0; });
    return static_cast<double>(num_done_) / std::chrono::duration<double>(duration).count();
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::InferResponse response;
  };
  void Next() {
    auto* const call = new Call;  // deletes itself below
    stub_->async()->Infer(&call->context, &echo_.request(), &call->response, [this, call](const grpc::Status& status) {
      const bool whole = status.ok() && call->response.ciphertext().size() == echo_.sizes().answer;
      delete call;
      const auto now = std::chrono::steady_clock::now();
      if (whole && now >= from_ && now < end_) {
        ++num_done_;
      }
      if (now < end_) {
        Next();
        return;
      }
      const std::scoped_lock lock(mu_);
      --num_left_;
      all_done_.notify_all();
    });
  }

  const Echo& echo_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
  SteadyTime from_;
  SteadyTime end_;
  std::atomic<uint64_t> num_done_ = 0;
  std::mutex mu_;
  std::condition_variable all_done_;
  int num_left_ = 0;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string Seconds(int64_t count) { return std::to_string(count) + "s"; }

// A run of closed-loop load, after one that is not counted.
absl::StatusOr<Json> Closed(const Cluster& cluster, int in_flight, int duration) {
  return Load(cluster, {"--concurrency", std::to_string(in_flight), "--warmup", "1s", "--duration", Seconds(duration)});
}

// Calls at a rate, whatever becomes of those before, as `shoji load --rate` makes them: one thread sends each at its
// time, another takes the answers, and latency counts from the intended times.
absl::StatusOr<RateRun> EchoAtRate(const Echo& echo, double rate, seconds warmup, seconds duration) {
  struct Call {
    SteadyTime intended;
    grpc::ClientContext context;
    v1::InferResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::InferResponse>> reader;
  };
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = v1::InferenceService::NewStub(
      grpc::CreateCustomChannel(echo.address(), grpc::InsecureChannelCredentials(), arguments));
  grpc::CompletionQueue queue;
  const SteadyTime begin = std::chrono::steady_clock::now();
  const SteadyTime counted_from = begin + warmup;
  const SteadyTime end = counted_from + duration;
  Histogram latency;
  SteadyTime last_done = end;
  uint64_t num_failed = 0;
  std::jthread taker([&] {
    void* tag = nullptr;
    for (bool ok = false; queue.Next(&tag, &ok);) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      const SteadyTime now = std::chrono::steady_clock::now();
      num_failed += call->status.ok() && call->response.ciphertext().size() == echo.sizes().answer ? 0U : 1U;
      if (call->intended >= counted_from) {
        latency.Record(now - call->intended);
        last_done = std::max(last_done, now);
      }
    }
  });
  prctl(PR_SET_TIMERSLACK, 1);
  const auto gap = std::chrono::duration<double>(1 / rate);
  for (uint64_t i = 0;; ++i) {
    const SteadyTime intended =
        begin + std::chrono::duration_cast<std::chrono::nanoseconds>(gap * static_cast<double>(i));
    if (intended >= end) {
      break;
    }
    std::this_thread::sleep_until(intended);
    auto* const call = new Call;  // the taker deletes it
    call->intended = intended;
    call->reader = stub->AsyncInfer(&call->context, echo.request(), &queue);
    call->reader->Finish(&call->response, &call->status, call);
  }
  queue.Shutdown();  // what is out is still taken
  taker.join();
  if (num_failed > 0) {
    return absl::InternalError(std::to_string(num_failed) + " calls to the echo failed");
  }
  return RateRun{.achieved = static_cast<double>(latency.count()) /
                             std::chrono::duration<double>(last_done - counted_from).count(),
                 .p50 = std::chrono::duration<double>(latency.Quantile(0.5)).count(),
                 .p99 = std::chrono::duration<double>(latency.Quantile(0.99)).count()};
}

absl::StatusOr<RateRun> ShojiAtRate(const Cluster& cluster, double rate, seconds warmup, seconds duration) {
  ASSIGN_OR_RETURN(const Json level, Load(cluster, {"--rate", std::to_string(rate), "--warmup", Seconds(warmup.count()),
                                                    "--duration", Seconds(duration.count())}));
  return RateRun{.achieved = level.at("achieved_rate"),
                 .p50 = level.at("latency").at("p50"),
                 .p99 = level.at("latency").at("p99")};
}

struct Spread {
  double saturation = 0;  // the highest rate of requests that is kept up with
  double ratio = 0;       // p99 over p50 at 70 % of that
  double p50 = 0;         // there, in seconds
};

// Requests come one by one then, and not, as the answers of a closed loop make them, several at a time that are read
// and written together. `peak` is of such a closed loop. The median of three, for a pause of the machine spoils one.
template <typename AtRate>
absl::StatusOr<Spread> MeasureSpread(double peak, AtRate at_rate) {
  constexpr double kKeptUp = 0.99;
  Spread out;
  for (const double share : {0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}) {
    ASSIGN_OR_RETURN(const RateRun run, at_rate(share * peak, seconds(1), seconds(3)));
    if (run.achieved >= kKeptUp * share * peak) {
      out.saturation = std::max(out.saturation, run.achieved);
    }
  }
  if (out.saturation == 0) {
    return absl::InternalError("no rate from 0.4 of the closed loop's throughput on was kept up with");
  }
  std::vector<double> p50;
  std::vector<double> ratios;
  for (int round = 0; round < 3; ++round) {
    ASSIGN_OR_RETURN(const RateRun run, at_rate(0.7 * out.saturation, seconds(2), seconds(10)));
    p50.push_back(run.p50);
    ratios.push_back(run.p99 / run.p50);
  }
  out.ratio = Median(ratios);
  out.p50 = Median(p50);
  return out;
}

absl::Status MeasureSpreads(const Cluster& cluster, double peak, const Echo& echo, double echo_peak,
                            std::vector<Figure>& figures) {
  ASSIGN_OR_RETURN(const Spread ours, MeasureSpread(peak, [&](double rate, seconds warmup, seconds duration) {
                     return ShojiAtRate(cluster, rate, warmup, duration);
                   }));
  ASSIGN_OR_RETURN(const Spread theirs, MeasureSpread(echo_peak, [&](double rate, seconds warmup, seconds duration) {
                     return EchoAtRate(echo, rate, warmup, duration);
                   }));
  figures.push_back({"load.saturation_per_s", ours.saturation, "the highest rate of requests that is kept up with"});
  figures.push_back({"load.p99_over_p50", ours.ratio, "of latency from intended times, at 70 % of that rate"});
  figures.push_back({"load.p50_ms", 1000 * ours.p50, "there"});
  figures.push_back({"load.echo_saturation_per_s", theirs.saturation, "the same of the echo"});
  figures.push_back({"load.echo_p99_over_p50", theirs.ratio, "the same of the echo: what the machine itself spreads"});
  figures.push_back({"load.echo_p50_ms", 1000 * theirs.p50, "there"});
  return absl::OkStatus();
}

absl::Status MeasureThroughput(const Flags& flags, std::vector<Figure>& figures) {
  const testing::TempDir folder;
  ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster, Serve(folder, NoModel()));
  EchoSizes sizes;
  sizes.request = channel::SealedRequestSize(kValues * sizeof(float));
  sizes.answer = channel::SealedAnswerSize(kValues * sizeof(float));
  ASSIGN_OR_RETURN(const std::unique_ptr<Echo> echo, Echo::Start(sizes));
  EchoLoad echo_load(*echo);
  std::vector<double> ratios;
  std::vector<double> ours;
  std::vector<double> theirs;
  std::vector<double> generator;
  for (int round = 0; round < flags.rounds; ++round) {
    theirs.push_back(echo_load.Run(flags.in_flight, seconds(1), seconds(flags.round_seconds)));
    ASSIGN_OR_RETURN(const Json level, Closed(*cluster, flags.in_flight, flags.round_seconds));
    if (level.at("failed") != 0) {
      return absl::InternalError("requests failed: " + level.at("errors").dump());
    }
    ours.push_back(level.at("achieved_rate"));
    ratios.push_back(ours.back() / theirs.back());
    generator.push_back(level.at("generator").at("cpu_us_per_request"));
  }
  const double peak = Median(ours);
  figures.push_back(
      {"load.throughput_over_echo", Median(ratios), "answers a second over a gRPC echo's, same hops and sizes"});
  figures.push_back(
      {"load.throughput_per_s", peak, "answers a second through all processes, a model that takes no time"});
  figures.push_back({"load.echo_per_s", Median(theirs), "of the echo"});
  figures.push_back({"load.generator_us_per_request", Median(generator),
                     "processor time of shoji load, sealing and opening included"});
  RETURN_IF_ERROR(MeasureSpreads(*cluster, peak, *echo, Median(theirs), figures));
  // What the generator itself takes at 5,000 requests a second, answered or refused.
  ASSIGN_OR_RETURN(const Json five, Load(*cluster, {"--rate", "5000", "--warmup", "1s", "--duration", "5s"}));
  figures.push_back({"load.generator_share_at_5000_per_s", five.at("generator").at("cpu_share"),
                     "of one processor, for shoji load at 5,000 requests a second"});
  return absl::OkStatus();
}

absl::Status MeasureOverload(const Flags& flags, std::vector<Figure>& figures) {
  constexpr int kInFlight = 16;
  const testing::TempDir folder;
  ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster, Serve(folder, SlowModel()));
  ASSIGN_OR_RETURN(const Json alone, Closed(*cluster, 1, flags.round_seconds));
  ASSIGN_OR_RETURN(const Json peak_level, Closed(*cluster, kInFlight, 2 * flags.round_seconds));
  const double peak = peak_level.at("achieved_rate");
  const std::vector<std::string> calm = {"--rate", std::to_string(0.3 * peak), "--warmup", "0s", "--duration", "4s"};
  ASSIGN_OR_RETURN(const Json before, Load(*cluster, calm));
  ASSIGN_OR_RETURN(const Json over, Load(*cluster, {"--rate", std::to_string(3 * peak), "--warmup", "2s", "--duration",
                                                    Seconds(flags.overload_seconds), "--timeout", "10s"}));
  ASSIGN_OR_RETURN(const Json after, Load(*cluster, calm));
  double rejection = 0;
  double refused = 0;
  for (const auto& [key, times] : over.at("errors").items()) {
    if (key.starts_with("RESOURCE_EXHAUSTED")) {
      rejection = std::max(rejection, times.at("p99").get<double>());
      refused += times.at("count").get<double>();
    }
  }
  const double goodput = over.at("achieved_rate");
  // The first stretch from which on all are as they were.
  const double normal = 2 * before.at("latency").at("p99").get<double>();
  double recovered = 0;
  for (const Json& slice : after.at("slices")) {
    if (slice.at("answered") != 0 && slice.at("p99").get<double>() > normal) {
      recovered = slice.at("begin").get<double>() + after.at("slice_seconds").get<double>();
    }
  }
  figures.push_back({"load.goodput_at_3x_over_peak", goodput / peak,
                     "answers a second at three times the peak's rate, over the peak"});
  figures.push_back(
      {"load.rejection_p99_ms", 1000 * rejection, "until those hear that are refused, from their intended times"});
  figures.push_back(
      {"load.recovery_s", recovered, "after the overload, until p99 stays within twice what it was before"});
  figures.push_back(
      {"load.overload_refused_share", refused / (refused + over.at("answered").get<double>()), "of all that ended"});
  figures.push_back({"load.overload_other_errors",
                     over.at("failed").get<double>() - refused + over.at("dropped").get<double>(),
                     "requests that ended in any other way"});
  figures.push_back({"load.overload_answer_p99_ms", 1000 * over.at("latency").at("p99").get<double>(),
                     "of those that were answered"});
  figures.push_back({"load.model_ms", 1000 * alone.at("latency").at("p50").get<double>(), "one request at a time"});
  figures.push_back({"load.peak_per_s", peak, "answers a second of that model"});
  figures.push_back(
      {"load.overload_generator_share", over.at("generator").at("cpu_share"), "of one processor, for shoji load"});
  return absl::OkStatus();
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("The product under load, beside a gRPC echo, and under three times what it can do.");
  app.add_option("--figures", flags.figures, "Write the figures to this file")->required();
  app.add_option("--rounds", flags.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--overload-seconds", flags.overload_seconds)->check(CLI::Range(1, 3600));
  app.add_option("--in-flight", flags.in_flight)->check(CLI::Range(1, 10000));
  CLI11_PARSE(app, argc, argv);
  std::vector<shoji::bench::Figure> figures;
  absl::Status status = shoji::bench::MeasureThroughput(flags, figures);
  if (status.ok()) {
    status = shoji::bench::MeasureOverload(flags, figures);
  }
  if (status.ok()) {
    status = shoji::bench::WriteFigures(figures, flags.figures);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "load_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
