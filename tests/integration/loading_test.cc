// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How much memory an enclave takes for a model, beside the size of its file.
#include <onnx/onnx_pb.h>

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/graph/model_file.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/cluster.h"
#include "tests/support/onnx_builder.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using testing::OnnxBuilder;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

// In KiB.
struct Memory {
  long resident = 0;
  long peak = 0;
};

Memory MemoryOf(pid_t pid) {
  Memory out;
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("VmRSS:", 0) == 0) {
      out.resident = std::stol(line.substr(6));
    }
    if (line.rfind("VmHWM:", 0) == 0) {
      out.peak = std::stol(line.substr(6));
    }
  }
  return out;
}

// Three dense layers in VGG-16's proportions: the largest has three quarters of the weights.
Bytes DenseNetwork(int64_t width) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3, 16, 16})
      .Weight("w1", {width, 768})
      .Weight("w2", {width / 4, width})
      .Weight("w3", {10, width / 4});
  builder.Node("Flatten", {"x"}, {"f"});
  builder.Node("Gemm", {"f", "w1"}, {"a"}).Attribute("transB", int64_t{1}).Node("Relu", {"a"}, {"b"});
  builder.Node("Gemm", {"b", "w2"}, {"c"}).Attribute("transB", int64_t{1}).Node("Relu", {"c"}, {"d"});
  builder.Node("Gemm", {"d", "w3"}, {"y"}).Attribute("transB", int64_t{1}).Output("y");
  for (auto& tensor : *builder.proto().mutable_graph()->mutable_initializer()) {
    const std::string raw(reinterpret_cast<const char*>(tensor.float_data().data()),
                          static_cast<size_t>(tensor.float_data_size()) * sizeof(float));
    tensor.clear_float_data();
    tensor.set_raw_data(raw);
  }
  return builder.Build();
}

// Ranges for every value of `model`.
void WriteRanges(const graph::ImportedModel& model, const std::string& path) {
  ranges_file::RangesFile file{.model = model.digest, .num_images = 1, .ranges = {}};
  for (const graph::Value& value : model.graph.values) {
    if (value.constant == nullptr) {
      file.ranges[value.name] = {-4, 4};
    }
  }
  ASSERT_TRUE(ranges_file::SaveRanges(path, file).ok());
}

// What a whole enclave takes that serves this network.
Memory EnclaveMemory(int64_t width, const std::string& policy, size_t& file_bytes) {
  const testing::TempDir folder;
  const Bytes onnx = DenseNetwork(width);
  file_bytes = onnx.size();
  EXPECT_TRUE(WriteFileAtomically(folder.File("m.onnx"), onnx).ok());
  WriteRanges(*graph::ImportModelFile(folder.File("m.onnx")), folder.File("m.ranges.yaml"));
  ClusterOptions options;
  options.models = {{.name = "m", .onnx = folder.File("m.onnx"), .labels = "", .preprocessing = "", .policy = policy}};
  auto cluster = Cluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? MemoryOf((*cluster)->enclave().pid()) : Memory();
}

class LoadingTest : public ::testing::TestWithParam<const char*> {};

TEST_P(LoadingTest, WeightsAreHeldOnceWhileServingAndNeverTwiceAtLoad) {
  if (kSanitizerBuild) {
    GTEST_SKIP() << "a sanitizer keeps memory of its own";
  }
  const std::string policy = std::string("model: m\n") + GetParam();
  size_t little = 0;
  size_t large = 0;
  const Memory before = EnclaveMemory(16, policy, little);
  const Memory after = EnclaveMemory(8192, policy, large);
  const double file_kib = static_cast<double>(large - little) / 1024;
  const double resident = static_cast<double>(after.resident - before.resident) / file_kib;
  const double peak = static_cast<double>(after.peak - before.peak) / file_kib;
  RecordProperty("resident over file", std::to_string(resident));
  RecordProperty("peak over file", std::to_string(peak));
  EXPECT_LE(resident, 1.3);
  EXPECT_LE(peak, 1.9);
}

INSTANTIATE_TEST_SUITE_P(
    Policies, LoadingTest,
    ::testing::Values("segments: [{from: input, place: enclave}]\n",
                      "segments: [{from: input, place: enclave, precision: int8}]\n",
                      "segments: [{from: input, place: blinded}]\nmasking: {pool: {requests: 1}}\n",
                      "segments: [{from: input, place: open}]\n"));

}  // namespace
}  // namespace shoji
