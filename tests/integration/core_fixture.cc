// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/integration/core_fixture.h"

#include <filesystem>
#include <utility>

#include "lib/base/file.h"
#include "lib/graph/onnx_import.h"
#include "lib/quantization/calibrate.h"
#include "lib/rpc/channel.h"
#include "tests/support/cluster.h"

namespace shoji::enclave {
namespace {

constexpr auto kPatience = std::chrono::minutes(5);

// The model's outputs, as bits.
Bytes OutputsIn(const Model& model, const SecretTensors& live) {
  Bytes out;
  for (const auto& output : model.manifest().outputs) {
    Append(out, live.Find(output.name)->bytes());
  }
  return out;
}

}  // namespace

Tensor RandomInput(const graph::Graph& graph, std::mt19937& random) {
  const graph::Value& value = graph.values[graph.inputs[0]];
  Tensor input(DataType::kFloat32, value.shape);
  std::normal_distribution<float> values(0, 1.5);
  for (float& x : input.mutable_values<float>()) {
    x = values(random);
  }
  return input;
}

NamedModel ReadModel(const std::string& file) {
  NamedModel model;
  model.name = std::filesystem::path(file).stem().string();
  model.onnx = *ReadFile(file, size_t{1} << 28);
  model.graph = *graph::ImportOnnx(model.onnx);
  auto calibrator = quantization::Calibrator::Create(model.graph, quantization::CalibrationMethod::kMinMax);
  EXPECT_TRUE(calibrator.ok()) << calibrator.status();
  std::mt19937 random(1);
  for (int i = 0; i < 2; ++i) {
    const Tensor input = RandomInput(model.graph, random);
    EXPECT_TRUE((*calibrator)->Observe({&input}).ok());
  }
  model.ranges = *(*calibrator)->Finish();
  return model;
}

std::string Describe(const partition::PartitionPolicy& policy) {
  std::string out = "model " + policy.model + ", " + partition::NameOf(policy.masking.source);
  for (const partition::SegmentPolicy& segment : policy.segments) {
    out += "\n  from " + (segment.start.node.empty() ? "input" : segment.start.node) + ": " +
           partition::NameOf(segment.place) + " " + partition::NameOf(partition::PrecisionOf(segment));
  }
  return out;
}

void CoreFixture::Start(const std::vector<AcceleratorProcess>& accelerators, const Options& options) {
  std::vector<AcceleratorRegistry::Member> members;
  for (size_t i = 0; i < accelerators.size(); ++i) {
    const std::string name = "acc" + std::to_string(i);
    const std::string socket = "unix:" + dir_.File(name + ".sock");
    const std::string config = "listen: {address: \"" + socket + "\"}\nquotas: {models: 2000}\n";
    ASSERT_TRUE(WriteFileAtomically(FileOf(i, "yaml"), AsBytes(config)).ok());
    std::vector<std::string> argv = {testing::BinDir() + "/" + accelerators[i].binary, "--config", FileOf(i, "yaml"),
                                     "--address-file", FileOf(i, "address")};
    argv.insert(argv.end(), accelerators[i].arguments.begin(), accelerators[i].arguments.end());
    auto process = testing::Process::Start({argv, FileOf(i, "log"), {}, {}});
    ASSERT_TRUE(process.ok()) << process.status();
    processes_.push_back(*std::move(process));
    members.push_back(Connect(name, socket, options.max_message_bytes));
  }
  quarantine_ = std::make_unique<Quarantine>(clock_, options.quarantine);
  registry_ = std::make_unique<AcceleratorRegistry>(std::move(members));
  context_ = std::make_unique<ModelContext>(ModelContext{
      .accelerators = *registry_,
      .readiness = readiness_,
      .slots = slots_,
      .clock = clock_,
      .quarantine = *quarantine_,
      .filler = filler_,
      .events =
          [this](const EnclaveEvent& event) { num_events_ += event.kind != EnclaveEventKind::kPoolEmpty ? 1 : 0; },
      .threads_per_run = 1,
      .offload_timeout = options.offload_timeout,
      .accelerator_grace = kPatience});
}

AcceleratorRegistry::Member CoreFixture::Connect(const std::string& name, const std::string& socket,
                                                 size_t max_message_bytes) {
  AcceleratorClient::Options options;
  options.name = name;
  options.link.limits.max_bytes = max_message_bytes;
  rpc::Endpoint endpoint;
  endpoint.address = *rpc::ParseAddress(socket);
  rpc::ChannelOptions channel;
  channel.max_message_bytes = max_message_bytes + 65536;
  options.channel = *rpc::CreateChannel(endpoint, channel);
  AcceleratorRegistry::Member member;
  // Who runs them is the plan's business, which is told of several operators; the sockets are local.
  member.identity = {.name = name,
                     .operator_name = "operator-" + name,
                     .public_key = Bytes(1, static_cast<uint8_t>(name.back())),
                     .address = name + ":1",
                     .link = partition::LinkSecurity::kMutualTls};
  member.accelerator = *AcceleratorClient::Create(std::move(options), readiness_, clock_);
  return member;
}

std::unique_ptr<Model> CoreFixture::LoadIfItFits(const NamedModel& model, const partition::PartitionPolicy& policy) {
  SpanSource onnx(model.onnx);
  absl::StatusOr<graph::Graph> graph = partition::ArrangeFor(policy, graph::ImportModel(onnx).value().graph);
  return graph.ok() && Resolve(policy, *graph, registry_->identities()).ok() ? Load(model, policy) : nullptr;
}

std::unique_ptr<Model> CoreFixture::Load(const NamedModel& model, const partition::PartitionPolicy& policy) {
  ModelSource source;
  source.name = model.name;
  SpanSource onnx(model.onnx);
  source.model = *graph::ImportModel(onnx);
  source.policy = policy;
  source.ranges = model.ranges;
  auto loaded = Model::Create(source, *context_);
  EXPECT_TRUE(loaded.ok()) << loaded.status() << "\n" << Describe(policy);
  if (!loaded.ok() || !testing::WaitFor([&] { return (*loaded)->NotReadyBecause().empty(); }, kPatience)) {
    return nullptr;
  }
  return *std::move(loaded);
}

absl::StatusOr<Bytes> CoreFixture::Answer(const Model& model, const Tensor& input) {
  SecretTensors live;
  live.Put(model.manifest().inputs[0].name, input.Clone());
  RunContext run(clock_.SteadyNow() + kPatience);
  if (absl::Status ran = model.Run(live, run); !ran.ok()) {
    return ran;
  }
  return OutputsIn(model, live);
}

std::vector<absl::StatusOr<Bytes>> CoreFixture::AnswerTogether(const Model& model, const std::vector<Tensor>& inputs) {
  std::vector<SecretTensors> live(inputs.size());
  std::vector<RunContext> runs(inputs.size(), RunContext(clock_.SteadyNow() + kPatience));
  std::vector<BatchItem> items;
  for (size_t i = 0; i < inputs.size(); ++i) {
    live[i].Put(model.manifest().inputs[0].name, inputs[i].Clone());
    items.push_back({live[i], runs[i], absl::OkStatus()});
  }
  model.RunBatch(items);
  std::vector<absl::StatusOr<Bytes>> answers;
  for (const BatchItem& item : items) {
    answers.push_back(item.status.ok() ? absl::StatusOr<Bytes>(OutputsIn(model, item.live)) : item.status);
  }
  return answers;
}

}  // namespace shoji::enclave
