// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How long an inference takes in this project's executors, float32 and int8, beside onnxruntime (onnxruntime_timer.cjs)
// on the same model and input: one thread, batch 1. CPU time, of the thread here and of the whole process there, so
// that other load on the machine does not count. The three take turns in short blocks of one run; a block begins with
// an inference that is not counted; of all blocks the median is reported. Both runtimes' float32 answers are compared.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/onnxruntime_child.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_import.h"
#include "lib/quantization/calibrate.h"
#include "lib/quantization/program.h"

namespace shoji::bench {
namespace {

constexpr size_t kMaxModelBytes = size_t{1} << 31;
constexpr double kBlockMicros = 40000;  // a block is about so long
constexpr int kMaxBlock = 50;

struct Flags {
  std::string figures;
  std::string data;
  std::string networks;
  std::string script;
  std::string scratch;
  std::vector<std::string> only;
  int rounds = 15;
};

// A network: its figures' name, the model among the evaluation data and how its inputs are named there, and the network
// that make_networks.py makes, for where there is no such model.
struct Subject {
  const char* name;
  const char* model;
  const char* inputs;
  const char* made;
};
constexpr std::array<Subject, 10> kSubjects = {{
    {"vgg16", nullptr, "224_imnet", "vgg16"},
    {"resnet18", "resnet18_pqf", "224_imnet", nullptr},
    {"resnet50", nullptr, "224_imnet", "resnet50"},
    {"squeezenet", "squeezenet1_1_winml", "224_bgr104", nullptr},
    {"squeezenet1_0", "squeezenet1_0_deepcomp", "227_bgr104", nullptr},
    {"mobilenet_v1", nullptr, "224_imnet", "mobilenet_v1"},
    {"mobilenet_v1_025", "mobilenet_v1_025_224", "224_tf", nullptr},
    {"mobilenet_v2", "mobilenet_v2_100_224", "224_tf", "mobilenet_v2"},
    {"mobilenet_v3", "mobilenet_v3_small_224", "224_raw", nullptr},
    {"efficientnet_b0", "efficientnet_b0_SYNTH", "224_imnet", "efficientnet_b0"},
}};
constexpr std::array<const char*, 3> kPhotos = {"coral_parrot", "dusty_banana_0", "shicai_cat"};

using Inputs = std::vector<Tensor>;

struct Times {
  double float32 = 0;  // microseconds
  double int8 = 0;
  std::optional<double> onnxruntime;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double ThreadMicros() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

// Photographs as the model wants them, or, without the evaluation data, pictures of seeded smooth noise.
absl::StatusOr<Inputs> MakeInputs(const Flags& flags, const Subject& subject, const Shape& shape) {
  Inputs out;
  uint32_t state = 1;
  for (const char* photo : kPhotos) {
    Tensor& input = out.emplace_back(DataType::kFloat32, shape);
    if (!flags.data.empty()) {
      const std::string path = flags.data + "/ref/input." + subject.inputs + "." + photo + ".f32";
      ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, kMaxModelBytes));
      if (bytes.size() != input.size_bytes()) {
        return absl::InvalidArgumentError(path + " does not fit the model's input " + shape.ToString());
      }
      std::memcpy(input.mutable_bytes().data(), bytes.data(), bytes.size());
      continue;
    }
    float smooth = 0;
    for (float& value : input.mutable_values<float>()) {
      state = state * 1664525 + 1013904223;
      smooth += 0.1F * (static_cast<float>(state >> 8) / 8388608.0F - 1 - smooth);
      value = 8 * smooth;
    }
  }
  return out;
}

// One inference in float32, repeated.
class FloatRunner {
 public:
  static absl::StatusOr<std::unique_ptr<FloatRunner>> Create(const graph::Graph& graph) {
    ASSIGN_OR_RETURN(std::unique_ptr<execution::Program> program, execution::Program::Compile(graph, {}));
    return std::unique_ptr<FloatRunner>(new FloatRunner(std::move(program)));
  }
  absl::StatusOr<std::vector<Tensor>> Run(const Tensor& input) {
    const Tensor* inputs = &input;
    return program_->Run({&inputs, 1}, *workspace_);
  }

 private:
  explicit FloatRunner(std::unique_ptr<execution::Program> program)
      : program_(std::move(program)), workspace_(program_->NewWorkspace()) {}
  std::unique_ptr<execution::Program> program_;
  std::unique_ptr<execution::Workspace> workspace_;
};

// The same in int8, with ranges from `inputs`.
class ByteRunner {
 public:
  static absl::StatusOr<std::unique_ptr<ByteRunner>> Create(const graph::Graph& graph, const Inputs& inputs) {
    ASSIGN_OR_RETURN(const std::unique_ptr<quantization::Calibrator> calibrator,
                     quantization::Calibrator::Create(graph, quantization::CalibrationMethod::kMinMax));
    for (int pass = 0; pass < calibrator->num_passes(); ++pass) {
      if (pass > 0) {
        calibrator->NextPass();
      }
      for (const Tensor& input : inputs) {
        RETURN_IF_ERROR(calibrator->Observe({&input}));
      }
    }
    ASSIGN_OR_RETURN(const quantization::ActivationRanges ranges, calibrator->Finish());
    ASSIGN_OR_RETURN(std::unique_ptr<quantization::Program> program,
                     quantization::Program::Compile(graph, ranges, {kernels::ring::BestIsa()}));
    return std::unique_ptr<ByteRunner>(new ByteRunner(std::move(program)));
  }
  absl::StatusOr<std::vector<Tensor>> Run(const Tensor& input) {
    const Tensor* inputs = &input;
    RETURN_IF_ERROR(program_->Begin({&inputs, 1}, *frame_));
    for (size_t step = 0; step < program_->steps().size(); ++step) {
      RETURN_IF_ERROR(program_->RunStep(step, *frame_));
    }
    return program_->Finish(*frame_);
  }

 private:
  explicit ByteRunner(std::unique_ptr<quantization::Program> program)
      : program_(std::move(program)), frame_(program_->NewFrame()) {}
  std::unique_ptr<quantization::Program> program_;
  std::unique_ptr<quantization::Frame> frame_;
};

// CPU microseconds of one of `count` runs.
using Timer = std::function<absl::StatusOr<double>(int count)>;

template <typename Runner>
Timer TimerOf(Runner& runner, const Tensor& input) {
  return [&runner, &input](int count) -> absl::StatusOr<double> {
    const double begin = ThreadMicros();
    for (int i = 0; i < count; ++i) {
      RETURN_IF_ERROR(runner.Run(input).status());
    }
    return (ThreadMicros() - begin) / count;
  };
}

// The medians of all timers, which take turns.
absl::StatusOr<std::vector<double>> TakeTurns(const std::vector<Timer>& timers, int rounds) {
  std::vector<std::vector<double>> blocks(timers.size());
  std::vector<int> counts;
  for (const Timer& timer : timers) {
    RETURN_IF_ERROR(timer(2).status());
    ASSIGN_OR_RETURN(const double micros, timer(1));
    counts.push_back(std::clamp(static_cast<int>(kBlockMicros / std::max(micros, 1.0)), 1, kMaxBlock));
  }
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < timers.size(); ++i) {
      RETURN_IF_ERROR(timers[i](1).status());
      ASSIGN_OR_RETURN(const double micros, timers[i](counts[i]));
      blocks[i].push_back(micros);
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& block : blocks) {
    medians.push_back(Median(std::move(block)));
  }
  return medians;
}

absl::Status Compare(std::span<const float> ours, std::span<const float> theirs) {
  if (ours.size() != theirs.size()) {
    return absl::InternalError("the two runtimes' outputs differ in size");
  }
  for (size_t i = 0; i < ours.size(); ++i) {
    if (!(std::abs(ours[i] - theirs[i]) <= 1e-3F + 1e-3F * std::abs(theirs[i]))) {
      return absl::InternalError("output " + std::to_string(i) + " is " + std::to_string(ours[i]) +
                                 ", in onnxruntime " + std::to_string(theirs[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status CompareAnswers(const Flags& flags, const Inputs& inputs, const std::string& model, FloatRunner& runner,
                            OnnxRuntimeChild& child) {
  const std::string file = flags.scratch + "/input.f32";
  const std::string answer = flags.scratch + "/answer.f32";
  // The last one stays loaded, to be timed.
  for (size_t i = inputs.size(); i-- > 0;) {
    RETURN_IF_ERROR(WriteFileAtomically(file, inputs[i].bytes()));
    RETURN_IF_ERROR(child.Load(model, file, inputs[i].shape()));
    ASSIGN_OR_RETURN(const std::vector<float> theirs, child.Answer(answer));
    ASSIGN_OR_RETURN(const std::vector<Tensor> ours, runner.Run(inputs[i]));
    RETURN_IF_ERROR(Compare(ours[0].values<float>(), theirs));
  }
  return absl::OkStatus();
}

absl::StatusOr<Times> Measure(const Flags& flags, const Subject& subject, const std::string& model,
                              OnnxRuntimeChild* child) {
  graph::Graph graph;
  {
    ASSIGN_OR_RETURN(const Bytes file, ReadFile(model, kMaxModelBytes));
    ASSIGN_OR_RETURN(graph, graph::ImportOnnx(file));
  }
  ASSIGN_OR_RETURN(const Inputs inputs, MakeInputs(flags, subject, graph.values[graph.inputs[0]].shape));
  ASSIGN_OR_RETURN(const std::unique_ptr<FloatRunner> float32, FloatRunner::Create(graph));
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteRunner> int8, ByteRunner::Create(graph, inputs));
  graph = graph::Graph();
  std::vector<Timer> timers = {TimerOf(*float32, inputs[0]), TimerOf(*int8, inputs[0])};
  if (child != nullptr) {
    RETURN_IF_ERROR(CompareAnswers(flags, inputs, model, *float32, *child));
    timers.push_back([child](int count) { return child->Run(count); });
  }
  ASSIGN_OR_RETURN(const std::vector<double> medians, TakeTurns(timers, flags.rounds));
  Times times = {medians[0], medians[1], std::nullopt};
  if (child != nullptr) {
    times.onnxruntime = medians[2];
  }
  return times;
}

void Report(const Subject& subject, const Times& times, std::ofstream& figures) {
  const std::string name = subject.name;
  const auto write = [&](const std::string& figure, double value, const char* meaning) {
    figures << name << "." << figure << " " << value << " " << meaning << "\n";
  };
  write("float32_us", times.float32, "one inference in float32, CPU time");
  write("int8_us", times.int8, "one inference in int8, CPU time");
  std::printf("%-18s float32 %8.2f ms   int8 %8.2f ms", subject.name, times.float32 / 1e3, times.int8 / 1e3);
  if (times.onnxruntime.has_value()) {
    write("onnxruntime_us", *times.onnxruntime, "one inference in onnxruntime, float32, CPU time");
    write("float32_over_onnxruntime", times.float32 / *times.onnxruntime, "float32, against onnxruntime's float32");
    write("int8_over_onnxruntime", times.int8 / *times.onnxruntime, "int8, against onnxruntime's float32");
    std::printf("   onnxruntime %8.2f ms   ratios %.3f, %.3f", *times.onnxruntime / 1e3,
                times.float32 / *times.onnxruntime, times.int8 / *times.onnxruntime);
  }
  std::printf("\n");
  std::fflush(stdout);
}

// The file to measure; "" says that there is none.
std::string FindModel(const Flags& flags, const Subject& subject) {
  if (subject.model != nullptr && !flags.data.empty()) {
    return flags.data + "/models/" + subject.model + ".onnx";
  }
  const std::string made = subject.made == nullptr ? "" : flags.networks + "/" + subject.made + ".onnx";
  return !made.empty() && std::filesystem::exists(made) ? made : "";
}

absl::Status MeasureAll(const Flags& flags) {
  std::unique_ptr<OnnxRuntimeChild> child;
  if (absl::StatusOr<std::unique_ptr<OnnxRuntimeChild>> started = OnnxRuntimeChild::Start(flags.script); started.ok()) {
    child = *std::move(started);
    std::printf("onnxruntime-node %s, one thread\n", child->version().c_str());
  } else {
    std::printf("without onnxruntime: %s\n", std::string(started.status().message()).c_str());
  }
  std::ofstream figures(flags.figures);
  for (const Subject& subject : kSubjects) {
    if (!flags.only.empty() && std::find(flags.only.begin(), flags.only.end(), subject.name) == flags.only.end()) {
      continue;
    }
    const std::string model = FindModel(flags, subject);
    if (model.empty()) {
      std::printf("%-18s left out: it needs %s\n", subject.name,
                  subject.made == nullptr ? "--data" : "bench/make_networks.py");
      continue;
    }
    const absl::StatusOr<Times> times = Measure(flags, subject, model, child.get());
    if (!times.ok()) {
      return {times.status().code(), model + ": " + std::string(times.status().message())};
    }
    Report(subject, *times, figures);
  }
  return figures.flush().good() ? absl::OkStatus() : absl::InternalError("cannot write " + flags.figures);
}

}  // namespace
}  // namespace shoji::bench

int main(int argc, char** argv) {
  shoji::bench::Flags flags;
  CLI::App app("Times inferences in float32 and int8 beside onnxruntime's.");
  app.add_option("--figures", flags.figures, "where the figures go")->required();
  app.add_option("--data", flags.data, "the unpacked evaluation data");
  app.add_option("--networks", flags.networks, "what bench/make_networks.py made");
  app.add_option("--script", flags.script, "onnxruntime_timer.cjs");
  app.add_option("--scratch", flags.scratch, "a folder for temporary files")->required();
  app.add_option("--network", flags.only, "measure this one; may be given several times");
  app.add_option("--rounds", flags.rounds, "blocks of each kind")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = shoji::bench::MeasureAll(flags);
  if (!status.ok()) {
    std::fprintf(stderr, "runtime_timer: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
