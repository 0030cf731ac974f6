// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/model.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "enclave_worker/core/float_stages.h"
#include "enclave_worker/core/quantized_stage.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"
#include "lib/partition/confidential.h"
#include "lib/partition/exposure.h"

namespace shoji::enclave {

namespace {

absl::Status InModel(const std::string& model, const absl::Status& status) {
  return {status.code(), "model " + model + ": " + std::string(status.message())};
}

attest::TensorType TypeOf(const graph::Value& value) { return {value.name, value.type, value.shape}; }

}  // namespace

Model::~Model() = default;

absl::StatusOr<std::unique_ptr<Model>> Model::Create(ModelSource source, const ModelContext& context) {
  if (source.policy.model != source.name) {
    return InModel(source.name, absl::InvalidArgumentError("its policy is for model '" + source.policy.model + "'"));
  }
  std::vector<std::string> confidential;
  if (source.sealed.has_value()) {
    absl::StatusOr<std::vector<std::string>> names =
        ConfidentialNames(source.sealed->terms.confidential, source.model.graph);
    if (!names.ok()) {
      return InModel(source.name, names.status());
    }
    confidential = *std::move(names);
  }
  absl::StatusOr<graph::Graph> graph = partition::ArrangeFor(source.policy, std::move(source.model.graph));
  if (!graph.ok()) {
    return InModel(source.name, graph.status());
  }
  absl::StatusOr<partition::ResolvedPlan> plan = Resolve(source.policy, *graph, context.accelerators.identities());
  if (!plan.ok()) {
    return InModel(source.name, plan.status());
  }
  std::unique_ptr<Model> model(new Model());
  model->plan_ = *std::move(plan);
  model->preprocessing_ = source.preprocessing;
  model->labels_ = source.labels;
  if (source.sealed.has_value()) {
    if (absl::Status enforced = model->Enforce(*source.sealed, confidential, *graph); !enforced.ok()) {
      return InModel(source.name, enforced);
    }
  }
  if (absl::Status filled = model->FillManifest(source, *graph); !filled.ok()) {
    return InModel(source.name, filled);
  }
  if (absl::Status added = model->AddStages(*std::move(graph), source, context); !added.ok()) {
    return InModel(source.name, added);
  }
  model->FindDeadTensors();
  model->is_local_ = source.batching.max_batch <= 1 &&
                     std::all_of(model->plan_.segments.begin(), model->plan_.segments.end(),
                                 [](const auto& segment) { return segment.place == partition::Placement::kEnclave; });
  if (source.batching.max_batch > 1) {
    model->batcher_ = std::make_unique<Batcher>(
        source.batching, context.clock, [made = model.get()](std::span<BatchItem> items) { made->RunBatch(items); });
  }
  return model;
}

// What the owner of a sealed model demands, against whatever its operator's policy says.
absl::Status Model::Enforce(const SealedSource& sealed, const std::vector<std::string>& confidential,
                            const graph::Graph& graph) {
  RETURN_IF_ERROR(partition::KeepConfidential(confidential, graph, plan_));
  results_ = sealed.terms.results;
  if (results_.form() != attest::ResultForm::kScores) {
    const std::string only = "its owner lets results leave as " + results_.ToString() + " only, but ";
    if (plan_.result_opened) {
      return absl::InvalidArgumentError(only + "the policy shows the result itself to an accelerator");
    }
    if (const absl::Status hidden = partition::HideResultsOf(confidential, graph, plan_); !hidden.ok()) {
      return absl::InvalidArgumentError(only + std::string(hidden.message()));
    }
  }
  budget_ = sealed.budget;
  return absl::OkStatus();
}

absl::Status Model::TakeQuery() const {
  return budget_ == nullptr || budget_->Take() ? absl::OkStatus() : ErrorOf(Reason::kBudgetExhausted);
}

// A live tensor dies after the last stage that reads it; the model's outputs live on.
void Model::FindDeadTensors() {
  std::set<std::string> needed;
  for (const attest::TensorType& output : manifest_.outputs) {
    needed.insert(output.name);
  }
  for (auto stage = stages_.rbegin(); stage != stages_.rend(); ++stage) {
    for (const partition::CrossingTensor& input : stage->stage->inputs()) {
      if (needed.insert(input.name).second) {
        stage->dead_afterwards.push_back(input.name);
      }
    }
  }
}

absl::Status Model::AddStages(graph::Graph graph, const ModelSource& source, const ModelContext& context) {
  partition::MaskingPolicy masking = plan_.masking;
  masking.pool_bytes = partition::PoolBytesEach(plan_);
  for (const partition::Region& region : partition::RegionsOf(plan_)) {
    const std::span<const partition::Segment> segments =
        std::span(plan_.segments).subspan(region.first_segment, region.end_segment - region.first_segment);
    StageInOrder& added = stages_.emplace_back();
    if (region.quantized) {
      if (!source.ranges.has_value()) {
        return absl::InvalidArgumentError(
            "its policy computes in int8 from " + segments.front().first_node_name +
            " on, which takes calibrated ranges; make them with `shoji-model calibrate` and name them with `ranges`");
      }
      ASSIGN_OR_RETURN(added.stage,
                       CreateQuantizedStage(
                           source.name, graph::TakeCut(graph, segments.front().first_node, segments.back().end_node),
                           segments, masking, *source.ranges, context));
      continue;
    }
    for (const partition::Segment& segment : segments) {
      graph::Graph part = graph::TakeCut(graph, segment.first_node, segment.end_node);
      const bool open = segment.place == partition::Placement::kOpen;
      ASSIGN_OR_RETURN(added.stage, open ? CreateOpenStage(std::move(part), segment, context)
                                         : CreateEnclaveStage(std::move(part), segment, context));
    }
  }
  return absl::OkStatus();
}

void Model::StateUnopened(const graph::Graph& graph) {
  const std::vector<size_t> unopened = partition::NodesBeforeWhichNothingIsOpened(graph, plan_);
  const auto is_told = [&](size_t node) {
    return !manifest_.sealed.has_value() ||
           std::none_of(plan_.segments.begin(), plan_.segments.end(), [node](const partition::Segment& segment) {
             return segment.confidential && segment.first_node <= node && node < segment.end_node;
           });
  };
  size_t num_bytes = 0;
  for (auto node = unopened.rbegin(); node != unopened.rend(); ++node) {
    num_bytes += graph.nodes[*node].name.size();
    if (num_bytes > attest::ModelManifest::kMaxUnopenedBytes) {
      break;
    }
    if (is_told(*node)) {
      manifest_.unopened_before.push_back(graph.nodes[*node].name);
    }
  }
  std::reverse(manifest_.unopened_before.begin(), manifest_.unopened_before.end());
}

absl::Status Model::FillManifest(const ModelSource& source, const graph::Graph& graph) {
  manifest_.name = source.name;
  if (source.preprocessing.has_value()) {
    RETURN_IF_ERROR(image::Validate(*source.preprocessing));
    preprocessing_bytes_ = image::Serialize(*source.preprocessing);
  }
  manifest_.model_digest = source.model.digest;
  if (source.sealed.has_value()) {
    // The digest of what is sealed would let anybody test a guess at it.
    manifest_.model_digest = source.sealed->sealed_digest;
    manifest_.sealed = {source.sealed->terms.results, source.sealed->terms.queries_per_release};
  }
  manifest_.preprocessing_digest = digest::Sha256(preprocessing_bytes_);
  manifest_.labels_digest = digest::Sha256(source.labels);
  // Sealed ranges are part of the sealed file, and their own digest would let anybody test a guess at them.
  if (source.ranges.has_value() && !source.sealed.has_value()) {
    const digest::Sha256Digest calibration = digest::Sha256(quantization::CanonicalEncoding(*source.ranges));
    manifest_.calibration_digest.assign(calibration.begin(), calibration.end());
  }
  manifest_.plan_digest = plan_.digest;
  manifest_.result_opened = plan_.result_opened;
  manifest_.all_verified =
      std::all_of(plan_.segments.begin(), plan_.segments.end(), [](const partition::Segment& segment) {
        return segment.place == partition::Placement::kEnclave || segment.verify;
      });
  for (const partition::Segment& segment : plan_.segments) {
    if (segment.place != partition::Placement::kOpen && segment.place != partition::Placement::kVerified) {
      continue;
    }
    attest::OpenedSegment opened;
    opened.first_node = segment.first_node_name;
    opened.last_node = segment.last_node_name;
    std::set<std::string> operators;
    for (const partition::AcceleratorIdentity& identity : segment.accelerators) {
      operators.insert(identity.operator_name);
    }
    opened.operators.assign(operators.begin(), operators.end());
    for (const partition::CrossingTensor& input : segment.inputs) {
      opened.revealed.push_back({input.name, input.type, input.shape});
    }
    manifest_.opened.push_back(std::move(opened));
  }
  StateUnopened(graph);
  for (const graph::ValueId input : graph.inputs) {
    manifest_.inputs.push_back(TypeOf(graph.values[input]));
    input_bytes_ += graph.values[input].shape.num_elements() * SizeOf(graph.values[input].type);
  }
  for (const graph::ValueId output : graph.outputs) {
    manifest_.outputs.push_back(TypeOf(graph.values[output]));
    output_bytes_ += graph.values[output].shape.num_elements() * SizeOf(graph.values[output].type);
  }
  RETURN_IF_ERROR(CheckResults());
  RETURN_IF_ERROR(CheckLabels());
  return CheckPreprocessing();
}

absl::Status Model::CheckResults() const {
  constexpr uint64_t kMaxComparisons = uint64_t{1} << 28;
  for (const attest::TensorType& output : manifest_.outputs) {
    if (results_.form() != attest::ResultForm::kScores && output.type != DataType::kFloat32) {
      return absl::UnimplementedError("its owner lets results leave as " + results_.ToString() + " only, but output " +
                                      output.name + " is " + std::string(NameOf(output.type)));
    }
    const uint64_t num_scores = output.shape.num_elements();
    if (results_.form() == attest::ResultForm::kTopK && results_.parameter() < num_scores &&
        results_.parameter() > kMaxComparisons / num_scores) {
      return absl::UnimplementedError("its owner lets results leave as " + results_.ToString() + " only, and output " +
                                      output.name + " has too many values for that");
    }
  }
  return absl::OkStatus();
}

absl::Status Model::CheckLabels() const {
  if (labels_.empty()) {
    return absl::OkStatus();
  }
  const auto newlines = static_cast<size_t>(std::count(labels_.begin(), labels_.end(), uint8_t{'\n'}));
  const size_t num_labels = newlines + (labels_.back() == '\n' ? 0 : 1);
  const attest::TensorType& output = manifest_.outputs.front();
  if (num_labels != output.shape.num_elements()) {
    return absl::InvalidArgumentError("its labels file has " + std::to_string(num_labels) +
                                      " lines, but the model's output " + output.name + " has " +
                                      std::to_string(output.shape.num_elements()) + " values; write one label a line");
  }
  return absl::OkStatus();
}

absl::Status Model::CheckPreprocessing() const {
  for (const attest::TensorType& input : manifest_.inputs) {
    if (input.type != DataType::kFloat32) {
      return absl::UnimplementedError("input " + input.name + " is " + std::string(NameOf(input.type)) +
                                      "; only float32 inputs are supported");
    }
  }
  if (preprocessing_.has_value() &&
      (manifest_.inputs.size() != 1 || manifest_.inputs[0].shape != preprocessing_->input_shape())) {
    return absl::InvalidArgumentError("its preprocessing makes a tensor of " +
                                      preprocessing_->input_shape().ToString() + ", but the model's input " +
                                      manifest_.inputs[0].name + " is " + manifest_.inputs[0].shape.ToString());
  }
  return absl::OkStatus();
}

std::string Model::NotReadyBecause() const {
  for (const StageInOrder& stage : stages_) {
    if (std::string why = stage.stage->NotReadyBecause(); !why.empty()) {
      return "model " + manifest_.name + ": " + why;
    }
  }
  return "";
}

ModelCounts Model::counts() const {
  ModelCounts counts;
  for (const StageInOrder& stage : stages_) {
    stage.stage->AddCounts(counts);
  }
  if (batcher_ != nullptr) {
    counts.batches = batcher_->counts();
  }
  return counts;
}

absl::Status Model::Run(SecretTensors& live, RunContext& run) const {
  for (const StageInOrder& stage : stages_) {
    if (run.IsCancelled()) {
      return absl::CancelledError("cancelled");
    }
    RETURN_IF_ERROR(stage.stage->Run(live, run));
    for (const std::string& name : stage.dead_afterwards) {
      live.Drop(name);
    }
  }
  return absl::OkStatus();
}

Batcher::Arrival Model::Arrive() const {
  return batcher_ == nullptr ? Batcher::Arrival() : Batcher::Arrival(*batcher_);
}

absl::StatusOr<SecretTensors> Model::Infer(SecretTensors inputs, RunContext& run, Batcher::Arrival arrival) const {
  if (batcher_ != nullptr) {
    return batcher_->Run(std::move(inputs), run, std::move(arrival));
  }
  RETURN_IF_ERROR(Run(inputs, run));
  return inputs;
}

void Model::RunBatch(std::span<BatchItem> items) const {
  for (const StageInOrder& stage : stages_) {
    stage.stage->RunBatch(items);
    for (BatchItem& item : items) {
      for (const std::string& name : stage.dead_afterwards) {
        item.live.Drop(name);
      }
    }
  }
}

}  // namespace shoji::enclave
