// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What operators get wrong in configurations, policies and model files: every daemon refuses it with --check-config,
// with exit code 2 and a message that says what, where and what to do.
#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/cluster.h"
#include "tests/support/crafted_files.h"
#include "tests/support/onnx_builder.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using testing::RunCommand;
using testing::TempDir;

Bytes Contents(const std::string& path) {
  auto content = ReadFile(path, size_t{64} << 20);
  EXPECT_TRUE(content.ok()) << content.status();
  return content.ok() ? *std::move(content) : Bytes();
}

void ExpectRefused(const CommandResult& result, int exit_code, const std::vector<std::string>& says) {
  EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
  for (const std::string& text : says) {
    EXPECT_THAT(result.err, HasSubstr(text));
  }
}

// Configurations, models and policies that a daemon must not start with.
class BadConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const CommandResult made =
        RunCommand({"/usr/bin/openssl", "genpkey", "-algorithm", "ed25519", "-out", files_.File("simulated.key")});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    Write("policy.yaml", testing::ReadyPolicy("enclave-only"));
  }
  std::string Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(files_.File(name), AsBytes(text)).ok());
    return files_.File(name);
  }
  // An enclave's configuration; each line ends, `model` holds further keys of the model.
  static std::string Enclave(const std::string& model = "", const std::string& onnx = ModelFile()) {
    return "listen: {address: \"unix:enclave.sock\"}\n"
           "evidence: {kind: simulated, key: simulated.key}\n"
           "models:\n"
           "  - name: cifar10_resnet\n"
           "    file: " +
           onnx + "\n    policy: policy.yaml\n" + model;
  }
  static std::string ModelFile() { return testing::BuiltInModel("").onnx; }
  // Checked or started, the daemon says the same of `yaml` and exits with 2.
  void ExpectBad(const std::string& binary, const std::string& yaml, const std::vector<std::string>& says) const {
    const std::string config = Write("config.yaml", yaml);
    ExpectRefused(RunCommand({testing::BinDir() + "/" + binary, "--config", config, "--check-config"}), 2, says);
    ExpectRefused(RunCommand({testing::BinDir() + "/" + binary, "--config", config}), 2, says);
  }
  void ExpectGood(const std::string& binary, const std::string& yaml) const {
    const CommandResult result =
        RunCommand({testing::BinDir() + "/" + binary, "--config", Write("config.yaml", yaml), "--check-config"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  void ExpectBadPolicy(const std::string& segments, const std::vector<std::string>& says) const {
    Write("policy.yaml", "model: cifar10_resnet\nsegments:\n" + segments);
    ExpectBad("shoji-enclave", Enclave("accelerators: [{name: gpu0, operator: op, address: \"unix:acc.sock\"}]\n"),
              says);
    ExpectRefused(Plan(ModelFile()), 1, says);
  }
  CommandResult Plan(const std::string& onnx) const {
    return RunCommand(
        {testing::BinDir() + "/shoji-model", "plan", "--policy", files_.File("policy.yaml"), "--model", onnx});
  }
  // The enclave and `shoji-model plan` both refuse this model.
  void ExpectBadModel(const Bytes& onnx, const std::vector<std::string>& says) const {
    Write("bad.onnx", ToString(onnx));
    ExpectBad("shoji-enclave", Enclave("", "bad.onnx"), says);
    ExpectBad("shoji-enclave", Enclave("", "bad.onnx"), {"config.yaml:4: key 'models[0]': model cifar10_resnet: "});
    ExpectRefused(Plan(files_.File("bad.onnx")), 1, says);
    ExpectRefused(Plan(files_.File("bad.onnx")), 1, {files_.File("bad.onnx") + ": "});
  }

  const TempDir files_;
};

constexpr char kServer[] =
    "listen: {address: \"127.0.0.1:0\"}\nenclaves:\n  - {name: e, address: \"unix:enclave.sock\"}\n";
constexpr char kAccelerator[] = "listen: {address: \"unix:acc.sock\"}\n";

TEST_F(BadConfigTest, TheReadyConfigurationsAreValid) {
  const std::string source = SHOJI_SOURCE_DIR;
  namespace fs = std::filesystem;
  fs::copy(source + "/config", files_.File("config"), fs::copy_options::recursive);
  fs::create_directory_symlink(source + "/models", files_.File("models"));
  fs::create_directory(files_.File("config/run"));
  fs::rename(files_.File("simulated.key"), files_.File("config/run/simulated.key"));
  for (const std::string name : {"server", "enclave", "accelerator"}) {
    const CommandResult result = RunCommand(
        {testing::BinDir() + "/shoji-" + name, "--config", files_.File("config/" + name + ".yaml"), "--check-config"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, files_.File("config/" + name + ".yaml") + " is valid\n") << "the same words of every daemon";
  }
}

TEST_F(BadConfigTest, UnknownKeysAndWrongTypesAreNamedWithFileAndLine) {
  const std::string at = files_.File("config.yaml");
  ExpectBad("shoji-server", std::string(kServer) + "limit: {}\n",
            {at + ":4: key 'limit': unknown key (did you mean limits?)"});
  ExpectBad("shoji-server", std::string(kServer) + "limits:\n  queue: many\n",
            {at + ":5: key 'limits.queue': must be an integer from 0 to 100000, not \"many\""});
  ExpectBad("shoji-enclave", Enclave() + "work: {worker: 3}\n", {at + ":7: key 'work.worker': unknown key"});
  ExpectBad("shoji-enclave", Enclave() + "sessions: {max_live: 16384}\nwork: {requests_in_flight: 4096}\n",
            {"sessions.max_live and twice work.requests_in_flight are 24576 together"});
  ExpectBad("shoji-enclave", Enclave() + "sessions: {grace: 5}\n",
            {at + ":7: key 'sessions.grace': must be a duration such as 500ms, 10s, 2m or 1h"});
  ExpectBad("shoji-enclave", "listen: {address: \"unix:e.sock\"}\nmodels: []\n",
            {at + ":1: the key 'evidence' is missing"});
  ExpectBad("shoji-accelerator", std::string(kAccelerator) + "quota: {}\n",
            {at + ":2: key 'quota': unknown key (did you mean quotas?)"});
  ExpectBad("shoji-accelerator", std::string(kAccelerator) + "compute: {threads: [1]}\n",
            {at + ":2: key 'compute.threads': must be an integer", "not a list"});
  for (const std::string binary : {"shoji-server", "shoji-enclave", "shoji-accelerator"}) {
    ExpectBad(binary, "listen: {address: \"unix:x\n", {at + ":", "not valid YAML"});
    ExpectRefused(RunCommand({testing::BinDir() + "/" + binary, "--config", files_.File("none.yaml")}), 2,
                  {"cannot open " + files_.File("none.yaml") + ": No such file or directory"});
    ExpectRefused(RunCommand({testing::BinDir() + "/" + binary}), 2, {"--config is required"});
  }
}

TEST_F(BadConfigTest, AMissingFileIsNamedWithThePlaceThatNamesIt) {
  const std::string at = files_.File("config.yaml");
  const std::string missing = "cannot open " + files_.File("none");
  const std::string tls = ", tls: {certificate: none, private_key: none, client_ca: none}}\n";
  ExpectBad("shoji-server", std::string(kServer) + "auth: {tokens_file: none}\n",
            {at + ":4: key 'auth.tokens_file': " + missing});
  ExpectBad(
      "shoji-server",
      "listen: {address: \"127.0.0.1:0\"" + tls + std::string(kServer).substr(std::string(kServer).find("enclaves:")),
      {at + ":1: key 'listen.tls': " + missing});
  ExpectBad("shoji-accelerator", "listen: {address: \"127.0.0.1:0\"" + tls, {at + ":1: key 'listen.tls': " + missing});
  std::string enclave = Enclave();
  enclave.replace(0, enclave.find('\n') + 1, "listen: {address: \"127.0.0.1:0\"" + tls);
  ExpectBad("shoji-enclave", enclave, {at + ":1: key 'listen.tls': " + missing});
  ExpectBad("shoji-enclave", Enclave("    labels: none\n"), {at + ":7: key 'models[0].labels': " + missing});
  ExpectBad("shoji-enclave", Enclave("    preprocessing: none\n"),
            {at + ":7: key 'models[0].preprocessing': " + missing});
  ExpectBad("shoji-enclave", Enclave("", "none"), {at + ":5: key 'models[0].file': " + missing});
  std::filesystem::remove(files_.File("policy.yaml"));
  ExpectBad("shoji-enclave", Enclave(), {at + ":6: key 'models[0].policy': cannot open " + files_.File("policy.yaml")});
  std::filesystem::remove(files_.File("simulated.key"));
  ExpectBad("shoji-enclave", Enclave(), {at + ":2: key 'evidence.key': cannot open " + files_.File("simulated.key")});
}

TEST_F(BadConfigTest, KeysThatOthersCanReadAreRefused) {
  ASSERT_EQ(::chmod(files_.File("simulated.key").c_str(), 0644), 0);
  ExpectBad("shoji-enclave", Enclave(), {"can be read by others", "run `chmod 600 "});
  ASSERT_EQ(::chmod(Write("tokens", "abcdefgh\n").c_str(), 0644), 0);
  ExpectBad("shoji-server", std::string(kServer) + "auth: {tokens_file: tokens}\n",
            {"key 'auth.tokens_file': ", "is open to group or others; restrict it with: chmod 600"});
}

TEST_F(BadConfigTest, PlaintextOffTheHostIsRefused) {
  const std::string says = "leaves this host: give it mutual TLS, or use a Unix socket or loopback";
  ExpectBad("shoji-accelerator", "listen: {address: \"0.0.0.0:0\"}\n", {":1: key 'listen.address': ", says});
  ExpectBad("shoji-accelerator", "listen: {address: \"0.0.0.0:0\", insecure_plaintext: true}\n", {says});
  std::string enclave = Enclave();
  enclave.replace(0, enclave.find('\n'), "listen: {address: \"0.0.0.0:0\"}");
  ExpectBad("shoji-enclave", enclave, {":1: key 'listen.address': ", says});
  ExpectBad("shoji-enclave", Enclave("accelerators: [{name: a, operator: o, address: \"192.0.2.1:9\"}]\n"),
            {":7: key 'accelerators[0].address': ", says});
  ExpectBad("shoji-server", "listen: {address: \"127.0.0.1:0\"}\nenclaves: [{name: e, address: \"192.0.2.1:9\"}]\n",
            {":2: key 'enclaves[0].address': ", says});
  ExpectBad("shoji-server", "listen: {address: \"0.0.0.0:0\"}\nenclaves: [{name: e, address: \"unix:e\"}]\n",
            {":1: key 'listen.address': ", "would cross the network: add 'tls'"});
}

TEST_F(BadConfigTest, LabelsThatDoNotFitTheModelAreRefused) {
  Write("labels", "a\nb\nc\n");
  ExpectBad("shoji-enclave", Enclave("    labels: labels\n"),
            {":4: key 'models[0]': model cifar10_resnet: its labels file has 3 lines", "has 10 values"});
  Write("labels", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9");
  ExpectGood("shoji-enclave", Enclave("    labels: labels\n"));
}

TEST_F(BadConfigTest, APreprocessingThatDoesNotFitTheModelIsRefused) {
  Write("pre", "resize: 64\ncrop: 64\nchannels: rgb\nlayout: nchw\nmean: [0, 0, 0]\nstd: [1, 1, 1]\n");
  ExpectBad("shoji-enclave", Enclave("    preprocessing: pre\n"),
            {"its preprocessing makes a tensor of [1,3,64,64]", "is [`N`,3,32,32]"});
}

// Every request for it would be refused on its way.
TEST_F(BadConfigTest, AModelWhoseMessagesAreTooLargeIsRefused) {
  const auto with = [this](const Bytes& onnx, const std::string& limit) {
    Write("large.onnx", ToString(onnx));
    return Enclave("", "large.onnx") + "max_message: " + limit + "\n";
  };
  const Bytes large =
      testing::OnnxBuilder().Input("x", {1, 3, 100, 100}).Node("Relu", {"x"}, {"y"}).Output("y").Build();
  ExpectBad("shoji-enclave", with(large, "64KiB"),
            {"key 'models[0]'", "its request has 1200", "'max_message: 65536'", "limits.max_message of the front end"});
  ExpectGood("shoji-enclave", with(large, "128KiB"));
  const Bytes large_answer = testing::OnnxBuilder()
                                 .Input("x", {1, 3, 50, 50})
                                 .Node("Concat", {"x", "x", "x"}, {"y"})
                                 .Attribute("axis", int64_t{1})
                                 .Output("y")
                                 .Build();
  ExpectBad("shoji-enclave", with(large_answer, "64KiB"), {"its answer has 900"});
}

TEST_F(BadConfigTest, PoliciesThatAreNotAvailableYetAreRefused) {
  ExpectBadPolicy("  - {from: input, place: open, precision: int8}\n",
                  {"precision `int8` in the open placement of segment 1 is not available yet"});
}

TEST_F(BadConfigTest, PoliciesThatMaskOrCheckInFloat32AreRefused) {
  ExpectBadPolicy(
      "  - {from: input, place: enclave}\n  - {from: fc, place: verified, precision: float32}\n",
      {"segment 2 (from `fc`): `precision: float32` is refused because placement `verified` is always int8"});
}

TEST_F(BadConfigTest, PoliciesThatCouldSteerWhatTheyOpenAreRefused) {
  ExpectBadPolicy("  - {from: input, place: blinded, verify: false}\n  - {from: fc, place: open}\n",
                  {"segment 1 (from the input): `verify: false` is refused because segment 2 is `open`"});
}

TEST_F(BadConfigTest, Int8WithoutCalibratedRangesSaysHowToMakeThem) {
  Write("policy.yaml", "model: cifar10_resnet\nsegments: [{from: input, place: blinded}]\n");
  Write("model.onnx", ToString(Contents(ModelFile())));
  ExpectBad("shoji-enclave", Enclave("", "model.onnx"),
            {"config.yaml:4: key 'models[0]': model cifar10_resnet: ", "needs calibrated ranges",
             "model.ranges.yaml; make it with: shoji-model calibrate --model "});
}

TEST_F(BadConfigTest, SharesOverALinkThatEndsOutsideTheEnclaveAreRefused) {
  Write("policy.yaml", "model: cifar10_resnet\nsegments: [{from: input, place: blinded}]\nmasking: {source: shares}\n");
  ExpectBad(
      "shoji-enclave",
      Enclave("accelerators:\n  - {name: gpu0, operator: alice, address: \"unix:a.sock\"}\n"
              "  - {name: gpu1, operator: bob, address: \"127.0.0.1:9100\"}\n"),
      {"segment 1 (from the input): `source: shares`: the link to accelerator `gpu0` of operator `alice` could be "
       "read on the way: each link must be mutually authenticated TLS over TCP that ends inside the enclave"});
}

TEST_F(BadConfigTest, APolicyThatNamesAMissingNodeGetsNearNames) {
  ExpectBadPolicy("  - {from: input, place: enclave}\n  - {after: block1_rellu2, place: open}\n",
                  {"segment 2 (after `block1_rellu2`): ", "did you mean", "block1_relu2"});
}

TEST_F(BadConfigTest, APolicyThatNamesAMissingAcceleratorGetsNearNames) {
  Write("policy.yaml", "model: cifar10_resnet\nsegments: [{from: input, place: open, accelerators: [gpu1]}]\n");
  ExpectBad("shoji-enclave", Enclave("accelerators: [{name: gpu0, operator: op, address: \"unix:acc.sock\"}]\n"),
            {"the deployment has no accelerator `gpu1` (did you mean gpu0?)"});
  ExpectBad("shoji-enclave", Enclave(), {"needs an accelerator, and the deployment has none"});
}

TEST_F(BadConfigTest, APolicyForAnotherModelIsRefused) {
  Write("policy.yaml", "model: vgg16\nsegments: [{from: input, place: enclave}]\n");
  ExpectBad("shoji-enclave", Enclave(), {"model cifar10_resnet: its policy is for model 'vgg16'"});
}

TEST_F(BadConfigTest, ACorruptOrTruncatedOnnxFileIsRefused) {
  const Bytes good = Contents(ModelFile());
  ExpectBadModel({}, {"ONNX"});
  ExpectBadModel(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2)), {"ONNX"});
  Bytes corrupt = good;
  std::fill(corrupt.begin(), corrupt.begin() + 64, uint8_t{0xff});
  ExpectBadModel(corrupt, {"ONNX"});
  ExpectBadModel(ToBytes("this is no model"), {"ONNX"});
}

TEST_F(BadConfigTest, AnUnsupportedOperatorIsNamedWithItsNode) {
  // The operator of the first Relu node; a name of the same length leaves the file well formed.
  std::string model = ToString(Contents(ModelFile()));
  const size_t at = model.find("\x22\x04Relu");
  ASSERT_NE(at, std::string::npos);
  model.replace(at + 2, 4, "Asin");
  ExpectBadModel(ToBytes(model), {"stem_relu", "Asin", "not supported"});
}

}  // namespace
}  // namespace shoji
