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

struct Flags {
  std::string figures;
  int rounds = 9;
  bool layers = false;  // print each
};

void PrintLayers(const CudaTimes& one, const CudaTimes& many) {
  for (size_t i = 0; i < one.layers.size(); ++i) {
    const CudaLayerTimes& layer = one.layers[i];
    const CudaLayerTimes& together = many.layers[i];
    std::printf("    %-20s %9.4f %9.4f  %6.2f   %10.4f %9.4f  %6.2f\n", layer.name.c_str(), layer.kernels,
                layer.cublaslt, layer.kernels / layer.cublaslt, together.kernels, together.cublaslt,
                together.kernels / together.cublaslt);
  }
}

absl::Status Run(const Flags& flags) {
  const absl::StatusOr<std::string> device = CudaDeviceName();
  if (!device.ok()) {
    std::printf("nothing to measure: %s\n", std::string(device.status().message()).c_str());
    return WriteFigures({}, flags.figures);
  }
  std::printf("on %s; masked in 2^32, milliseconds of all linear layers\n", device->c_str());
  std::printf(
      "  network     kernels  cuBLASLt       x   8 together  cuBLASLt       x   with copies   this CPU       x\n");
  std::vector<Figure> figures;
  for (const Network& network : {Vgg16(), ResNet50()}) {
    using Hosts = CudaOptions::Hosts;
    ASSIGN_OR_RETURN(const CudaTimes one,
                     MeasureCudaLayers(network, {.rounds = flags.rounds, .requests = 1, .hosts = Hosts::kYes}));
    ASSIGN_OR_RETURN(const CudaTimes many,
                     MeasureCudaLayers(network, {.rounds = flags.rounds, .requests = kTogether, .hosts = Hosts::kNo}));
    std::printf("  %-10s %8.3f  %8.3f  %6.2f   %10.3f  %8.3f  %6.2f   %11.2f   %8.1f  %6.3f\n", network.name.c_str(),
                one.kernels, one.cublaslt, one.kernels / one.cublaslt, many.kernels, many.cublaslt,
                many.kernels / many.cublaslt, one.runs, one.cpu, one.runs / one.cpu);
    if (flags.layers) {
      PrintLayers(one, many);
    }
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
  return WriteFigures(figures, flags.figures);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("How fast a CUDA device computes masked linear layers.");
  app.add_option("--figures", flags.figures, "Write the figures to this file")->required();
  app.add_option("--rounds", flags.rounds, "Of every layer and kind")->check(CLI::Range(1, 1000));
  app.add_flag("--layers", flags.layers, "Print every layer");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = shoji::bench::Run(flags); !status.ok()) {
    std::fprintf(stderr, "cuda_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
