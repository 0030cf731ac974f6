// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Real model files: the built-in one, and those of the evaluation data where it is there.

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/graph/cost.h"
#include "lib/graph/cut.h"
#include "lib/graph/onnx_export.h"
#include "lib/graph/onnx_import.h"
#include "lib/graph/passes.h"
#include "tests/unit/lib/graph/graph_compare.h"

namespace shoji::graph {
namespace {

constexpr size_t kMaxFileSize = size_t{1} << 30;

struct ModelFile {
  const char* path;
  size_t num_nodes;  // that import keeps
  bool small;        // every cut is tried
};

void PrintTo(const ModelFile& file, std::ostream* out) { *out << file.path; }

std::string Resolve(const std::string& path) { return std::string(SHOJI_SOURCE_DIR) + "/" + path; }

class ModelFileTest : public testing::TestWithParam<ModelFile> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(Resolve(GetParam().path))) {
      GTEST_SKIP() << GetParam().path << " is not there";
    }
    const absl::StatusOr<Bytes> file = ReadFile(Resolve(GetParam().path), kMaxFileSize);
    ASSERT_TRUE(file.ok()) << file.status();
    absl::StatusOr<Graph> graph = ImportOnnx(*file);
    ASSERT_TRUE(graph.ok()) << graph.status();
    graph_ = *std::move(graph);
  }

  Graph graph_;
};

std::set<std::string> Names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::set<std::string> names;
  for (const ValueId id : ids) {
    names.insert(graph.values[id].name);
  }
  return names;
}

TEST_P(ModelFileTest, ImportsWithEveryComputingNode) {
  EXPECT_EQ(graph_.nodes.size(), GetParam().num_nodes);
  EXPECT_EQ(graph_.inputs.size(), 1U);
  EXPECT_EQ(graph_.outputs.size(), 1U);
  for (const Value& value : graph_.values) {
    EXPECT_EQ(value.type, DataType::kFloat32) << value.name;
  }
}

TEST_P(ModelFileTest, ReimportOfItsExportIsTheSameGraph) {
  const absl::StatusOr<Bytes> file = ExportOnnx(graph_);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::StatusOr<Graph> again = ImportOnnx(*file);
  ASSERT_TRUE(again.ok()) << again.status();
  ExpectSameGraph(graph_, *again);
  const absl::StatusOr<Bytes> file_again = ExportOnnx(*again);
  ASSERT_TRUE(file_again.ok());
  EXPECT_TRUE(*file == *file_again);
}

TEST_P(ModelFileTest, EveryCutExportsAndChains) {
  const size_t step = GetParam().small ? 1 : graph_.nodes.size() / 3;
  for (size_t at = 1; at < graph_.nodes.size(); at += step) {
    SCOPED_TRACE("cut at " + graph_.nodes[at].name);
    const Graph prefix = Cut(graph_, 0, at);
    const Graph suffix = Cut(graph_, at, graph_.nodes.size());
    const std::set<std::string> provided = Names(prefix, prefix.outputs);
    for (const std::string& name : Names(suffix, suffix.inputs)) {
      EXPECT_TRUE(provided.contains(name) || Names(graph_, graph_.inputs).contains(name)) << name;
    }
    EXPECT_EQ(prefix.nodes.size() + suffix.nodes.size(), graph_.nodes.size());
    for (const Graph* part : {&prefix, &suffix}) {
      ASSERT_FALSE(part->outputs.empty());
      const absl::StatusOr<Bytes> file = ExportOnnx(*part);
      ASSERT_TRUE(file.ok()) << file.status();
      const absl::StatusOr<Graph> again = ImportOnnx(*file);
      ASSERT_TRUE(again.ok()) << again.status();
      ExpectSameGraph(*part, *again);
    }
  }
}

TEST_P(ModelFileTest, OptimizedGraphExportsAndHasNoBatchNormLeft) {
  const uint64_t macs = CostOf(graph_, 0, graph_.nodes.size()).macs;
  Optimize(graph_);
  for (const Node& node : graph_.nodes) {
    EXPECT_NE(node.op, Op::kBatchNorm) << node.name;
  }
  EXPECT_EQ(CostOf(graph_, 0, graph_.nodes.size()).macs, macs);
  const absl::StatusOr<Bytes> file = ExportOnnx(graph_);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::StatusOr<Graph> again = ImportOnnx(*file);
  ASSERT_TRUE(again.ok()) << again.status();
}

TEST_P(ModelFileTest, EveryNodeIsFoundByName) {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const absl::StatusOr<size_t> found = FindNode(graph_, graph_.nodes[i].name);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, i);
  }
  for (const FoldedNode& folded : graph_.folded) {
    const absl::StatusOr<size_t> found = FindNode(graph_, folded.name);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, folded.next_node);
    EXPECT_LE(*found, graph_.nodes.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Files, ModelFileTest,
                         testing::Values(ModelFile{"models/cifar10_resnet.onnx", 38, true},
                                         ModelFile{"build/testdata/models/cifar10_resnet20.onnx", 76, true},
                                         ModelFile{"build/testdata/models/cifar10_resnet8_mlperftiny.onnx", 22, true},
                                         ModelFile{"build/testdata/models/vgg8_cifar10.onnx", 25, true},
                                         ModelFile{"build/testdata/models/vnncomp_cifar_resnet_4b.onnx", 28, true},
                                         ModelFile{"build/testdata/models/mnist_winml.onnx", 11, true},
                                         ModelFile{"build/testdata/models/efficientnet_b0_SYNTH.onnx", 239, false},
                                         ModelFile{"build/testdata/models/mobilenet_v1_025_224.onnx", 57, false},
                                         ModelFile{"build/testdata/models/mobilenet_v2_100_224.onnx", 100, false},
                                         ModelFile{"build/testdata/models/mobilenet_v3_small_224.onnx", 133, false},
                                         ModelFile{"build/testdata/models/resnet18_pqf.onnx", 69, false},
                                         ModelFile{"build/testdata/models/squeezenet1_0_deepcomp.onnx", 65, false},
                                         ModelFile{"build/testdata/models/squeezenet1_1_winml.onnx", 65, false}),
                         [](const testing::TestParamInfo<ModelFile>& param) {
                           std::string name = std::filesystem::path(param.param.path).stem();
                           return name;
                         });

}  // namespace
}  // namespace shoji::graph
