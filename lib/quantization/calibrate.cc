// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/calibrate.h"

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/execution/program.h"
#include "lib/graph/passes.h"
#include "lib/quantization/byte_form.h"
#include "lib/quantization/byte_plan.h"
#include "lib/quantization/channel_histogram.h"
#include "lib/quantization/channel_scales.h"
#include "lib/quantization/histogram.h"
#include "lib/quantization/layer_statistics.h"
#include "lib/quantization/linear_node.h"
#include "lib/quantization/weight_rounding.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

constexpr double kShareOutside = 1e-4;
// Of larger layers the weights are rounded one by one: a file with what is added to each would be as large as they are,
// and they are the ones that bear it.
constexpr size_t kMaxRoundedWeights = size_t{1} << 22;

// The passes of kMeanSquaredError; other methods make the first, or the first two.
enum class Pass : uint8_t { kExtremes, kHistograms, kCorrections };

class WatchingCalibrator : public Calibrator {
 public:
  static absl::StatusOr<std::unique_ptr<Calibrator>> Create(const Graph& graph, CalibrationMethod method);

  absl::Status Observe(const std::vector<const Tensor*>& inputs) override;
  int num_passes() const override;
  void NextPass() override;
  absl::StatusOr<ActivationRanges> Finish() const override;

 private:
  // A value that the float32 network is asked for.
  struct Watched {
    std::string name;
    bool has_range = false;  // or is only there to be compared with
    Histogram histogram;
    std::optional<ChannelHistograms> channels;  // of values whose channels may have scales
    size_t num_others = 0;                      // other operators that read its bytes
  };
  struct Layer {
    size_t node = 0;   // in folded_
    size_t input = 0;  // in watched_
    size_t output = 0;
    ByteTensor form;  // of the input
    std::optional<LayerStatistics> statistics;
  };

  WatchingCalibrator(const Graph& graph, CalibrationMethod method);
  size_t Watch(const std::string& name);
  void WatchBytes(const Graph& graph);
  void WatchLayers();
  absl::Status See(Watched& watched, std::span<const float> numbers) const;
  bool HasSeenExamples() const;
  Range RangeOf(size_t watched) const;
  absl::Status ChooseRanges();
  absl::StatusOr<Range> Corrected(const Layer& layer, Range range) const;

  const CalibrationMethod method_;
  const Graph folded_;       // as programs run it
  ActivationRanges ranges_;  // chosen before the last pass
  const BytePlan plan_;      // of folded_
  Pass pass_ = Pass::kExtremes;
  absl::Status status_;  // of the step between two passes
  std::unique_ptr<execution::Program> program_;
  std::unique_ptr<execution::Workspace> workspace_;
  std::vector<Watched> watched_;  // the graph's inputs, then what the program gives
  std::unordered_map<std::string, size_t> watched_by_name_;
  std::map<size_t, std::vector<ChannelReader>> readers_;  // of watched_ with scales
  std::vector<Layer> layers_;
};

Graph Folded(Graph graph) {
  graph::Fold(graph);
  return graph;
}

WatchingCalibrator::WatchingCalibrator(const Graph& graph, CalibrationMethod method)
    : method_(method), folded_(Folded(graph)), plan_(folded_, ranges_) {}

absl::StatusOr<std::unique_ptr<Calibrator>> WatchingCalibrator::Create(const Graph& graph, CalibrationMethod method) {
  std::unique_ptr<WatchingCalibrator> calibrator(new WatchingCalibrator(graph, method));
  for (const ValueId input : graph.inputs) {
    calibrator->watched_[calibrator->Watch(graph.values[input].name)].has_range = true;
  }
  // A policy may cut the model anywhere, also between a layer and a normalization that would be folded into it.
  calibrator->WatchBytes(graph);
  calibrator->WatchBytes(calibrator->folded_);
  if (method == CalibrationMethod::kMeanSquaredError) {
    calibrator->WatchLayers();
  }
  Graph watched = graph;
  watched.outputs.clear();
  std::unordered_map<std::string, ValueId> ids;
  for (ValueId id = 0; id < graph.values.size(); ++id) {
    ids.emplace(graph.values[id].name, id);
  }
  for (size_t i = graph.inputs.size(); i < calibrator->watched_.size(); ++i) {
    watched.outputs.push_back(ids.at(calibrator->watched_[i].name));
  }
  if (watched.outputs.empty()) {
    watched.outputs = graph.outputs;  // a program gives something
  }
  ASSIGN_OR_RETURN(calibrator->program_, execution::Program::Compile(std::move(watched), {}));
  calibrator->workspace_ = calibrator->program_->NewWorkspace();
  return std::unique_ptr<Calibrator>(std::move(calibrator));
}

size_t WatchingCalibrator::Watch(const std::string& name) {
  const auto [entry, is_new] = watched_by_name_.emplace(name, watched_.size());
  if (is_new) {
    watched_.emplace_back().name = name;
  }
  return entry->second;
}

void WatchingCalibrator::WatchBytes(const Graph& graph) {
  const BytePlan plan(graph, ranges_);
  for (ValueId id = 0; id < graph.values.size(); ++id) {
    if (plan.IsBytes(id) && graph.values[id].constant == nullptr) {
      watched_[Watch(graph.values[id].name)].has_range = true;
    }
  }
}

// Every linear layer's input and output, and who reads the channels of which value.
void WatchingCalibrator::WatchLayers() {
  for (size_t i = 0; i < folded_.nodes.size(); ++i) {
    if (plan_.kernel(i) != ByteKernel::kLinear) {
      continue;
    }
    const Node& node = folded_.nodes[i];
    Layer& layer = layers_.emplace_back();
    layer.node = i;
    layer.input = Watch(folded_.values[node.inputs[0]].name);
    layer.output = Watch(folded_.values[node.outputs[0]].name);
    const ValueId root = plan_.RootOf(node.inputs[0]);
    if (plan_.TakesScales(root)) {
      const size_t watched = Watch(folded_.values[root].name);
      readers_[watched].push_back({*AsLinear(folded_, node), *plan_.ChannelInRoot(node.inputs[0])});
      watched_[watched].channels.emplace(static_cast<size_t>(folded_.values[root].shape[1]));
    }
  }
  for (size_t i = 0; i < folded_.nodes.size(); ++i) {
    for (const ValueId input : folded_.nodes[i].inputs) {
      if (IsWideKernel(plan_.kernel(i)) && plan_.IsBytes(input)) {
        ++watched_[Watch(folded_.values[plan_.RootOf(input)].name)].num_others;
      }
    }
  }
}

int WatchingCalibrator::num_passes() const {
  return method_ == CalibrationMethod::kMinMax ? 1 : method_ == CalibrationMethod::kPercentile ? 2 : 3;
}

void WatchingCalibrator::NextPass() {
  pass_ = pass_ == Pass::kExtremes ? Pass::kHistograms : Pass::kCorrections;
  if (pass_ == Pass::kCorrections && status_.ok()) {
    status_ = ChooseRanges();
  }
}

absl::Status WatchingCalibrator::Observe(const std::vector<const Tensor*>& inputs) {
  RETURN_IF_ERROR(status_);
  ASSIGN_OR_RETURN(const std::vector<Tensor> values, program_->Run(inputs, *workspace_));
  const auto numbers_of = [&](size_t i) {
    return i < inputs.size() ? inputs[i]->values<float>() : values[i - inputs.size()].values<float>();
  };
  if (pass_ == Pass::kCorrections) {
    for (Layer& layer : layers_) {
      layer.statistics->Observe(numbers_of(layer.input), numbers_of(layer.output));
    }
    return absl::OkStatus();
  }
  for (size_t i = 0; i < watched_.size(); ++i) {
    if (watched_[i].has_range) {
      RETURN_IF_ERROR(See(watched_[i], numbers_of(i)));
    }
  }
  return absl::OkStatus();
}

absl::Status WatchingCalibrator::See(Watched& watched, std::span<const float> numbers) const {
  if (pass_ == Pass::kHistograms) {
    watched.histogram.Count(numbers);
    if (watched.channels.has_value()) {
      watched.channels->Count(numbers);
    }
    return absl::OkStatus();
  }
  if (!watched.histogram.Extend(numbers)) {
    return absl::InvalidArgumentError("value " + watched.name + " is not finite for this example");
  }
  if (watched.channels.has_value()) {
    watched.channels->Extend(numbers);
  }
  return absl::OkStatus();
}

bool WatchingCalibrator::HasSeenExamples() const {
  for (const Watched& watched : watched_) {
    if (watched.has_range &&
        (watched.histogram.is_empty() || (num_passes() > 1 && watched.histogram.num_counted() == 0))) {
      return false;
    }
  }
  return !watched_.empty();
}

Range WatchingCalibrator::RangeOf(size_t i) const {
  const Histogram& histogram = watched_[i].histogram;
  if (method_ == CalibrationMethod::kMinMax) {
    return histogram.extremes();
  }
  if (method_ == CalibrationMethod::kPercentile) {
    return histogram.Percentile(kShareOutside);
  }
  const Range plain = histogram.LeastSquares();
  const auto readers = readers_.find(i);
  return readers == readers_.end() ? plain
                                   : WithScales(plain, *watched_[i].channels, readers->second, watched_[i].num_others);
}

absl::Status WatchingCalibrator::ChooseRanges() {
  if (!HasSeenExamples()) {
    return absl::FailedPreconditionError("no example has been seen in every pass");
  }
  for (size_t i = 0; i < watched_.size(); ++i) {
    if (watched_[i].has_range) {
      ranges_[watched_[i].name] = RangeOf(i);
    }
  }
  for (Layer& layer : layers_) {
    const Node& node = folded_.nodes[layer.node];
    const LinearNode linear = *AsLinear(folded_, node);
    ASSIGN_OR_RETURN(layer.form, plan_.FormOfValue(node.inputs[0]));
    layer.statistics.emplace(linear, layer.form, folded_.values[node.inputs[0]].shape,
                             folded_.values[node.outputs[0]].shape,
                             linear.factor.size() * linear.per_channel <= kMaxRoundedWeights);
  }
  return absl::OkStatus();
}

// `range` is that of what the layer gives.
absl::StatusOr<Range> WatchingCalibrator::Corrected(const Layer& layer, Range range) const {
  const Node& node = folded_.nodes[layer.node];
  LinearNode linear = *AsLinear(folded_, node);
  if (!layer.statistics->blocks().empty()) {
    range.rounding = RoundWeights(linear, layer.form, *layer.statistics);
    linear.rounding = range.rounding;
  }
  ASSIGN_OR_RETURN(const LinearLayer quantized, QuantizeLinear(node.name, linear, layer.form, {}));
  range.correction = layer.statistics->Correction(quantized);
  return range;
}

absl::StatusOr<ActivationRanges> WatchingCalibrator::Finish() const {
  RETURN_IF_ERROR(status_);
  const bool corrects = method_ == CalibrationMethod::kMeanSquaredError;
  bool is_complete = HasSeenExamples() && (!corrects || pass_ == Pass::kCorrections);
  for (const Layer& layer : layers_) {
    is_complete = is_complete && layer.statistics.has_value() && !layer.statistics->is_empty();
  }
  if (!is_complete) {
    return absl::FailedPreconditionError("no example has been seen in every pass");
  }
  ActivationRanges ranges = ranges_;
  for (size_t i = 0; !corrects && i < watched_.size(); ++i) {
    ranges[watched_[i].name] = RangeOf(i);
  }
  for (const Layer& layer : layers_) {
    // A value that is never in 8 bits has no range of its own.
    Range& range = ranges[watched_[layer.output].name];
    ASSIGN_OR_RETURN(range, Corrected(layer, range));
  }
  return ranges;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Calibrator>> Calibrator::Create(const Graph& graph, CalibrationMethod method) {
  return WatchingCalibrator::Create(graph, method);
}

}  // namespace shoji::quantization
