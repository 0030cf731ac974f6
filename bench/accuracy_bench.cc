// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What int8 costs in accuracy: every classifier of the evaluation data is calibrated as `shoji-model calibrate` does,
// then judged in float32 and in int8, with the enclave's own programs for both. One thread.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bench/accuracy_data.h"
#include "bench/figures.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_import.h"
#include "lib/quantization/calibrate.h"
#include "lib/quantization/program.h"

namespace shoji::bench {
namespace {

using quantization::CalibrationMethod;

constexpr size_t kMaxModelBytes = size_t{1} << 31;

struct Flags {
  std::string figures;
  std::string model;
  DataOptions data;
};

// How many pictures, and how many of them a program gets right.
struct Score {
  size_t right = 0;
  size_t total = 0;

  void Add(bool is_right) {
    right += is_right ? 1 : 0;
    ++total;
  }
  double percent() const { return total == 0 ? 0 : 100 * static_cast<double>(right) / static_cast<double>(total); }
};

struct Results {
  Score float32;  // right by the pictures' labels
  Score int8;
  Score float32_unseen;  // likewise, of those that do not calibrate
  Score int8_unseen;
  Score float32_reference;  // float32 against what the reference runtime answers
  Score int8_float32;       // int8 against float32
  double error = 0;         // of the int8 outputs: sums of squares over all pictures
  double signal = 0;
  double calibration_seconds = 0;

  // The root mean square error over the outputs' spread, in percent.
  double noise_percent() const { return signal > 0 ? 100 * std::sqrt(error / signal) : 0; }
};

double ThreadSeconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

size_t TopOf(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

absl::StatusOr<quantization::ActivationRanges> Calibrate(const graph::Graph& graph, const Classifier& classifier) {
  ASSIGN_OR_RETURN(const std::unique_ptr<quantization::Calibrator> calibrator,
                   quantization::Calibrator::Create(graph, CalibrationMethod::kMeanSquaredError));
  for (int pass = 0; pass < calibrator->num_passes(); ++pass) {
    if (pass > 0) {
      calibrator->NextPass();
    }
    for (const Example& example : classifier.calibration) {
      ASSIGN_OR_RETURN(const Tensor input, example.input());
      RETURN_IF_ERROR(calibrator->Observe({&input}));
    }
  }
  return calibrator->Finish();
}

absl::StatusOr<Tensor> RunInt8(const quantization::Program& program, const Tensor& input, quantization::Frame& frame) {
  const Tensor* inputs[] = {&input};
  RETURN_IF_ERROR(program.Begin(inputs, frame));
  for (size_t step = 0; step < program.steps().size(); ++step) {
    RETURN_IF_ERROR(program.RunStep(step, frame));
  }
  return std::move(program.Finish(frame).front());
}

void Compare(std::span<const float> float32, std::span<const float> int8, const Example& example, Results& results) {
  const size_t right = TopOf(float32);
  const size_t guess = TopOf(int8);
  results.float32.Add(right == example.label);
  results.int8.Add(guess == example.label);
  if (!example.calibrates) {
    results.float32_unseen.Add(right == example.label);
    results.int8_unseen.Add(guess == example.label);
  }
  if (example.expected.has_value()) {
    results.float32_reference.Add(right == *example.expected);
  }
  results.int8_float32.Add(right == guess);
  double mean = 0;
  for (const float value : float32) {
    mean += static_cast<double>(value) / static_cast<double>(float32.size());
  }
  for (size_t i = 0; i < float32.size(); ++i) {
    const double deviation = static_cast<double>(float32[i]) - mean;
    const double error = static_cast<double>(int8[i]) - static_cast<double>(float32[i]);
    results.signal += deviation * deviation;
    results.error += error * error;
  }
}

absl::StatusOr<Results> Measure(const Classifier& classifier) {
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(classifier.onnx, kMaxModelBytes));
  ASSIGN_OR_RETURN(const graph::Graph graph, graph::ImportOnnx(file));
  Results results;
  const double start = ThreadSeconds();
  ASSIGN_OR_RETURN(const quantization::ActivationRanges ranges, Calibrate(graph, classifier));
  results.calibration_seconds = ThreadSeconds() - start;
  ASSIGN_OR_RETURN(const std::unique_ptr<execution::Program> float32, execution::Program::Compile(graph, {}));
  ASSIGN_OR_RETURN(const std::unique_ptr<quantization::Program> int8,
                   quantization::Program::Compile(graph, ranges, {kernels::ring::BestIsa()}));
  const std::unique_ptr<execution::Workspace> workspace = float32->NewWorkspace();
  const std::unique_ptr<quantization::Frame> frame = int8->NewFrame();
  for (const Example& example : classifier.evaluation) {
    ASSIGN_OR_RETURN(const Tensor input, example.input());
    const Tensor* inputs[] = {&input};
    ASSIGN_OR_RETURN(const std::vector<Tensor> exact, float32->Run(inputs, *workspace));
    ASSIGN_OR_RETURN(const Tensor rounded, RunInt8(*int8, input, *frame));
    Compare(exact[0].values<float>(), rounded.values<float>(), example, results);
  }
  return results;
}

void PrintHeader() {
  std::printf("%-28s %8s %8s %8s %8s %8s %8s %8s %10s %9s\n", "", "pictures", "float32", "int8", "loss", "unseen",
              "agree", "noise", "reference", "calibrate");
}

void PrintRow(const std::string& name, const Results& r) {
  std::printf("%-28s %8zu %7.1f%% %7.1f%% %8.1f %8.1f %7.1f%% %7.1f%% ", name.c_str(), r.int8.total,
              r.float32.percent(), r.int8.percent(), r.float32.percent() - r.int8.percent(),
              r.float32_unseen.percent() - r.int8_unseen.percent(), r.int8_float32.percent(), r.noise_percent());
  if (r.float32_reference.total > 0) {
    std::printf("%9.1f%%", r.float32_reference.percent());
  } else {
    std::printf("%10s", "-");
  }
  std::printf(" %7.1f s\n", r.calibration_seconds);
  std::fflush(stdout);
}

std::vector<Figure> FiguresOf(const std::string& model, const Results& r) {
  std::vector<Figure> figures = {
      {model + ".float32_top1", r.float32.percent(), "percent right in float32"},
      {model + ".int8_top1", r.int8.percent(), "percent right in int8"},
      {model + ".int8_agreement", r.int8_float32.percent(), "percent where int8 and float32 give the same class"},
      {model + ".int8_loss_unseen", r.float32_unseen.percent() - r.int8_unseen.percent(),
       "points lost on pictures that do not calibrate"},
      {model + ".int8_noise", r.noise_percent(), "percent: RMS error of the outputs over their spread"},
  };
  if (r.float32_reference.total > 0) {
    figures.push_back({model + ".float32_agreement", r.float32_reference.percent(),
                       "percent where float32 and the reference runtime give the same class"});
  }
  return figures;
}

absl::Status Run(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::vector<Classifier> classifiers, LoadClassifiers(flags.data));
  std::vector<Figure> figures;
  PrintHeader();
  for (const Classifier& classifier : classifiers) {
    if (!flags.model.empty() && classifier.name.find(flags.model) == std::string::npos) {
      continue;
    }
    const absl::StatusOr<Results> results = Measure(classifier);
    if (!results.ok()) {
      return absl::Status(results.status().code(), classifier.name + ": " + std::string(results.status().message()));
    }
    PrintRow(classifier.name, *results);
    const std::vector<Figure> more = FiguresOf(classifier.name, *results);
    figures.insert(figures.end(), more.begin(), more.end());
  }
  return WriteFigures(figures, flags.figures);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("What int8 costs in accuracy.");
  app.add_option("--figures", flags.figures, "Write the figures to this file")->required();
  app.add_option("--data", flags.data.folder, "The unpacked evaluation data")->required()->envname("SHOJI_DATA");
  app.add_option("--model", flags.model, "Only models with this in their name");
  app.add_option("--photos", flags.data.num_evaluation, "Judge on at most so many pictures a model");
  app.add_option("--calibrate-on", flags.data.num_calibration, "Calibrate on so many pictures")
      ->check(CLI::Range(10, 100000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = shoji::bench::Run(flags); !status.ok()) {
    std::fprintf(stderr, "accuracy_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
