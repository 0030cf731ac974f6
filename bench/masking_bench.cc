// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What masked offload costs and saves, against the same networks in float32: the enclave's side, the accelerator's
// kernels, the pads that are made beforehand, and int8 in the enclave, which is what offload has to beat. One thread,
// one image; CPU time of the thread, medians; everything takes turns in one run. masking_ring.h and
// masking_enclave_side.h say what is measured.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bench/figures.h"
#include "bench/masking_enclave_side.h"
#include "bench/masking_ring.h"
#include "bench/network_shapes.h"
#include "lib/base/status_macros.h"

namespace shoji::bench {
namespace {

struct Flags {
  std::string figures;
  int rounds = 7;
  int inferences = 3;  // of the enclave's side, after every layer
  std::string network;
};

struct Results {
  NetworkTimes linear;
  double enclave_side = 0;
  double draw_pad = 0;
  double challenges = 0;
  size_t pad_bytes = 0;
  size_t message_bytes = 0;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

absl::StatusOr<Results> Measure(const Network& network, const Flags& flags) {
  ASSIGN_OR_RETURN(const std::unique_ptr<EnclaveSide> enclave, EnclaveSide::Create(network));
  std::vector<double> inferences;
  std::vector<double> pads;
  const auto between = [&]() -> absl::Status {
    for (int i = 0; i < flags.inferences; ++i) {
      ASSIGN_OR_RETURN(const double millis, enclave->Run());
      inferences.push_back(millis);
      pads.push_back(enclave->DrawPad());
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(between());
  inferences.clear();  // the first touch memory
  pads.clear();
  Results results;
  ASSIGN_OR_RETURN(results.linear, MeasureLinearLayers(network, flags.rounds, between));
  results.enclave_side = Median(inferences);
  results.draw_pad = Median(pads);
  results.challenges = enclave->challenge_millis();
  results.pad_bytes = enclave->pad_bytes();
  results.message_bytes = enclave->message_bytes();
  return results;
}

void PrintRow(const char* what, double millis, double float32) {
  std::printf("  %-58s %9.2f ms  %6.3f x\n", what, millis, millis / float32);
}

void Print(const Network& network, const Results& results) {
  const LinearTimes& all = results.linear.all;
  const LinearTimes& convolutions = results.linear.convolutions;
  const double offline = all.ring + results.draw_pad;
  std::printf("\n%s, linear layers                                          one thread   over float32\n",
              network.name.c_str());
  PrintRow("float32 in the enclave, oneDNN", all.float32, all.float32);
  PrintRow("int8 in the enclave, ring kernel on one limb", all.int8, all.float32);
  PrintRow("int8, oneDNN (not exact everywhere)", all.onednn_int8, all.float32);
  PrintRow("blinded and verified: the enclave's side", results.enclave_side, all.float32);
  PrintRow("  beforehand, per inference: r and W * r", offline, all.float32);
  PrintRow("  the accelerator's kernels on this CPU", all.ring, all.float32);
  std::printf("  of convolutions alone (float32 %.2f ms):\n", convolutions.float32);
  PrintRow("  ring kernels", convolutions.ring, convolutions.float32);
  PrintRow("  portable ring kernels", convolutions.portable_ring, convolutions.float32);
  std::printf(
      "  the enclave is relieved of %.1f x its float32 and %.1f x its int8 time, if the accelerator is free and the\n"
      "  pads (%.1f x the int8 time) were made while it was idle\n",
      all.float32 / results.enclave_side, all.int8 / results.enclave_side, offline / all.int8);
  std::printf("  pad %.1f MB, messages both ways %.1f MB, drawing all challenges %.0f ms\n",
              static_cast<double>(results.pad_bytes) / 1e6, static_cast<double>(results.message_bytes) / 1e6,
              results.challenges);
}

std::vector<Figure> FiguresOf(const Network& network, const Results& results) {
  const LinearTimes& all = results.linear.all;
  const LinearTimes& convolutions = results.linear.convolutions;
  const std::string prefix = network.name + ".";
  return {
      {prefix + "enclave_side_over_float32", results.enclave_side / all.float32,
       "mask, unmask, check, requantize, ReLU, pool; over float32 oneDNN"},
      {prefix + "ring_over_float32", convolutions.ring / convolutions.float32, "convolutions, ring kernels"},
      {prefix + "portable_ring_over_float32", convolutions.portable_ring / convolutions.float32,
       "convolutions, portable ring kernels"},
      {prefix + "offline_over_float32", (all.ring + results.draw_pad) / all.float32, "r and W * r for one inference"},
      {prefix + "int8_over_float32", all.int8 / all.float32, "all linear layers in int8 in the enclave"},
      {prefix + "float32_ms", all.float32, "all linear layers, oneDNN"},
      {prefix + "enclave_side_ms", results.enclave_side, "as above"},
      {prefix + "pad_bytes", static_cast<double>(results.pad_bytes), "W * r of one inference"},
  };
}

absl::Status Run(const Flags& flags) {
  std::vector<Figure> figures;
  for (const Network& network : {Vgg16(), ResNet50(), MobileNetV1()}) {
    if (!flags.network.empty() && flags.network != network.name) {
      continue;
    }
    ASSIGN_OR_RETURN(const Results results, Measure(network, flags));
    Print(network, results);
    const std::vector<Figure> more = FiguresOf(network, results);
    figures.insert(figures.end(), more.begin(), more.end());
  }
  return WriteFigures(figures, flags.figures);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("What masked offload costs and saves.");
  app.add_option("--figures", flags.figures, "Write the figures to this file")->required();
  app.add_option("--rounds", flags.rounds, "Of every layer and kernel")->check(CLI::Range(1, 1000));
  app.add_option("--inferences", flags.inferences, "Of the enclave's side after every layer")
      ->check(CLI::Range(1, 1000));
  app.add_option("--network", flags.network, "Only this one")
      ->check(CLI::IsMember({"vgg16", "resnet50", "mobilenet_v1"}));
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = shoji::bench::Run(flags); !status.ok()) {
    std::fprintf(stderr, "masking_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
