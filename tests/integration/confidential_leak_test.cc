// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Searches everything that leaves the enclave, to the byte, for the weights of confidential nodes and for their key, in
// every placement that the clear part may have. The same search finds the weights when they are not confidential.
#include <cstring>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/graph/onnx_import.h"
#include "lib/quantization/program.h"
#include "lib/ranges_file/ranges_file.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/open.h"
#include "tests/integration/sealed_fixture.h"
#include "tests/support/marks.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using ::testing::Contains;
using testing::Found;
using ::testing::IsEmpty;
using testing::Mark;
using ::testing::Not;

constexpr size_t kFloatWindow = 16;
constexpr size_t kByteWindow = 16;

const std::string kBuiltIn = std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet";

// `values` as a matrix of `rows` rows, with rows and columns exchanged.
template <typename T>
std::vector<T> Transposed(const std::vector<T>& values, size_t rows) {
  const size_t columns = values.size() / rows;
  std::vector<T> out;
  out.reserve(values.size());
  for (size_t column = 0; column < columns; ++column) {
    for (size_t row = 0; row < rows; ++row) {
      out.push_back(values[row * columns + column]);
    }
  }
  return out;
}

template <typename T>
Bytes Raw(const std::vector<T>& values) {
  Bytes out(values.size() * sizeof(T));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// int8 as bytes with an offset of 128, as some kernels want them.
Bytes Offset(const std::vector<int8_t>& values) {
  Bytes out = Raw(values);
  for (uint8_t& byte : out) {
    byte ^= 0x80;
  }
  return out;
}

// The weights of a node of the built-in model, in each form in which an accelerator could get them.
std::vector<Mark> WeightMarks(const std::string& node_name) {
  const auto onnx = ReadFile(kBuiltIn + ".onnx", size_t{1} << 26);
  const auto graph = graph::ImportOnnx(*onnx);
  EXPECT_TRUE(graph.ok());
  std::vector<float> values;
  size_t rows = 0;
  for (const graph::Node& node : graph->nodes) {
    if (node.name == node_name) {
      const Tensor& weights = *graph->values[node.inputs[1]].constant;
      values.assign(weights.values<float>().begin(), weights.values<float>().end());
      rows = static_cast<size_t>(weights.shape()[0]);
    }
  }
  EXPECT_FALSE(values.empty()) << node_name;
  const auto ranges = ranges_file::LoadRanges(kBuiltIn + ".ranges.yaml");
  const auto program = quantization::Program::Compile(*graph, ranges->ranges, {});
  EXPECT_TRUE(program.ok()) << program.status();
  std::vector<int8_t> bytes;
  for (const quantization::Step& step : (*program)->steps()) {
    const auto* linear = std::get_if<quantization::LinearStep>(&step.kind);
    if (linear != nullptr && linear->layer.name == node_name) {
      bytes = linear->layer.weights;
    }
  }
  EXPECT_EQ(bytes.size(), values.size());
  return {{"float32", Raw(values), kFloatWindow},
          {"float32 transposed", Raw(Transposed(values, rows)), kFloatWindow},
          {"int8", Raw(bytes), kByteWindow},
          {"int8 transposed", Raw(Transposed(bytes, rows)), kByteWindow},
          {"int8 offset", Offset(bytes), kByteWindow}};
}

class ConfidentialLeakTest : public testing::SealedFixture {
 protected:
  // Serves, classifies once, and collects what each party saw; of a sealed model from its release on.
  void Watch(const std::string& name, const std::string& policy) {
    ClusterOptions options;
    options.taps = ClusterOptions::Taps::kAll;
    if (name == kSealed) {
      Start(policy, std::move(options));
      ASSERT_NE(cluster_, nullptr);
      const testing::CommandResult released = Release();
      ASSERT_EQ(released.exit_code, 0) << released.err << cluster_->Logs();
      front_end_saw_ = ToBytes(released.out + released.err);
      AddKeyMarks();
    } else {
      options.models = {testing::BuiltInModel(policy)};
      auto cluster = Cluster::Start(std::move(options));
      ASSERT_TRUE(cluster.ok()) << cluster.status();
      cluster_ = *std::move(cluster);
    }
    const auto scores = Classify(name);
    ASSERT_TRUE(scores.ok()) << scores.status() << cluster_->Logs();
    for (const testing::Wiretap* tap : {&cluster_->client_tap(), &cluster_->enclave_tap()}) {
      Append(front_end_saw_, tap->sent());
      Append(front_end_saw_, tap->received());
    }
    accelerator_saw_ = cluster_->accelerator_tap(0, 0).sent();
    Append(accelerator_saw_, cluster_->accelerator_tap(0, 0).received());
    logs_ = ToBytes(cluster_->Logs());
  }

  void AddKeyMarks() {
    const auto owner_key = sealed_model::ReadKeyFile(key_file());
    const auto file = sealed_model::SealedFile::Open(sealed_file());
    const auto file_key = file->KeyFrom(*owner_key);
    const auto add = [&](const std::string& key, ByteSpan bytes) {
      marks_.push_back({key, {bytes.begin(), bytes.end()}, 16});
      marks_.push_back({key + " in hexadecimal", ToBytes(HexEncode(bytes)), 16});
    };
    add("owner's key", owner_key->Expose());
    add("file's key", file_key->Expose());
  }

  // That nobody saw any of the marks, and that the sealed file shows none.
  void ExpectNothingSeen() const {
    EXPECT_THAT(Found(marks_, accelerator_saw_), IsEmpty());
    EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
    EXPECT_THAT(Found(marks_, logs_), IsEmpty());
  }

  std::vector<Mark> marks_;
  Bytes accelerator_saw_;
  Bytes front_end_saw_;
  Bytes logs_;
};

std::string Placed(const std::string& first, const std::string& last) {
  return "model: \"*\"\nsegments:\n  - {from: input, " + first + "}\n  - {from: fc, " + last +
         "}\nmasking: {pool: {on_empty: wait}}\n";
}

struct Placement {
  const char* name;
  const char* first;
  const char* last;
};

class ConfidentialHeadTest : public ConfidentialLeakTest, public ::testing::WithParamInterface<Placement> {};

TEST_P(ConfidentialHeadTest, LeavesTheEnclaveInNoForm) {
  marks_ = WeightMarks("fc");
  Seal({"--confidential-from", "fc", "--results", "scores", "--queries", "10"});
  Watch(kSealed, Placed(GetParam().first, GetParam().last));
  ASSERT_FALSE(accelerator_saw_.empty());
  EXPECT_THAT(Found(WeightMarks("stem_conv"), accelerator_saw_), Not(IsEmpty()))
      << "the accelerator must have been given the clear part";
  ExpectNothingSeen();
  EXPECT_THAT(Found(marks_, *ReadFile(sealed_file(), size_t{1} << 26)), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Placements, ConfidentialHeadTest,
    ::testing::Values(Placement{"Open", "place: open", "place: enclave, confidential: true"},
                      Placement{"OpenUnmarked", "place: open", "place: enclave"},
                      Placement{"Blinded", "place: blinded", "place: enclave, confidential: true"},
                      Placement{"BlindedInt8", "place: blinded", "place: enclave, confidential: true, precision: int8"},
                      Placement{"Verified", "place: verified", "place: enclave"},
                      Placement{"VerifiedInt8", "place: verified", "place: enclave, precision: int8"}),
    [](const auto& param) { return param.param.name; });

TEST_F(ConfidentialLeakTest, AWholeConfidentialModelLeavesTheEnclaveInNoForm) {
  for (const char* const node : {"stem_conv", "block2_conv1", "fc"}) {
    const std::vector<Mark> marks = WeightMarks(node);
    marks_.insert(marks_.end(), marks.begin(), marks.end());
  }
  Seal({"--results", "scores", "--queries", "10"});
  Watch(kSealed, "model: \"*\"\nsegments: [{from: input, place: enclave}]\n");
  ExpectNothingSeen();
}

TEST_F(ConfidentialLeakTest, AClearModelsConfidentialSegmentLeavesTheEnclaveInNoForm) {
  marks_ = WeightMarks("fc");
  Watch(kClear, Placed("place: open", "place: enclave, confidential: true"));
  EXPECT_THAT(Found(WeightMarks("stem_conv"), accelerator_saw_), Contains("float32"));
  ExpectNothingSeen();
}

TEST_F(ConfidentialLeakTest, TheSearchFindsWeightsThatAreOpened) {
  Watch(kClear, "model: \"*\"\nsegments: [{from: input, place: open}]\n");
  EXPECT_THAT(Found(WeightMarks("fc"), accelerator_saw_), Contains("float32"));
}

TEST_F(ConfidentialLeakTest, TheSearchFindsWeightsOfBlindedLayers) {
  Watch(kClear, "model: \"*\"\nsegments: [{from: input, place: blinded}]\nmasking: {pool: {on_empty: wait}}\n");
  EXPECT_THAT(Found(WeightMarks("fc"), accelerator_saw_), Contains("int8"));
}

TEST_F(ConfidentialLeakTest, TheSearchFindsWeightsOfVerifiedLayers) {
  Watch(kClear, "model: \"*\"\nsegments: [{from: input, place: verified}]\n");
  EXPECT_THAT(Found(WeightMarks("fc"), accelerator_saw_), Contains("int8"));
  EXPECT_THAT(Found(WeightMarks("block4_conv2"), accelerator_saw_), Contains("int8"));
}

}  // namespace
}  // namespace shoji
