// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The outline, which never sees a weight, must count as the import does, which sees all.

#include "tools/onnx_outline.h"

#include <onnx/onnx_pb.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/graph/model_file.h"
#include "lib/partition/layers.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::tools {
namespace {

// The built-in model, and the reference models where they are unpacked.
std::vector<std::string> Models() {
  std::vector<std::string> models = {std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.onnx"};
  const std::filesystem::path data = std::string(SHOJI_SOURCE_DIR) + "/build/testdata/models";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(data, error)) {
    if (entry.path().extension() == ".onnx") {
      models.push_back(entry.path());
    }
  }
  return models;
}

TEST(OnnxOutlineTest, FindsTheLayersThatTheImportFinds) {
  for (const std::string& path : Models()) {
    const auto outline = ReadOnnxOutline(path);
    ASSERT_TRUE(outline.ok()) << path << ": " << outline.status();
    const auto model = graph::ImportModelFile(path);
    ASSERT_TRUE(model.ok()) << path << ": " << model.status();
    const std::vector<size_t> layers = partition::LayersOf(model->graph);
    for (size_t count = 1; count <= layers.size(); ++count) {
      const auto first = FirstOfLastLayers(*outline, count);
      ASSERT_TRUE(first.ok()) << path << ": " << first.status();
      EXPECT_EQ(*first, model->graph.nodes[layers[layers.size() - count]].name) << path << ", " << count;
    }
    EXPECT_FALSE(FirstOfLastLayers(*outline, layers.size() + 1).ok()) << path;
  }
}

class OutlineFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<OnnxOutline> Outline(const Bytes& bytes) const {
    EXPECT_TRUE(WriteFileAtomically(path_, bytes).ok());
    return ReadOnnxOutline(path_);
  }
  const testing::TempDir dir_;
  const std::string path_ = dir_.File("m.onnx");
};

TEST_F(OutlineFileTest, NoTruncationOfAModelIsOne) {
  const Bytes whole = testing::SmallResNet();
  ASSERT_TRUE(Outline(whole).ok());
  for (size_t size = 0; size < whole.size(); size += 7) {
    const auto outline = Outline({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    // A cut between two fields after the graph leaves a model; no node may be lost without a word.
    EXPECT_TRUE(!outline.ok() || outline->nodes.size() == 13) << size;
  }
}

TEST_F(OutlineFileTest, SaysWhereTensorsStandInOtherFiles) {
  testing::OnnxBuilder builder;
  builder.Input("x", {1, 4}).Weight("w", {4}).Node("Mul", {"x", "w"}, {"y"}).Output("y");
  EXPECT_TRUE(Outline(builder.Build())->external.empty());
  ::onnx::TensorProto& weights = *builder.proto().mutable_graph()->mutable_initializer(0);
  const auto set = [&weights](const std::string& key, const std::string& value) {
    auto* entry = weights.add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  };
  set("location", "w.bin");
  EXPECT_TRUE(Outline(builder.Build())->external.empty()) << "not marked as external";
  weights.set_data_location(::onnx::TensorProto::EXTERNAL);
  ASSERT_EQ(Outline(builder.Build())->external.size(), 1U);
  EXPECT_EQ(Outline(builder.Build())->external[0].length, std::nullopt);
  set("offset", "4096");
  set("length", "16");
  set("checksum", "whatever");
  const auto outline = Outline(builder.Build());
  ASSERT_TRUE(outline.ok()) << outline.status();
  EXPECT_EQ(outline->external[0].file, "w.bin");
  EXPECT_EQ(outline->external[0].offset, 4096U);
  EXPECT_EQ(outline->external[0].length, 16U);
  set("offset", "-1");
  EXPECT_FALSE(Outline(builder.Build()).ok());
}

TEST_F(OutlineFileTest, ANodeWithoutANameGoesByItsFirstOutput) {
  testing::OnnxBuilder builder;
  builder.Input("x", {1, 4}).Node("Relu", {"x"}, {"y"}).Output("y");
  EXPECT_TRUE(CheckNode(*Outline(builder.Build()), "y").ok());
}

TEST_F(OutlineFileTest, AFileThatIsNotThereIsNotFound) {
  EXPECT_EQ(ReadOnnxOutline(dir_.File("absent")).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace shoji::tools
