// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How fast a CUDA device computes masked linear layers; cuda_layers.h says what is measured.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/cuda_layers.h"
#include "bench/figures.h"
#include "bench/network_shapes.h"
#include "lib/base/status_macros.h"

namespace shoji::bench {
namespace {

constexpr size_t kTogether = 8;

absl::Status Run(const std::string& figures_file, int rounds) {
  const absl::StatusOr<std::string> device = CudaDeviceName();
  if (!device.ok()) {
    std::printf("nothing to measure: %s\n", std::string(device.status().message()).c_str());
    return WriteFigures({}, figures_file);
  }
  std::printf("on %s; masked in 2^32, milliseconds of all linear layers\n", device->c_str());
  std::printf(
      "  network     kernels  cuBLASLt       x   8 together  cuBLASLt       x   with copies   this CPU       x\n");
  std::vector<Figure> figures;
  for (const Network& network : {Vgg16(), ResNet50()}) {
    using Hosts = CudaOptions::Hosts;
    ASSIGN_OR_RETURN(const CudaTimes one,
                     MeasureCudaLayers(network, {.rounds = rounds, .requests = 1, .hosts = Hosts::kYes}));
    ASSIGN_OR_RETURN(const CudaTimes many,
                     MeasureCudaLayers(network, {.rounds = rounds, .requests = kTogether, .hosts = Hosts::kNo}));
    std::printf("  %-10s %8.3f  %8.3f  %6.2f   %10.3f  %8.3f  %6.2f   %11.2f   %8.1f  %6.3f\n", network.name.c_str(),
                one.kernels, one.cublaslt, one.kernels / one.cublaslt, many.kernels, many.cublaslt,
                many.kernels / many.cublaslt, one.runs, one.cpu, one.runs / one.cpu);
    const std::string prefix = network.name + ".cuda_";
    for (const Figure& figure : std::vector<Figure>{
             {"ring_over_cublaslt", one.kernels / one.cublaslt, "kernels over cuBLASLt's four int8 products"},
             {"ring_batch8_over_cublaslt", many.kernels / many.cublaslt, "the same, 8 requests together"},
             {"run_over_cpu", one.runs / one.cpu, "host to host, over one thread of this CPU"},
             {"ring_ms", one.kernels, "kernels of all linear layers, on " + *device},
             {"ring_batch8_ms", many.kernels, "the same for one of 8 requests together"},
             {"run_ms", one.runs, "host to host"}}) {
      figures.push_back({prefix + figure.name, figure.value, figure.meaning});
    }
  }
  return WriteFigures(figures, figures_file);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  std::string figures;
  int rounds = 9;
  CLI::App app("How fast a CUDA device computes masked linear layers.");
  app.add_option("--figures", figures, "Write the figures to this file")->required();
  app.add_option("--rounds", rounds, "Of every layer and kind")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = shoji::bench::Run(figures, rounds); !status.ok()) {
    std::fprintf(stderr, "cuda_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
