// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The daemon's own cost: latency of a request through all processes minus the bare kernel time, and beside it the
// latency of a gRPC echo of the same sizes through as many processes, over the same kinds of sockets (echo_peer.cc).
//
// One request at a time. All are measured in turns, in many short blocks, so that whatever else the machine does meets
// all of them alike; a block begins with a few requests that are not counted. Of all requests of a kind the median is
// reported:
//
//   latency   client library (resize, seal) -> front end -> enclave [-> accelerator] -> client library (open)
//   kernel    the same programs, one thread each, on the same input, in this process, back to back
//   echo      a client's gRPC call -> relay -> answering process [-> third process]; the kernels run before each call,
//             untimed: the echo's processes rest as long between two requests, and find the caches in the same state,
//             as those of a daemon that has these kernels to run
//   hot echo  the same calls back to back
//   daemon    latency - kernel
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench/echo.h"
#include "bench/figures.h"
#include "client/session.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/channel/payload.h"
#include "lib/execution/program.h"
#include "lib/graph/cut.h"
#include "lib/graph/onnx_import.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "lib/partition/plan.h"
#include "lib/policy_file/policy_file.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"

namespace shoji::bench {
namespace {

using testing::Cluster;
using testing::Process;
using testing::TempDir;

constexpr std::chrono::seconds kPatience(10);
constexpr int kUncounted = 5;  // at the start of every block

struct Flags {
  std::string figures;
  int rounds = 60;
  int requests = 40;  // counted, of each kind in each round
};

// The picture, as the client is given it: 32 x 32, out of the middle of a photograph.
absl::StatusOr<image::Image> LoadPicture() {
  const std::string path = std::string(SHOJI_SOURCE_DIR) + "/models/photos/cat.png";
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(path, size_t{16} << 20));
  ASSIGN_OR_RETURN(const image::Image photo, image::Decode(file, path));
  image::Image out(32, 32, 3);
  for (size_t y = 0; y < out.height(); ++y) {
    const uint8_t* row = photo.row(photo.height() / 2 + y) + photo.row_bytes() / 6 * 3;
    std::copy_n(row, out.row_bytes(), out.mutable_row(y));
  }
  return out;
}

// The programs that a plan makes of the model, run one after the other in this process.
class BareKernel {
 public:
  static absl::StatusOr<std::unique_ptr<BareKernel>> Create(const std::string& onnx, const std::string& policy_text) {
    ASSIGN_OR_RETURN(const Bytes file, ReadFile(onnx, size_t{64} << 20));
    ASSIGN_OR_RETURN(const graph::Graph graph, graph::ImportOnnx(file));
    ASSIGN_OR_RETURN(const partition::PartitionPolicy policy, policy_file::ParsePolicy(policy_text, "policy"));
    ASSIGN_OR_RETURN(const partition::ResolvedPlan plan, partition::Resolve(policy, graph, {{"acc0", "op0", {}}}));
    auto out = std::make_unique<BareKernel>();
    for (const partition::Segment& segment : plan.segments) {
      Stage stage;
      ASSIGN_OR_RETURN(stage.program,
                       execution::Program::Compile(graph::Cut(graph, segment.first_node, segment.end_node), {}));
      stage.workspace = stage.program->NewWorkspace();
      out->stages_.push_back(std::move(stage));
      if (segment.place == partition::Placement::kOpen) {
        out->opened_bytes_ += segment.inputs.at(0).size_bytes();
      }
    }
    return out;
  }

  // Of a model whose segments hand on one tensor each.
  absl::Status Run(const Tensor& input) {
    const Tensor* live = &input;
    std::vector<Tensor> outputs;
    for (const Stage& stage : stages_) {
      ASSIGN_OR_RETURN(outputs, stage.program->Run(std::span<const Tensor* const>(&live, 1), *stage.workspace));
      live = &outputs[0];
    }
    output_bytes_ = live->size_bytes();
    return absl::OkStatus();
  }

  size_t output_bytes() const { return output_bytes_; }  // of the last run
  size_t opened_bytes() const { return opened_bytes_; }  // that cross to an accelerator

 private:
  struct Stage {
    std::unique_ptr<execution::Program> program;
    std::unique_ptr<execution::Workspace> workspace;
  };
  std::vector<Stage> stages_;
  size_t output_bytes_ = 0;
  size_t opened_bytes_ = 0;
};

// Microseconds, one a request.
using Samples = std::vector<double>;

double Quantile(Samples samples, double q) {
  const auto at = samples.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

struct Contender {
  std::function<absl::Status()> run_once;
  std::function<absl::Status()> before_each = [] { return absl::OkStatus(); };  // not timed
  Samples samples = {};
};

absl::Status RunBlock(Contender& contender, int requests) {
  for (int i = -kUncounted; i < requests; ++i) {
    RETURN_IF_ERROR(contender.before_each());
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(contender.run_once());
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    if (i >= 0) {
      contender.samples.push_back(took.count());
    }
  }
  return absl::OkStatus();
}

// One uncounted round, then `flags.rounds`; who begins changes from round to round.
absl::Status Measure(const Flags& flags, std::vector<Contender>& contenders) {
  for (int round = -1; round < flags.rounds; ++round) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      const size_t turn = (i + static_cast<size_t>(round + 1)) % contenders.size();
      RETURN_IF_ERROR(RunBlock(contenders[turn], flags.requests));
      if (round < 0) {
        contenders[turn].samples.clear();
      }
    }
  }
  return absl::OkStatus();
}

std::vector<Figure> FiguresOf(const std::vector<Contender>& contenders, const std::string& prefix) {
  const auto quantile = [&](size_t contender, double q) { return Quantile(contenders[contender].samples, q); };
  const double latency_us = quantile(0, 0.5);
  const double paced_echo_us = quantile(1, 0.5);
  const double echo_us = quantile(2, 0.5);
  const double kernel_us = quantile(3, 0.5);
  const double daemon_us = latency_us - kernel_us;
  return {
      {prefix + "latency_us", latency_us, "a request through all processes, median"},
      {prefix + "latency_p90_us", quantile(0, 0.9), "the same, 90th percentile"},
      {prefix + "kernel_us", kernel_us, "the bare kernels, one thread, median"},
      {prefix + "kernel_p90_us", quantile(3, 0.9), "the same, 90th percentile"},
      {prefix + "daemon_us", daemon_us, "the daemon's own: latency - kernel"},
      {prefix + "paced_echo_us", paced_echo_us, "gRPC echo, same sizes, hops and pace, median"},
      {prefix + "paced_echo_p90_us", quantile(1, 0.9), "the same, 90th percentile"},
      {prefix + "echo_us", echo_us, "gRPC echo, same sizes and hops, back to back, median"},
      {prefix + "daemon_over_echo", daemon_us / echo_us, "aim: at most 1.5"},
      {prefix + "daemon_over_paced_echo", daemon_us / paced_echo_us, ""},
  };
}

// The path under one ready policy. `prefix` begins the figures' names.
absl::StatusOr<std::vector<Figure>> MeasurePath(const Flags& flags, const std::string& policy_name,
                                                const std::string& prefix) {
  const std::string policy = testing::ReadyPolicy(policy_name);
  testing::ClusterOptions options;
  options.models = {testing::BuiltInModel(policy)};
  ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster, Cluster::Start(options));
  ASSIGN_OR_RETURN(const std::unique_ptr<client::Session> session, cluster->OpenSession());
  ASSIGN_OR_RETURN(const image::Image picture, LoadPicture());
  const image::Preprocessing& preprocessing = *session->model()->preprocessing;
  ASSIGN_OR_RETURN(const Tensor input,
                   image::Normalize(image::ToPixels(picture, preprocessing).bytes(), preprocessing));
  ASSIGN_OR_RETURN(const std::unique_ptr<BareKernel> kernel, BareKernel::Create(options.models[0].onnx, policy));
  RETURN_IF_ERROR(kernel->Run(input));
  ASSIGN_OR_RETURN(const std::unique_ptr<Echo> echo,
                   Echo::Start({.request = channel::SealedRequestSize(preprocessing.num_pixel_bytes()),
                                .answer = channel::SealedAnswerSize(kernel->output_bytes()),
                                .feature = kernel->opened_bytes(),
                                .output = kernel->output_bytes()}));

  const auto run_kernel = [&] { return kernel->Run(input); };
  const auto call_echo = [&] { return echo->Call(); };
  std::vector<Contender> contenders(4);
  contenders[0].run_once = [&] {
    return session->Infer(picture, std::chrono::steady_clock::now() + kPatience).status();
  };
  contenders[1].run_once = call_echo;
  contenders[1].before_each = run_kernel;
  contenders[2].run_once = call_echo;
  contenders[3].run_once = run_kernel;
  RETURN_IF_ERROR(Measure(flags, contenders));
  return FiguresOf(contenders, prefix);
}

absl::Status Run(const Flags& flags) {
  std::vector<Figure> figures;
  for (const auto& [policy, prefix] :
       {std::pair<std::string, std::string>("enclave-only", "overhead."), {"layer-partition", "overhead.partition_"}}) {
    ASSIGN_OR_RETURN(const std::vector<Figure> more, MeasurePath(flags, policy, prefix));
    figures.insert(figures.end(), more.begin(), more.end());
  }
  return WriteFigures(figures, flags.figures);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("The daemon's own cost, beside a gRPC echo of the same sizes and hops.");
  app.add_option("--figures", flags.figures, "Write the figures to this file")->required();
  app.add_option("--rounds", flags.rounds)->check(CLI::Range(1, 100000));
  app.add_option("--requests", flags.requests, "Of each kind in each round")->check(CLI::Range(1, 100000));
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = shoji::bench::Run(flags); !status.ok()) {
    std::fprintf(stderr, "overhead_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
