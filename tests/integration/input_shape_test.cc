// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A model whose file leaves the whole shape of its input open, as exporters with dynamic axes write it, client to
// answer: the shape is that of its preprocessing, and the answer that of the same model with a fixed one.
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/cluster.h"
#include "tests/support/process.h"

namespace shoji {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using testing::Cluster;
using testing::ClusterModel;
using testing::CommandResult;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class InputShapeTest : public ::testing::Test {
 protected:
  // The built-in model with every dimension of its input dynamic, and its ranges.
  void SetUp() override {
    const absl::StatusOr<Bytes> file = ReadFile(built_in_.onnx, size_t{1} << 24);
    ASSERT_TRUE(file.ok()) << file.status();
    ::onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(ToString(*file)));
    auto& shape = *model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
    const std::string names[] = {"batch_size", "num_channels", "height", "width"};
    ASSERT_EQ(shape.dim_size(), 4);
    for (int i = 0; i < 4; ++i) {
      shape.mutable_dim(i)->set_dim_param(names[i]);
    }
    model.mutable_graph()->clear_value_info();
    const std::string open = model.SerializeAsString();
    ASSERT_TRUE(WriteFileAtomically(onnx_, AsBytes(open)).ok());
    auto ranges = ranges_file::LoadRanges(ranges_file::RangesPathOf(built_in_.onnx));
    ASSERT_TRUE(ranges.ok()) << ranges.status();
    ranges->model = digest::Sha256(AsBytes(open));
    ASSERT_TRUE(ranges_file::SaveRanges(ranges_file::RangesPathOf(onnx_), *ranges).ok());
  }

  static std::string Scores(const Cluster& cluster, const std::string& model) {
    const CommandResult result = testing::RunCommand(
        {testing::BinDir() + "/shoji", "infer", std::string(SHOJI_SOURCE_DIR) + "/models/photos/cat.png", "--model",
         model, "--server", cluster.address(), "--plaintext", "--allow-simulated", "--simulated-key",
         cluster.signer_public_key_file(), "--top", "10", "--output", "json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const json answer = json::parse(result.out, nullptr, false);
    return answer.is_object() && answer.contains("top") ? answer["top"].dump() : "no answer: " + result.out;
  }

  // What the enclave says of a configuration that serves the model with `keys` in its entry, when that is checked and
  // when it starts; it must be the same.
  std::string Refusal(const std::string& keys) const {
    WriteConfig(keys);
    const CommandResult checked = Enclave({"--check-config"});
    const CommandResult started = Enclave({});
    EXPECT_EQ(checked.exit_code, 2);
    EXPECT_EQ(started.exit_code, 2);
    // Behind the lines of the log, which tell the time.
    const std::string refusal = started.err.substr(std::min(started.err.find("shoji-enclave: "), started.err.size()));
    EXPECT_THAT(checked.err, EndsWith(refusal));
    return refusal;
  }
  void ExpectAccepted(const std::string& keys) const {
    WriteConfig(keys);
    const CommandResult checked = Enclave({"--check-config"});
    EXPECT_EQ(checked.exit_code, 0) << checked.err;
  }
  void WriteConfig(const std::string& keys) const {
    const std::string yaml =
        "listen: {address: \"unix:e.sock\"}\nevidence: {kind: simulated, key: simulated.key}\nmodels:\n  - {name: m, "
        "file: open.onnx, policy: policy.yaml" +
        keys + "}\n";
    ASSERT_TRUE(WriteFileAtomically(dir_.File("enclave.yaml"), AsBytes(yaml)).ok());
    ASSERT_TRUE(WriteFileAtomically(dir_.File("policy.yaml"), AsBytes(testing::ReadyPolicy("enclave-only"))).ok());
    const CommandResult key = testing::RunCommand(
        {"/usr/bin/openssl", "genpkey", "-algorithm", "ed25519", "-out", dir_.File("simulated.key")});
    ASSERT_EQ(key.exit_code, 0) << key.err;
  }
  CommandResult Enclave(const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {testing::BinDir() + "/shoji-enclave", "--config", dir_.File("enclave.yaml")};
    argv.insert(argv.end(), more.begin(), more.end());
    return testing::RunCommand(argv);
  }

  const ClusterModel built_in_ = testing::BuiltInModel("");
  const testing::TempDir dir_;
  const std::string onnx_ = dir_.File("open.onnx");
};

TEST_F(InputShapeTest, AModelWithDynamicDimensionsGivesTheAnswersOfTheFixedOne) {
  const std::map<std::string, std::string> policies = {
      {"slalom", testing::ReadyPolicy("slalom")},
      {"enclave-only", testing::ReadyPolicy("enclave-only")},
      {"partly-open",
       "model: '*'\nsegments: [{from: input, place: enclave}, {after: block1_relu2, place: open}, {from: fc, place: "
       "enclave}]\n"}};
  testing::ClusterOptions options;
  for (const auto& [name, policy] : policies) {
    options.models.push_back({"fixed-" + name, built_in_.onnx, "", built_in_.preprocessing, policy});
    options.models.push_back({"dynamic-" + name, onnx_, "", built_in_.preprocessing, policy});
  }
  const auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  for (const auto& [name, policy] : policies) {
    const std::string fixed = Scores(**cluster, "fixed-" + name);
    EXPECT_THAT(fixed, HasSubstr("index"));
    EXPECT_EQ(Scores(**cluster, "dynamic-" + name), fixed) << name;
  }
}

TEST_F(InputShapeTest, AStartAndACheckRefuseDynamicDimensionsThatNothingStates) {
  EXPECT_THAT(Refusal(""), AllOf(HasSubstr("enclave.yaml:4: key 'models[0]': model m: "),
                                 HasSubstr("is [`batch_size`,`num_channels`,`height`,`width`]: dimensions 1, 2 and 3 "
                                           "are dynamic, and only the first, the batch, may be"),
                                 HasSubstr("`preprocessing` or `input_shape: 3x224x224`")));
  ExpectAccepted(", input_shape: 3x32x32");
  ExpectAccepted(", preprocessing: " + built_in_.preprocessing);
}

TEST_F(InputShapeTest, AShapeThatTheNetworkCannotTakeIsRefusedByTheNodeThatCannot) {
  EXPECT_THAT(Refusal(", input_shape: 1x32x32"), HasSubstr("(Conv)"));
}

}  // namespace
}  // namespace shoji
