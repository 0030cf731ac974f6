// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "enclave_worker/core/accelerator_group.h"
#include "enclave_worker/core/declassify.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"
#include "lib/graph/onnx_export.h"
#include "lib/graph/onnx_import.h"

namespace shoji::enclave {

// A segment made ready. Either `program` (enclave) or `group` (open) is set.
struct Model::Stage {
  partition::Segment segment;
  // Live tensors that no later stage reads.
  std::vector<std::string> dead_afterwards;

  std::unique_ptr<execution::Program> program;
  std::unique_ptr<WorkspacePool> workspaces;

  digest::Sha256Digest digest = {};
  std::unique_ptr<AcceleratorGroup> group;
  std::vector<AcceleratorRegistry::Registration> registrations;
};

namespace {

absl::Status InModel(const std::string& model, const absl::Status& status) {
  return {status.code(), "model " + model + ": " + std::string(status.message())};
}

attest::TensorType TypeOf(const graph::Value& value) { return {value.name, value.type, value.shape}; }

// Puts what a stage returned under the names of the segment's outputs, once its form is exactly what the plan expects.
// `outputs` may come from an accelerator.
absl::Status PutOutputs(const partition::Segment& segment, std::vector<Tensor> outputs, SecretTensors& live) {
  bool matches = outputs.size() == segment.outputs.size();
  for (size_t i = 0; matches && i < outputs.size(); ++i) {
    matches = outputs[i].type() == segment.outputs[i].type && outputs[i].shape() == segment.outputs[i].shape;
  }
  if (!matches) {
    for (Tensor& output : outputs) {
      output.Wipe();
    }
    return ErrorOf(Reason::kInternal);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    live.Put(segment.outputs[i].name, std::move(outputs[i]));
  }
  return absl::OkStatus();
}

}  // namespace

Model::Model(ComputeSlots& slots) : slots_(slots) {}
Model::~Model() = default;

absl::StatusOr<std::unique_ptr<Model>> Model::Create(const ModelSource& source, const ModelContext& context) {
  const absl::StatusOr<graph::Graph> graph = graph::ImportOnnx(source.onnx);
  if (!graph.ok()) {
    return InModel(source.name, graph.status());
  }
  if (source.policy.model != source.name) {
    return InModel(source.name, absl::InvalidArgumentError("its policy is for model '" + source.policy.model + "'"));
  }
  absl::StatusOr<partition::ResolvedPlan> plan = Resolve(source.policy, *graph, context.accelerators.identities());
  if (!plan.ok()) {
    return InModel(source.name, plan.status());
  }
  std::unique_ptr<Model> model(new Model(context.slots));
  model->plan_ = *std::move(plan);
  model->preprocessing_ = source.preprocessing;
  model->labels_ = source.labels;
  if (absl::Status filled = model->FillManifest(source, *graph); !filled.ok()) {
    return InModel(source.name, filled);
  }
  for (const partition::Segment& segment : model->plan_.segments) {
    if (absl::Status added = model->AddStage(*graph, segment, context); !added.ok()) {
      return InModel(source.name, added);
    }
  }
  // A live tensor dies after the last stage that reads it; the model's outputs live on.
  std::set<std::string> needed;
  for (const attest::TensorType& output : model->manifest_.outputs) {
    needed.insert(output.name);
  }
  for (auto stage = model->stages_.rbegin(); stage != model->stages_.rend(); ++stage) {
    for (const partition::CrossingTensor& input : (*stage)->segment.inputs) {
      if (needed.insert(input.name).second) {
        (*stage)->dead_afterwards.push_back(input.name);
      }
    }
  }
  return model;
}

absl::Status Model::AddStage(const graph::Graph& graph, const partition::Segment& segment,
                             const ModelContext& context) {
  auto stage = std::make_unique<Stage>();
  stage->segment = segment;
  graph::Graph part = graph::Cut(graph, segment.first_node, segment.end_node);
  switch (segment.place) {
    case partition::Placement::kEnclave: {
      execution::CompileOptions compile;
      compile.num_threads = context.threads_per_run;
      ASSIGN_OR_RETURN(stage->program, execution::Program::Compile(std::move(part), compile));
      stage->workspaces = std::make_unique<WorkspacePool>(*stage->program);
      break;
    }
    case partition::Placement::kOpen:
      RETURN_IF_ERROR(AddOpenStage(part, context, *stage));
      break;
    case partition::Placement::kBlinded:
    case partition::Placement::kVerified:
      return absl::UnimplementedError(std::string("placement ") + NameOf(segment.place) + " is not available yet");
  }
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

absl::Status Model::AddOpenStage(const graph::Graph& part, const ModelContext& context, Stage& stage) {
  ASSIGN_OR_RETURN(Bytes onnx, graph::ExportOnnx(part));
  const auto shared = std::make_shared<const Bytes>(std::move(onnx));
  stage.digest = digest::Sha256(*shared);
  std::vector<Accelerator*> members;
  for (const partition::AcceleratorIdentity& identity : stage.segment.accelerators) {
    Accelerator* accelerator = context.accelerators.Find(identity.name);
    if (accelerator == nullptr) {
      return absl::NotFoundError("accelerator '" + identity.name + "' is not in the deployment");
    }
    stage.registrations.push_back(context.accelerators.Register(*accelerator, stage.digest, shared));
    members.push_back(accelerator);
  }
  stage.group = std::make_unique<AcceleratorGroup>(std::move(members), context.readiness, context.clock,
                                                   AcceleratorGroup::Options());
  return absl::OkStatus();
}

absl::Status Model::FillManifest(const ModelSource& source, const graph::Graph& graph) {
  manifest_.name = source.name;
  if (source.preprocessing.has_value()) {
    RETURN_IF_ERROR(image::Validate(*source.preprocessing));
    preprocessing_bytes_ = image::Serialize(*source.preprocessing);
  }
  manifest_.model_digest = digest::Sha256(source.onnx);
  manifest_.preprocessing_digest = digest::Sha256(preprocessing_bytes_);
  manifest_.labels_digest = digest::Sha256(source.labels);
  manifest_.plan_digest = plan_.digest;
  manifest_.result_opened = plan_.result_opened;
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
  for (const graph::ValueId input : graph.inputs) {
    manifest_.inputs.push_back(TypeOf(graph.values[input]));
    input_bytes_ += graph.values[input].shape.num_elements() * SizeOf(graph.values[input].type);
  }
  for (const graph::ValueId output : graph.outputs) {
    manifest_.outputs.push_back(TypeOf(graph.values[output]));
    output_bytes_ += graph.values[output].shape.num_elements() * SizeOf(graph.values[output].type);
  }
  RETURN_IF_ERROR(CheckLabels());
  return CheckPreprocessing();
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
  for (const std::unique_ptr<Stage>& stage : stages_) {
    if (stage->group != nullptr && !stage->group->Serves(stage->digest)) {
      return "model " + manifest_.name + ": no accelerator is ready for the segment from " +
             stage->segment.first_node_name;
    }
  }
  return "";
}

absl::Status Model::Run(SecretTensors& live, SteadyTime deadline) const {
  for (const std::unique_ptr<Stage>& stage : stages_) {
    RETURN_IF_ERROR(stage->program != nullptr ? RunEnclaveStage(*stage, live, deadline)
                                              : RunOpenStage(*stage, live, deadline));
    for (const std::string& name : stage->dead_afterwards) {
      live.Drop(name);
    }
  }
  return absl::OkStatus();
}

absl::Status Model::RunEnclaveStage(const Stage& stage, SecretTensors& live, SteadyTime deadline) const {
  std::vector<const Tensor*> inputs;
  for (const partition::CrossingTensor& input : stage.segment.inputs) {
    const Tensor* tensor = live.Find(input.name);
    if (tensor == nullptr) {
      return ErrorOf(Reason::kInternal);
    }
    inputs.push_back(tensor);
  }
  RETURN_IF_ERROR(slots_.Acquire(deadline));
  absl::StatusOr<std::vector<Tensor>> outputs = [&] {
    WorkspacePool::Lease lease = stage.workspaces->Borrow();
    return stage.program->Run(inputs, lease.workspace());
  }();
  slots_.Release();
  if (!outputs.ok()) {
    return ErrorOf(Reason::kInternal);
  }
  return PutOutputs(stage.segment, *std::move(outputs), live);
}

absl::Status Model::RunOpenStage(const Stage& stage, SecretTensors& live, SteadyTime deadline) const {
  ASSIGN_OR_RETURN(const std::vector<const Tensor*> inputs, OpenSegmentInputs(stage.segment, live));
  ASSIGN_OR_RETURN(std::vector<Tensor> outputs,
                   stage.group->Execute(stage.digest, inputs, stage.segment.outputs, deadline));
  return PutOutputs(stage.segment, std::move(outputs), live);
}

}  // namespace shoji::enclave
