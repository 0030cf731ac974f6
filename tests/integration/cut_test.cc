// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What `shoji-model cut` writes, run part by part: each takes the tensors that cut.yaml names from those before it, and
// the last one gives the model's reference output. With the project's own kernels, and, where the npm package
// onnxruntime-node is found (NODE_PATH, or build/onnxruntime/node_modules), in onnxruntime.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/config/node.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_import.h"
#include "lib/image/preprocessing.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/open.h"
#include "tests/support/cluster.h"
#include "tests/support/process.h"
#include "tests/support/reference_data.h"

namespace shoji {
namespace {

using testing::CommandResult;
using testing::ReferenceModel;
using testing::RunCommand;

constexpr auto kPatience = std::chrono::minutes(5);

struct PartTensor {
  std::string name;
  std::vector<int64_t> shape;
};
struct Part {
  std::string file;  // path
  bool sealed = false;
  std::vector<PartTensor> takes;
  std::vector<PartTensor> gives;
};

std::vector<PartTensor> ReadTensors(const config::Fields& fields, const char* key) {
  std::vector<PartTensor> tensors;
  const std::vector<config::Node> nodes = *fields.List(key);
  for (const config::Node& node : nodes) {
    const config::Fields tensor = *node.Map({"name", "type", "shape"});
    PartTensor& out = tensors.emplace_back();
    out.name = *tensor.String("name");
    const std::vector<config::Node> extents = *tensor.Find("shape")->List();
    for (const config::Node& extent : extents) {
      out.shape.push_back(*extent.Int64());
    }
  }
  return tensors;
}

class CutTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!testing::HasReferenceData()) {
      GTEST_SKIP() << "../shared/data is not there";
    }
    model_ = testing::ReferenceModelAt(GetParam());
    auto file = ReadFile(model_.onnx, size_t{1} << 28);
    ASSERT_TRUE(file.ok()) << file.status();
    auto graph = graph::ImportOnnx(*file);
    ASSERT_TRUE(graph.ok()) << graph.status();
    graph_ = *std::move(graph);
  }

  // Cuts the model with `arguments`, and reads cut.yaml.
  std::vector<Part> Cut(const std::string& name, std::vector<std::string> arguments) {
    const std::string folder = dir_.File(name);
    std::vector<std::string> argv = {
        testing::BinDir() + "/shoji-model", "cut", "--model", model_.onnx, "--out", folder};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const CommandResult cut = RunCommand(argv, kPatience);
    EXPECT_EQ(cut.exit_code, 0) << cut.err;
    std::vector<Part> parts;
    const auto document = config::Document::Load(folder + "/cut.yaml");
    EXPECT_TRUE(document.ok()) << document.status();
    if (!document.ok()) {
      return parts;
    }
    const config::Fields top = *document->root().Map({"model", "model_sha256", "inputs", "outputs", "parts"});
    result_ = ReadTensors(top, "outputs").at(0).name;
    const std::vector<config::Node> nodes = *top.List("parts");
    for (const config::Node& node : nodes) {
      const config::Fields part =
          *node.Map({"file", "sha256", "place", "confidential", "first_node", "last_node", "takes", "gives"});
      parts.push_back({folder + "/" + *part.String("file"), *part.Bool("confidential"), ReadTensors(part, "takes"),
                       ReadTensors(part, "gives")});
    }
    return parts;
  }
  std::vector<Part> CutBy(const std::string& name, const std::string& segments) {
    const std::string policy = dir_.File(name + ".policy.yaml");
    EXPECT_TRUE(WriteFileAtomically(policy, AsBytes("model: m\nsegments:\n" + segments)).ok());
    return Cut(name, {"--policy", policy});
  }

  // The model's input for the first reference case.
  Tensor Input() const {
    const testing::ReferenceCase& reference = model_.cases[0];
    const graph::Value& value = graph_.values[graph_.inputs[0]];
    Tensor input(DataType::kFloat32, value.shape);
    if (reference.tensor.empty()) {
      const Tensor normalized = *image::Normalize(reference.pixels, model_.preprocessing);
      std::memcpy(input.mutable_bytes().data(), normalized.bytes().data(), input.size_bytes());
    } else {
      std::memcpy(input.mutable_bytes().data(), reference.tensor.data(), input.size_bytes());
    }
    return input;
  }

  Bytes OnnxOf(const Part& part) const {
    if (!part.sealed) {
      return *ReadFile(part.file, size_t{1} << 28);
    }
    auto sealed = *sealed_model::SealedFile::Open(part.file);
    const auto key = *sealed.KeyFrom(*sealed_model::ReadKeyFile(dir_.File("key")));
    const auto reader = *sealed_model::PlaintextReader::Create(std::move(sealed), key);
    Bytes onnx(reader->size());
    EXPECT_TRUE(reader->Read(onnx).ok());
    return onnx;
  }

  // Runs the parts in turn; what they say they take and give is what they do.
  std::vector<float> RunHere(const std::vector<Part>& parts) const {
    std::map<std::string, Tensor> live;
    live.emplace(graph_.values[graph_.inputs[0]].name, Input());
    for (const Part& part : parts) {
      const graph::Graph graph = *graph::ImportOnnx(OnnxOf(part));
      const auto program = *execution::Program::Compile(graph, {});
      std::vector<const Tensor*> inputs;
      for (size_t i = 0; i < graph.inputs.size(); ++i) {
        EXPECT_EQ(graph.values[graph.inputs[i]].name, part.takes.at(i).name);
        inputs.push_back(&live.at(part.takes.at(i).name));
      }
      auto outputs = *program->Run(inputs, *program->NewWorkspace());
      EXPECT_EQ(outputs.size(), part.gives.size());
      for (size_t i = 0; i < outputs.size(); ++i) {
        EXPECT_EQ(outputs[i].shape().dims(), part.gives.at(i).shape);
        live.insert_or_assign(part.gives[i].name, std::move(outputs[i]));
      }
    }
    const auto values = live.at(result_).values<float>();
    return {values.begin(), values.end()};
  }

  // The same in onnxruntime; nothing where there is none.
  std::optional<std::vector<float>> RunInOnnxruntime(const std::vector<Part>& parts) {
    nlohmann::json job;
    const Tensor input = Input();
    EXPECT_TRUE(WriteFileAtomically(dir_.File("input.f32"), input.bytes()).ok());
    job["inputs"] = {{{"name", graph_.values[graph_.inputs[0]].name},
                      {"shape", input.shape().dims()},
                      {"file", dir_.File("input.f32")}}};
    for (const Part& part : parts) {
      const std::string file = part.sealed ? dir_.File("opened.onnx") : part.file;
      if (part.sealed) {
        EXPECT_TRUE(WriteFileAtomically(file, OnnxOf(part)).ok());
      }
      nlohmann::json takes = nlohmann::json::array();
      for (const PartTensor& tensor : part.takes) {
        takes.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
      }
      nlohmann::json gives = nlohmann::json::array();
      for (const PartTensor& tensor : part.gives) {
        gives.push_back(tensor.name);
      }
      job["parts"].push_back({{"file", file}, {"takes", takes}, {"gives", gives}});
    }
    job["result"] = {{"name", result_}, {"file", dir_.File("output.f32")}};
    EXPECT_TRUE(WriteFileAtomically(dir_.File("job.json"), AsBytes(job.dump())).ok());
    const CommandResult run =
        RunCommand({"/bin/sh", "-c", "export NODE_PATH=\"${NODE_PATH:+$NODE_PATH:}$1\"; exec node \"$2\" \"$3\"", "sh",
                    std::string(SHOJI_SOURCE_DIR) + "/build/onnxruntime/node_modules",
                    std::string(SHOJI_SOURCE_DIR) + "/tests/integration/onnxruntime_parts.cjs", dir_.File("job.json")},
                   kPatience);
    if (run.exit_code == 3 || run.exit_code == 127) {
      std::cout << "onnxruntime-node is not there: " << run.err;
      return std::nullopt;
    }
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const Bytes bytes = *ReadFile(dir_.File("output.f32"), size_t{1} << 20);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  void ExpectReferenceOutput(const std::vector<Part>& parts, size_t num_parts) {
    ASSERT_EQ(parts.size(), num_parts);
    const std::vector<float>& expected = model_.cases[0].expected;
    EXPECT_EQ(testing::FirstMismatch(RunHere(parts), expected), "") << model_.name;
    if (const std::optional<std::vector<float>> there = RunInOnnxruntime(parts); there.has_value()) {
      EXPECT_EQ(testing::FirstMismatch(*there, expected), "") << model_.name << " in onnxruntime";
    }
  }

  std::string NodeAt(size_t index) const { return nlohmann::json(graph_.nodes[index].name).dump(); }

  const testing::TempDir dir_;
  ReferenceModel model_;
  graph::Graph graph_;
  std::string result_;
};

TEST_P(CutTest, PartsInTheOrderOfTheFileGiveTheReferenceOutput) {
  std::string segments = "  - {from: input, place: open}\n";
  constexpr size_t kCuts = 4;
  for (size_t i = 1; i <= kCuts; ++i) {
    segments += "  - {from: " + NodeAt(i * graph_.nodes.size() / (kCuts + 1)) +
                ", place: " + (i % 2 == 0 ? "open" : "enclave") + "}\n";
  }
  ExpectReferenceOutput(CutBy("parts", segments), kCuts + 1);
}

// The makers of the two inputs of each node with two, an Add or a Concat: a cut across residual edges and branches.
TEST_P(CutTest, PartsCutAcrossBranchesGiveTheReferenceOutput) {
  std::map<graph::ValueId, size_t> makers;
  std::vector<std::string> sets;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const graph::Node& node = graph_.nodes[i];
    if ((node.op == graph::Op::kAdd || node.op == graph::Op::kConcat) && node.inputs.size() == 2 &&
        makers.contains(node.inputs[0]) && makers.contains(node.inputs[1])) {
      sets.push_back("[" + NodeAt(makers[node.inputs[0]]) + ", " + NodeAt(makers[node.inputs[1]]) + "]");
    }
    makers[node.outputs[0]] = i;
  }
  if (sets.empty()) {
    GTEST_SKIP() << model_.name << " has no branches";
  }
  std::string segments = "  - {from: input, place: open}\n  - {after: " + sets.front() + ", place: enclave}\n";
  if (sets.size() > 1) {
    segments += "  - {from: " + sets.back() + ", place: open}\n";
  }
  ExpectReferenceOutput(CutBy("branches", segments), sets.size() > 1 ? 3 : 2);
}

TEST_P(CutTest, AConfidentialHeadGivesTheReferenceOutputOnceItIsOpened) {
  const std::vector<Part> parts = Cut("sealed", {"--layers", "1", "--new-key", dir_.File("key"), "--queries", "1000"});
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_TRUE(parts[1].sealed);
  ExpectReferenceOutput(parts, 2);
}

INSTANTIATE_TEST_SUITE_P(Models, CutTest, ::testing::Range(size_t{0}, testing::kNumReferenceModels));

}  // namespace
}  // namespace shoji
