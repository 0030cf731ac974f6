// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/calibrate.h"

#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/execution/program.h"
#include "lib/quantization/histogram.h"

namespace shoji::quantization {
namespace {

constexpr double kShareOutside = 1e-4;

class WatchingCalibrator : public Calibrator {
 public:
  static absl::StatusOr<std::unique_ptr<Calibrator>> Create(const graph::Graph& graph, CalibrationMethod method);

  absl::Status Observe(const std::vector<const Tensor*>& inputs) override;
  int num_passes() const override { return method_ == CalibrationMethod::kMinMax ? 1 : 2; }
  void NextPass() override { counts_ = true; }
  absl::StatusOr<ActivationRanges> Finish() const override;

 private:
  explicit WatchingCalibrator(CalibrationMethod method) : method_(method) {}
  absl::Status Watch(size_t value, std::span<const float> numbers);

  const CalibrationMethod method_;
  bool counts_ = false;  // whether this is the second pass
  std::unique_ptr<execution::Program> program_;
  std::unique_ptr<execution::Workspace> workspace_;
  std::vector<std::string> names_;  // the graph's inputs, then what the program gives
  std::vector<Histogram> histograms_;
};

absl::StatusOr<std::unique_ptr<Calibrator>> WatchingCalibrator::Create(const graph::Graph& graph,
                                                                       CalibrationMethod method) {
  std::unique_ptr<WatchingCalibrator> calibrator(new WatchingCalibrator(method));
  for (const graph::ValueId input : graph.inputs) {
    calibrator->names_.push_back(graph.values[input].name);
  }
  graph::Graph watched = graph;
  watched.outputs.clear();
  for (const graph::Node& node : graph.nodes) {
    for (const graph::ValueId output : node.outputs) {
      if (graph.values[output].type == DataType::kFloat32) {
        watched.outputs.push_back(output);
        calibrator->names_.push_back(graph.values[output].name);
      }
    }
  }
  calibrator->histograms_.resize(calibrator->names_.size());
  ASSIGN_OR_RETURN(calibrator->program_, execution::Program::Compile(std::move(watched), {}));
  calibrator->workspace_ = calibrator->program_->NewWorkspace();
  return std::unique_ptr<Calibrator>(std::move(calibrator));
}

absl::Status WatchingCalibrator::Observe(const std::vector<const Tensor*>& inputs) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> values, program_->Run(inputs, *workspace_));
  for (size_t i = 0; i < inputs.size(); ++i) {
    RETURN_IF_ERROR(Watch(i, inputs[i]->values<float>()));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(Watch(inputs.size() + i, values[i].values<float>()));
  }
  return absl::OkStatus();
}

absl::Status WatchingCalibrator::Watch(size_t value, std::span<const float> numbers) {
  if (counts_) {
    histograms_[value].Count(numbers);
    return absl::OkStatus();
  }
  if (!histograms_[value].Extend(numbers)) {
    return absl::InvalidArgumentError("value " + names_[value] + " is not finite for this example");
  }
  return absl::OkStatus();
}

absl::StatusOr<ActivationRanges> WatchingCalibrator::Finish() const {
  ActivationRanges ranges;
  bool has_examples = !histograms_.empty();
  for (size_t i = 0; i < histograms_.size(); ++i) {
    const Histogram& histogram = histograms_[i];
    if (histogram.is_empty() || (num_passes() > 1 && histogram.num_counted() == 0)) {
      has_examples = false;
      break;
    }
    ranges[names_[i]] = method_ == CalibrationMethod::kMinMax       ? histogram.extremes()
                        : method_ == CalibrationMethod::kPercentile ? histogram.Percentile(kShareOutside)
                                                                    : histogram.LeastSquares();
  }
  if (!has_examples) {
    return absl::FailedPreconditionError("no example has been seen in every pass");
  }
  return ranges;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Calibrator>> Calibrator::Create(const graph::Graph& graph, CalibrationMethod method) {
  return WatchingCalibrator::Create(graph, method);
}

}  // namespace shoji::quantization
