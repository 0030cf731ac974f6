// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an open segment takes on a CUDA device, beside the CPU backend and, where there is one, another runtime on the
// same device: whole networks, from the input's bytes on this host to the output's.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bench/figures.h"
#include "gpu_worker/cpu/cpu_backend.h"
#include "gpu_worker/cuda/cuda_backend.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_import.h"

namespace shoji::bench {
namespace {

using accelerator::Backend;
using accelerator::Model;

struct Flags {
  std::string figures;
  std::string peer;
  std::vector<std::string> models;
  int rounds = 200;
  int cpu_rounds = 5;
  int threads = 1;
  std::vector<size_t> batches = {4, 16};
};

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

Tensor RandomTensor(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor out(DataType::kFloat32, shape);
  for (float& value : out.mutable_values<float>()) {
    value = normal(generator);
  }
  return out;
}

std::vector<Tensor> Inputs(const Shape& shape, size_t batch) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < batch; ++i) {
    out.push_back(RandomTensor(shape, static_cast<unsigned>(i)));
  }
  return out;
}

// Microseconds of one call, the median.
absl::StatusOr<double> Time(Model& model, const Shape& shape, size_t batch, int rounds) {
  std::vector<double> times;
  const std::vector<Tensor> drawn = Inputs(shape, batch);
  for (int i = -std::max(2, rounds / 10); i < rounds; ++i) {
    std::vector<Tensor> inputs;
    std::transform(drawn.begin(), drawn.end(), std::back_inserter(inputs),
                   [](const Tensor& tensor) { return tensor.Clone(); });
    const auto begin = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(model.RunBatch(std::move(inputs), batch, {}).status());
    if (i >= 0) {
      times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
    }
  }
  return Median(std::move(times));
}

// How far the two are apart, relative to the largest value of the first.
absl::StatusOr<double> Difference(Model& a, Model& b, const Shape& shape) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> left, a.Run(Inputs(shape, 1), {}));
  ASSIGN_OR_RETURN(const std::vector<Tensor> right, b.Run(Inputs(shape, 1), {}));
  double most = 0;
  double apart = 0;
  for (size_t i = 0; i < left[0].num_elements(); ++i) {
    most = std::max<double>(most, std::abs(left[0].values<float>()[i]));
    apart = std::max<double>(apart, std::abs(left[0].values<float>()[i] - right[0].values<float>()[i]));
  }
  return apart / most;
}

// What the peer's program prints for the model: names and microseconds, one line each.
std::vector<std::pair<std::string, double>> TimePeer(const std::string& peer, const std::string& model) {
  std::vector<std::pair<std::string, double>> out;
  std::FILE* const pipe = ::popen((peer + " '" + model + "'").c_str(), "r");
  char name[64];
  double value = 0;
  while (pipe != nullptr && std::fscanf(pipe, "%63s %lf", name, &value) == 2) {
    out.emplace_back(name, value);
  }
  if (pipe == nullptr || ::pclose(pipe) != 0) {
    std::printf("without a peer: %s failed\n", peer.c_str());
    out.clear();
  }
  return out;
}

absl::Status Measure(const Flags& flags, Backend& cuda, Backend& cpu, const std::string& file,
                     std::vector<Figure>& figures) {
  const std::string name = std::filesystem::path(file).stem().string();
  ASSIGN_OR_RETURN(const Bytes onnx, ReadFile(file, size_t{1} << 31));
  ASSIGN_OR_RETURN(const graph::Graph graph, graph::ImportOnnx(onnx));
  const Shape shape = graph.values[graph.inputs[0]].shape;
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> on_device, cuda.Load(onnx));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> on_cpu, cpu.Load(onnx));
  ASSIGN_OR_RETURN(const double apart, Difference(*on_cpu, *on_device, shape));
  ASSIGN_OR_RETURN(const double device_us, Time(*on_device, shape, 1, flags.rounds));
  ASSIGN_OR_RETURN(const double cpu_us, Time(*on_cpu, shape, 1, flags.cpu_rounds));
  figures.push_back({name + ".cuda_open_us", device_us, "one request on the device, copies to and fro included"});
  figures.push_back({name + ".cuda_open_over_cpu", device_us / cpu_us, "against the CPU backend"});
  figures.push_back({name + ".cuda_open_apart", apart, "largest difference from the CPU backend's outputs"});
  std::printf("%-16s cuda %8.0f us   cpu %8.0f us   apart %.1e", name.c_str(), device_us, cpu_us, apart);
  for (const size_t batch : flags.batches) {
    ASSIGN_OR_RETURN(const double batch_us, Time(*on_device, shape, batch, flags.rounds / 4 + 1));
    const double each = batch_us / static_cast<double>(batch);
    figures.push_back({name + ".cuda_open_of_" + std::to_string(batch) + "_us", each, "one request of a batch"});
    std::printf("   of %zu: %.0f us each", batch, each);
  }
  std::printf("\n");
  if (!flags.peer.empty()) {
    for (const auto& [what, peer_us] : TimePeer(flags.peer, file)) {
      figures.push_back({name + ".cuda_open_over_" + what, device_us / peer_us, "against another runtime"});
      std::printf("%-16s   %-24s %8.0f us   ratio %.2f\n", "", what.c_str(), peer_us, device_us / peer_us);
    }
  }
  std::fflush(stdout);
  return absl::OkStatus();
}

absl::Status MeasureAll(const Flags& flags) {
  accelerator::CudaBackendOptions options;
  options.on_cpu_model = [](const absl::Status& why) {
    std::printf("on the CPU: %s\n", std::string(why.message()).c_str());
  };
  const absl::StatusOr<std::unique_ptr<Backend>> cuda = accelerator::CreateCudaBackend(options);
  if (absl::IsUnimplemented(cuda.status()) || absl::IsFailedPrecondition(cuda.status())) {
    std::printf("left out: %s\n", std::string(cuda.status().message()).c_str());
    return WriteFigures({}, flags.figures);
  }
  RETURN_IF_ERROR(cuda.status());
  const std::unique_ptr<Backend> cpu = accelerator::CreateCpuBackend({.num_threads = flags.threads});
  std::printf("%s; CPU with %d threads\n", (*cuda)->name().c_str(), flags.threads);
  std::vector<Figure> figures;
  for (const std::string& model : flags.models) {
    RETURN_IF_ERROR(Measure(flags, **cuda, *cpu, model, figures));
  }
  return WriteFigures(figures, flags.figures);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("Times open segments on a CUDA device beside the CPU.");
  app.add_option("--figures", flags.figures, "where the figures go")->required();
  app.add_option("--model", flags.models, "an ONNX file; several times")->required();
  app.add_option("--peer", flags.peer, "a program that times the same file: bench/cuda_open_peer.py");
  app.add_option("--rounds", flags.rounds, "on the device")->check(CLI::PositiveNumber);
  app.add_option("--cpu-rounds", flags.cpu_rounds, "on the CPU")->check(CLI::PositiveNumber);
  app.add_option("--threads", flags.threads, "of the CPU")->check(CLI::PositiveNumber);
  app.add_option("--batch", flags.batches, "requests at a time; several times");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = shoji::bench::MeasureAll(flags);
  if (!status.ok()) {
    std::fprintf(stderr, "cuda_open_timer: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
