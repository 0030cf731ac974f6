// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Forms that exporters leave in a file, client to answer: functions of the model's own, an If that shapes decide,
// scales that each picture gives, and products by Einsum. All stand for one plain network, whose answer the reference
// kernels give.
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/execution/program.h"
#include "lib/graph/model_file.h"
#include "lib/graph/onnx_import.h"
#include "lib/quantization/calibrate.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/cluster.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/raw_client.h"
#include "tests/support/reference_data.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using testing::OnnxBuilder;
using Floats = std::vector<float>;

constexpr int64_t kFeatures = 8;
constexpr int64_t kClasses = 5;
constexpr float kWeightStep = 1.0F / 64;

Floats Wave(size_t count, float factor) {
  Floats out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(factor * std::sin(1.7F * static_cast<float>(i) + 0.3F));
  }
  return out;
}

const Floats kInput = Wave(size_t{3} * 8 * 8, 2);  // NOLINT(cert-err58-cpp): test code

ByteSpan InputBytes() { return {reinterpret_cast<const uint8_t*>(kInput.data()), kInput.size() * sizeof(float)}; }

// The classifier's weights as integers of 1/64, [features, classes].
std::vector<int64_t> Integers() {
  std::vector<int64_t> out;
  for (const float value : Wave(kFeatures * kClasses, 100)) {
    out.push_back(std::lround(value));
  }
  return out;
}

OnnxBuilder& AddWeights(OnnxBuilder& builder) {
  Floats dense;
  for (const int64_t value : Integers()) {
    dense.push_back(static_cast<float>(value) * kWeightStep);
  }
  return builder.Input("x", {-1, 3, 8, 8})
      .Weight("w", {kFeatures, 3, 3, 3}, Wave(kFeatures * 27, 0.4F))
      .Weight("b", {kFeatures}, Wave(kFeatures, 0.2F))
      .Weight("d", {kFeatures, kClasses}, dense);
}

// conv, relu, pool, and the pooled features flattened in `flat`.
void AddTrunk(OnnxBuilder& builder) {
  builder.Node("Conv", {"x", "w", "b"}, {"c"}).Named("conv").Attribute("pads", {1, 1, 1, 1});
  builder.Node("Relu", {"c"}, {"r"}).Named("relu").Node("GlobalAveragePool", {"r"}, {"p"}).Named("pool");
  builder.Node("Flatten", {"p"}, {"flat"}).Named("flatten");
}

Bytes Plain() {
  OnnxBuilder builder;
  AddTrunk(AddWeights(builder));
  return builder.Node("MatMul", {"flat", "d"}, {"y"}).Named("fc").Output("y").Output("flat").Build();
}

// The trunk and the classifier are calls.
Bytes WithFunctions() {
  OnnxBuilder body;
  AddTrunk(body);
  OnnxBuilder builder;
  AddWeights(builder);
  ::onnx::FunctionProto& trunk = *builder.proto().add_functions();
  for (const char* input : {"x", "w", "b"}) {
    trunk.add_input(input);
  }
  trunk.add_output("flat");
  *trunk.mutable_node() = body.proto().graph().node();
  ::onnx::FunctionProto& linear = *builder.proto().add_functions();
  linear.add_input("x");
  linear.add_input("w");
  linear.add_output("y");
  OnnxBuilder product;
  *linear.mutable_node() = product.Node("MatMul", {"x", "w"}, {"y"}).Named("n0").proto().graph().node();
  for (::onnx::FunctionProto* function : {&trunk, &linear}) {
    function->set_domain("pkg.own");
    function->set_name(function == &trunk ? "Trunk" : "Linear");
    function->add_opset_import()->set_version(13);
  }
  auto* import = builder.proto().add_opset_import();
  import->set_domain("pkg.own");
  import->set_version(1);
  builder.Node("Trunk", {"x", "w", "b"}, {"flat"}).Named("features");
  builder.Node("Linear", {"flat", "d"}, {"y"}).Named("classifier").Output("y");
  for (::onnx::NodeProto& node : *builder.proto().mutable_graph()->mutable_node()) {
    node.set_domain("pkg.own");
  }
  return builder.Build();
}

void AddBranch(OnnxBuilder& builder, const std::string& name, OnnxBuilder& branch) {
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  ::onnx::AttributeProto& attribute = *nodes->Mutable(nodes->size() - 1)->add_attribute();
  attribute.set_name(name);
  attribute.set_type(::onnx::AttributeProto::GRAPH);
  *attribute.mutable_g() = branch.proto().graph();
}

// Pictures go through the trunk, vectors would be taken as they are.
Bytes WithIf() {
  OnnxBuilder trunk;
  AddTrunk(trunk);
  OnnxBuilder passed;
  passed.Node("Identity", {"x"}, {"same"}).Output("same");
  OnnxBuilder builder;
  AddWeights(builder).Integers("four", ::onnx::TensorProto::INT64, {}, {4});
  builder.Node("Shape", {"x"}, {"s"}).Node("Size", {"s"}, {"rank"}).Node("Equal", {"rank", "four"}, {"picture"});
  builder.Node("If", {"picture"}, {"f"}).Named("features");
  AddBranch(builder, "then_branch", trunk.Output("flat"));
  AddBranch(builder, "else_branch", passed);
  return builder.Node("MatMul", {"f", "d"}, {"y"}).Named("fc").Output("y").Build();
}

Bytes DynamicallyQuantized() {
  OnnxBuilder builder;
  AddTrunk(AddWeights(builder));
  builder.Integers("q", ::onnx::TensorProto::INT8, {kFeatures, kClasses}, Integers()).Weight("step", {}, {kWeightStep});
  builder.Node("DynamicQuantizeLinear", {"flat"}, {"bytes", "scale", "zero"}).Named("quantize");
  builder.Node("MatMulInteger", {"bytes", "q", "zero"}, {"sums"}).Named("fc");
  builder.Node("Cast", {"sums"}, {"numbers"}).Attribute("to", int64_t{::onnx::TensorProto::FLOAT});
  builder.Node("Mul", {"scale", "step"}, {"factor"});
  return builder.Node("Mul", {"numbers", "factor"}, {"y"}).Named("scaled").Output("y").Build();
}

// The same as onnxruntime's optimizer saves it.
Bytes DynamicallyQuantizedAndFused() {
  OnnxBuilder builder;
  AddTrunk(AddWeights(builder));
  builder.Integers("q", ::onnx::TensorProto::INT8, {kFeatures, kClasses}, Integers()).Weight("step", {}, {kWeightStep});
  builder.Node("DynamicQuantizeMatMul", {"flat", "q", "step"}, {"y"}).Named("fc").Output("y");
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  nodes->Mutable(nodes->size() - 1)->set_domain("com.microsoft");
  auto* import = builder.proto().add_opset_import();
  import->set_domain("com.microsoft");
  import->set_version(1);
  return builder.Build();
}

Bytes WithEinsum() {
  OnnxBuilder builder;
  AddTrunk(AddWeights(builder));
  builder.Node("Einsum", {"d", "flat"}, {"y"}).Named("fc").TextAttribute("equation", "fc,bf->bc");
  return builder.Output("y").Build();
}

// The plain network's scores, and its features.
std::vector<Floats> Reference() {
  const absl::StatusOr<graph::Graph> graph = graph::ImportOnnx(Plain());
  EXPECT_TRUE(graph.ok()) << graph.status();
  const auto program = execution::Program::Compile(*graph, {.backend = execution::Backend::kReference});
  EXPECT_TRUE(program.ok()) << program.status();
  const Tensor x = Tensor::Of<float>((*program)->inputs()[0].shape, std::span<const float>(kInput));
  const Tensor* inputs[] = {&x};
  const auto outputs = (*program)->Run(inputs, *(*program)->NewWorkspace());
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  std::vector<Floats> out;
  for (const Tensor& output : *outputs) {
    out.emplace_back(output.values<float>().begin(), output.values<float>().end());
  }
  return out;
}

// What DynamicQuantizeLinear and MatMulInteger make of `features`, which are not negative.
Floats QuantizedScores(const Floats& features) {
  const float scale = *std::max_element(features.begin(), features.end()) / 255;
  Floats out(kClasses, 0);
  const std::vector<int64_t> weights = Integers();
  for (size_t i = 0; i < features.size(); ++i) {
    for (size_t j = 0; j < out.size(); ++j) {
      out[j] += std::nearbyint(features[i] / scale) * static_cast<float>(weights[i * kClasses + j]);
    }
  }
  for (float& score : out) {
    score *= scale * kWeightStep;
  }
  return out;
}

// Ranges of the one picture that the test sends.
void WriteRanges(const std::string& onnx) {
  const absl::StatusOr<graph::ImportedModel> model = graph::ImportModelFile(onnx);
  ASSERT_TRUE(model.ok()) << model.status();
  constexpr auto kMethod = quantization::CalibrationMethod::kMinMax;
  const auto calibrator = quantization::Calibrator::Create(model->graph, kMethod);
  ASSERT_TRUE(calibrator.ok()) << calibrator.status();
  const Tensor x = Tensor::Of<float>(model->graph.values[model->graph.inputs[0]].shape, std::span<const float>(kInput));
  ASSERT_TRUE((*calibrator)->Observe({&x}).ok());
  const auto ranges = (*calibrator)->Finish();
  ASSERT_TRUE(ranges.ok()) << ranges.status();
  const ranges_file::RangesFile file{.model = model->digest, .method = kMethod, .num_images = 1, .ranges = *ranges};
  ASSERT_TRUE(ranges_file::SaveRanges(ranges_file::RangesPathOf(onnx), file).ok());
}

class ExporterFormsTest : public ::testing::Test {
 protected:
  // Under the ready policies, and with the enclave in the place of what slalom masks.
  void Serve(const std::vector<std::pair<std::string, Bytes>>& models) {
    const std::string slalom = testing::ReadyPolicy("slalom");
    const std::string from = "on_empty: enclave";
    const std::string waiting = std::string(slalom).replace(slalom.find(from), from.size(), "on_empty: wait");
    ClusterOptions options;
    options.num_accelerators = 2;
    options.start_timeout = std::chrono::minutes(5);
    for (const auto& [name, file] : models) {
      const std::string onnx = dir_.File(name + ".onnx");
      ASSERT_TRUE(WriteFileAtomically(onnx, file).ok());
      WriteRanges(onnx);
      options.models.push_back({name + "-enclave", onnx, "", "", testing::ReadyPolicy("enclave-only")});
      options.models.push_back({name + "-slalom", onnx, "", "", waiting});
      options.models.push_back(
          {name + "-int8", onnx, "", "", "model: \"*\"\nsegments: [{from: input, place: enclave, precision: int8}]\n"});
    }
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    client_ = std::make_unique<testing::RawClient>(cluster_->address());
    ASSERT_TRUE(client_->Attest(options.models[0].name).ok());
  }

  Floats Answer(const std::string& name) {
    const auto request = client_->Seal(channel::RequestKind::kTensors, InputBytes(), name);
    EXPECT_TRUE(request.ok()) << request.status();
    const auto sealed = client_->Send(*request);
    EXPECT_TRUE(sealed.ok()) << name << ": " << sealed.status();
    if (!sealed.ok()) {
      return {};
    }
    const auto plaintext = client_->Open(*request, *sealed);
    EXPECT_TRUE(plaintext.ok()) << plaintext.status();
    Floats scores(kClasses);
    const auto view = channel::ParseAnswer(plaintext->Expose(), scores.size() * sizeof(float));
    EXPECT_TRUE(view.ok() && view->status.ok()) << name << ": an error instead of an answer";
    std::memcpy(scores.data(), view->body.data(), view->body.size());
    return scores;
  }

  const testing::TempDir dir_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<testing::RawClient> client_;
};

TEST_F(ExporterFormsTest, EachGivesThePlainNetworksAnswerInTheEnclaveAndMasked) {
  Serve({{"functions", WithFunctions()},
         {"if", WithIf()},
         {"dynamic", DynamicallyQuantized()},
         {"dynamic-fused", DynamicallyQuantizedAndFused()},
         {"einsum", WithEinsum()}});
  const std::vector<Floats> reference = Reference();
  ASSERT_EQ(reference.size(), 2U);
  for (const std::string name : {"functions", "if", "dynamic", "dynamic-fused", "einsum"}) {
    SCOPED_TRACE(name);
    const Floats expected = name.starts_with("dynamic") ? QuantizedScores(reference[1]) : reference[0];
    EXPECT_EQ(testing::FirstMismatch(Answer(name + "-enclave"), expected), "");
    const Floats masked = Answer(name + "-slalom");
    EXPECT_EQ(masked, Answer(name + "-int8"));
    for (size_t i = 0; i < masked.size(); ++i) {
      EXPECT_NEAR(masked[i], expected[i], 0.05) << "score " << i;
    }
  }
  EXPECT_EQ(cluster_->enclave().Log().find("check_failed"), std::string::npos);
  EXPECT_EQ(cluster_->enclave().Log().find("quarantined"), std::string::npos);
}

}  // namespace
}  // namespace shoji
