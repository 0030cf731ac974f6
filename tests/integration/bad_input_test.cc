// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What users and operators get wrong, against real processes. Each mistake gets its exit code and a message that says
// what, where and what to do; where a daemon is involved, the next good request succeeds.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/reason.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "tests/support/cluster.h"
#include "tests/support/crafted_files.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::Cluster;
using testing::ClusterOptions;
using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Npy;
using testing::PngOfSize;
using testing::Process;
using testing::RawClient;
using testing::RunCommand;
using testing::TempDir;

constexpr char kModel[] = "cifar10_resnet";

std::string Photo(const std::string& name) { return std::string(SHOJI_SOURCE_DIR) + "/models/photos/" + name; }

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

bool Saw(const testing::Wiretap& tap, const std::string& text) {
  return ToString(tap.sent()).find(text) != std::string::npos;
}

class BadInputTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void Start(ClusterOptions options, const std::string& policy = "enclave-only") {
    cluster_ = nullptr;
    options.models = {testing::BuiltInModel(testing::ReadyPolicy(policy))};
    auto cluster = Cluster::Start(std::move(options));
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
  }
  static std::string Write(const std::string& path, ByteSpan content) {
    EXPECT_TRUE(WriteFileAtomically(path, content).ok());
    return path;
  }
  std::string WriteNew(const std::string& name, ByteSpan content) { return Write(files_.File(name), content); }

  std::vector<std::string> Accepting() const {
    return {"--allow-simulated", "--simulated-key", cluster_->signer_public_key_file()};
  }
  // `shoji infer` at `address` with these arguments.
  static CommandResult InferAt(const std::string& address, const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {testing::BinDir() + "/shoji", "infer", "--server", address};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return RunCommand(argv);
  }
  CommandResult Infer(std::vector<std::string> arguments) const {
    arguments.emplace_back("--plaintext");
    const std::vector<std::string> accepting = Accepting();
    arguments.insert(arguments.end(), accepting.begin(), accepting.end());
    return InferAt(cluster_->address(), arguments);
  }
  void ExpectGoodRequestSucceeds() const {
    const CommandResult result = Infer({Photo("cat.png")});
    EXPECT_EQ(result.exit_code, 0) << result.err << cluster_->Logs();
    EXPECT_THAT(result.out, HasSubstr("   1  cat"));
  }
  // The first output for a picture or tensor.
  std::vector<float> Scores(const std::string& path) const {
    const CommandResult result = Infer({path, "--output", "json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto json = nlohmann::json::parse(result.out, nullptr, false);
    return json.is_discarded() ? std::vector<float>() : json["outputs"][0]["values"].get<std::vector<float>>();
  }

  const TempDir files_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(BadInputTest, AFileThatIsNotAPictureIsRefusedByName) {
  ExpectRefused(Infer({WriteNew("notes.txt", AsBytes("dear diary"))}), 1,
                {"notes.txt: not a picture that can be read (PNG, JPEG and BMP can)"});
  ExpectRefused(Infer({WriteNew("empty.png", {})}), 1, {"empty.png: the file is empty"});
  ExpectRefused(Infer({files_.File("none.png")}), 1, {"cannot open " + files_.File("none.png")});
  ExpectRefused(Infer({files_.path()}), 1, {files_.path() + " is not a regular file"});
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, PicturesWithoutPixelsOrWithTooManyAreRefused) {
  ExpectRefused(Infer({WriteNew("zero.png", PngOfSize(0, 0))}), 1,
                {"zero.png: the picture has no pixels: its size is 0x0"});
  ExpectRefused(Infer({WriteNew("huge.png", PngOfSize(60000, 60000))}), 1,
                {"huge.png: the picture is too large: its size is 60000x60000; at most"});
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, ATruncatedPngIsRefused) {
  const Bytes cat = Contents(Photo("cat.png"));
  for (const size_t size : {size_t{20}, size_t{100}, cat.size() / 2, cat.size() - 1}) {
    ExpectRefused(Infer({WriteNew("cut.png", ByteSpan(cat).first(size))}), 1, {"cut.png: not a whole PNG file"});
  }
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, OneBadPictureAmongSeveralDoesNotStopTheOthers) {
  const std::string bad = WriteNew("bad.jpg", AsBytes("not a picture"));
  const CommandResult result = Infer({Photo("cat.png"), bad, Photo("bird.jpg")});
  ExpectRefused(result, 1, {"bad.jpg: not a picture"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("cat.png"), HasSubstr("bird.jpg"), Not(HasSubstr("bad.jpg"))));

  const CommandResult json = Infer({bad, Photo("cat.png"), "--output", "json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"error\""), HasSubstr("INVALID_ARGUMENT"), HasSubstr("\"label\":\"cat\"")));
}

TEST_F(BadInputTest, ATensorOfTheWrongShapeOrTypeIsRefusedWithTheOneThatIsWanted) {
  const Bytes data(size_t{8} * 3 * 32 * 32);
  const size_t right = size_t{4} * 3 * 32 * 32;
  ExpectRefused(Infer({WriteNew("shape.npy", Npy("<f4", "(1, 3, 16, 16)", ByteSpan(data).first(right / 4)))}), 1,
                {"shape.npy", "is float32 [1,3,32,32], not float32 [1,3,16,16]"});
  ExpectRefused(Infer({WriteNew("type.npy", Npy("<f8", "(1, 3, 32, 32)", data))}), 1,
                {"type.npy: ", "neither float32 nor uint8; save a.astype('<f4')"});
  ExpectRefused(Infer({WriteNew("cut.npy", Npy("<f4", "(1, 3, 32, 32)", ByteSpan(data).first(right - 1)))}), 1,
                {"cut.npy: ", "12287 bytes of data where its shape", "12288"});
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, ATensorGetsTheAnswerOfThePictureThatItWasMadeFrom) {
  image::Preprocessing preprocessing;
  preprocessing.resize_shorter_side = preprocessing.crop_width = preprocessing.crop_height = 32;
  preprocessing.channels = image::Channels::kRgb;
  preprocessing.scale = 1.0F / 255;
  preprocessing.mean = {0.4914F, 0.4822F, 0.4465F};
  preprocessing.std = {0.2470F, 0.2435F, 0.2616F};
  preprocessing.layout = image::Layout::kNchw;
  const auto picture = image::Decode(Contents(Photo("cat.png")), "cat.png");
  ASSERT_TRUE(picture.ok()) << picture.status();
  const auto tensor = image::Normalize(image::ToPixels(*picture, preprocessing).bytes(), preprocessing);
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  const std::vector<float> expected = Scores(Photo("cat.png"));
  ASSERT_EQ(expected.size(), 10U);
  for (const char* const shape : {"(1, 3, 32, 32)", "(3, 32, 32)"}) {
    const std::vector<float> scores = Scores(WriteNew("cat.npy", Npy("<f4", shape, tensor->bytes())));
    EXPECT_THAT(scores, ::testing::Pointwise(::testing::FloatNear(1e-4F), expected)) << shape;
  }
}

TEST_F(BadInputTest, AnUnknownModelIsRefusedByName) {
  ExpectRefused(Infer({Photo("cat.png"), "--model", "cifar10_resent"}), 1,
                {"no model 'cifar10_resent'", "did you mean cifar10_resnet?"});
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, AWrongCommandLineIsAUsageError) {
  ExpectRefused(Infer({Photo("cat.png"), "--deadline", "soon"}), 2, {"'soon' is not a time such as 500ms, 10s or 2m"});
  ExpectRefused(Infer({}), 2, {"PICTURE is required"});
  ExpectRefused(Infer({Photo("cat.png"), "--expect-plan-digest", "12"}), 2,
                {"--expect-plan-digest takes 64 hexadecimal digits"});
  ExpectRefused(InferAt("nowhere", {Photo("cat.png")}), 2,
                {"address \"nowhere\" has no port; write unix:PATH, HOST:PORT"});
  ExpectRefused(InferAt(cluster_->address(), {Photo("cat.png"), "--plaintext", "--allow-simulated"}), 2,
                {"--allow-simulated needs --simulated-key FILE"});
}

TEST_F(BadInputTest, AServerThatIsNotThereIsAnErrorAtTheDeadline) {
  cluster_->server().Kill();
  ExpectRefused(Infer({Photo("cat.png"), "--deadline", "500ms"}), 1, {"no answer before the deadline"});
  cluster_->StartServer();
  ASSERT_TRUE(cluster_->WaitServing());
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, ASealedRequestOfTheWrongLengthIsRefused) {
  RawClient client(cluster_->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  const Bytes body(size_t{3} * 32 * 32);
  const absl::Status status = client.Roundtrip(channel::RequestKind::kPicture, ByteSpan(body).first(100), kModel);
  EXPECT_EQ(ReasonOf(status), Reason::kWrongLength) << status;
  const absl::Status good = client.Roundtrip(channel::RequestKind::kPicture, body, kModel);
  EXPECT_TRUE(good.ok()) << good;
}

TEST_F(BadInputTest, AMessageOverTheLimitIsRefused) {
  RawClient client(cluster_->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  const Bytes body(size_t{3} * 32 * 32);
  auto oversized = client.Seal(channel::RequestKind::kPicture, body, kModel);
  ASSERT_TRUE(oversized.ok());
  oversized->ciphertext.resize(size_t{17} << 20);
  const absl::Status status = client.Send(*oversized).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("larger than max"));
  const absl::Status good = client.Roundtrip(channel::RequestKind::kPicture, body, kModel);
  EXPECT_TRUE(good.ok()) << good;
}

TEST_F(BadInputTest, AReloadOfABadPolicyOrModelIsRefusedAndTheOldOneServesOn) {
  cluster_->WritePolicy(kModel, "model: cifar10_resnet\nsegments: [{from: input, place: here}]\n");
  EXPECT_FALSE(cluster_->Reload());
  EXPECT_THAT(cluster_->enclave().Log(),
              AllOf(HasSubstr(".policy.yaml:2: key 'segments[0].place'"), HasSubstr("must be one of enclave")));
  ExpectGoodRequestSucceeds();
  cluster_->WritePolicy(kModel, testing::ReadyPolicy("enclave-only"));
  EXPECT_TRUE(cluster_->Reload());
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, TwoDaemonsOnOneAddressAreRefusedAndTheFirstServesOn) {
  const TempDir& dir = cluster_->dir();
  const std::string server =
      Write(dir.File("server2.yaml"),
            AsBytes("listen: {address: \"" + cluster_->address() +
                    "\"}\nenclaves: [{name: e, address: \"unix:" + dir.File("enclave0.sock") + "\"}]\n"));
  ExpectRefused(RunCommand({testing::BinDir() + "/shoji-server", "--config", server}), 1,
                {"cannot listen on " + cluster_->address(), "another process listens there"});
  for (const auto& [binary, name] : {std::pair{"shoji-enclave", "enclave0"}, std::pair{"shoji-accelerator", "acc0"}}) {
    ExpectRefused(RunCommand({testing::BinDir() + "/" + binary, "--config", dir.File(std::string(name) + ".yaml")}), 1,
                  {"cannot listen on unix:" + dir.File(std::string(name) + ".sock"), "another process listens there"});
  }
  ExpectGoodRequestSucceeds();
}

TEST_F(BadInputTest, AClientThatDoesNotAllowSimulatedEvidenceSendsNothing) {
  ClusterOptions options;
  options.taps = ClusterOptions::Taps::kAll;
  ASSERT_NO_FATAL_FAILURE(Start(options));
  ExpectRefused(InferAt(cluster_->address(), {Photo("cat.png"), "--plaintext"}), 3,
                {"the evidence is only simulated", "--allow-simulated"});
  EXPECT_TRUE(Saw(cluster_->client_tap(), "GetEvidence"));
  EXPECT_FALSE(Saw(cluster_->client_tap(), "OpenSession"));
  EXPECT_FALSE(Saw(cluster_->client_tap(), "InferenceService/Infer"));
  EXPECT_FALSE(Saw(cluster_->enclave_tap(), "OpenSession"));
  ExpectGoodRequestSucceeds();
  EXPECT_TRUE(Saw(cluster_->client_tap(), "OpenSession"));
  EXPECT_TRUE(Saw(cluster_->client_tap(), "InferenceService/Infer"));
  EXPECT_TRUE(Saw(cluster_->enclave_tap(), "OpenSession"));
}

TEST_F(BadInputTest, AnOpenedResultIsRefusedUnlessItIsAllowed) {
  ClusterOptions options;
  options.taps = ClusterOptions::Taps::kAll;
  ASSERT_NO_FATAL_FAILURE(Start(options, "layer-partition"));
  ExpectRefused(Infer({Photo("cat.png")}), 3, {"shows the answer to the accelerator", "--allow-open-result"});
  EXPECT_FALSE(Saw(cluster_->client_tap(), "OpenSession"));
  EXPECT_FALSE(Saw(cluster_->client_tap(), "InferenceService/Infer"));
  const CommandResult allowed = Infer({Photo("cat.png"), "--allow-open-result"});
  EXPECT_EQ(allowed.exit_code, 0) << allowed.err;
}

TEST_F(BadInputTest, ACallWithoutAnAcceptedTokenIsRefused) {
  const auto write_secret = [&](const std::string& name, const std::string& text) {
    const std::string path = WriteNew(name, AsBytes(text));
    EXPECT_EQ(::chmod(path.c_str(), 0600), 0);
    return path;
  };
  ClusterOptions options;
  options.server_yaml =
      "auth: {tokens_file: " + write_secret("tokens.txt", "# clients\nplease-open-sesame-42\n") + "}\n";
  ASSERT_NO_FATAL_FAILURE(Start(options));
  ExpectRefused(Infer({Photo("cat.png")}), 1, {"UNAUTHENTICATED", "a valid bearer token is required"});
  ExpectRefused(Infer({Photo("cat.png"), "--token-file", write_secret("wrong.txt", "please-open-sesame-43\n")}), 1,
                {"a valid bearer token is required"});
  ExpectRefused(Infer({Photo("cat.png"), "--token-file", write_secret("none.txt", "\n")}), 2,
                {"none.txt holds no token"});
  const CommandResult good =
      Infer({Photo("cat.png"), "--token-file", write_secret("good.txt", "please-open-sesame-42\n")});
  EXPECT_EQ(good.exit_code, 0) << good.err;
}

// Front ends and enclaves beside those of the cluster, with certificates that openssl makes.
class TlsTest : public BadInputTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Start({}));
    for (const auto& [name, issuer] :
         {std::pair{"ca", ""}, {"other_ca", ""}, {"server", "ca"}, {"enclave", "ca"}, {"stranger", "other_ca"}}) {
      const CommandResult made = testing::MakeCertificate(files_, name, issuer);
      ASSERT_EQ(made.exit_code, 0) << made.err;
    }
  }
  std::string Identity(const std::string& name) const {
    return "certificate: " + files_.File(name + ".pem") + ", private_key: " + files_.File(name + ".key");
  }
  // Starts a daemon beside the cluster; returns the address that it listens on.
  std::string StartBeside(const std::string& binary, const std::string& name, const std::string& yaml) {
    const std::string config = Write(cluster_->dir().File(name + ".yaml"), AsBytes(yaml));
    const std::string address_file = files_.File(name + ".address");
    auto process =
        Process::Start({{testing::BinDir() + "/" + binary, "--config", config, "--address-file", address_file},
                        files_.File(name + ".log"),
                        {},
                        {}});
    EXPECT_TRUE(process.ok());
    beside_.push_back(*std::move(process));
    std::string address;
    EXPECT_TRUE(testing::WaitFor([&] {
      const auto written = ReadFile(address_file, 1000);
      address = written.ok() ? ToString(*written) : "";
      return !address.empty() || !beside_.back()->Running();
    }));
    EXPECT_FALSE(address.empty()) << beside_.back()->Log();
    return address.substr(0, address.find('\n'));
  }
  CommandResult InferTls(const std::string& address, std::vector<std::string> arguments) const {
    const std::vector<std::string> accepting = Accepting();
    arguments.insert(arguments.end(), accepting.begin(), accepting.end());
    arguments.push_back(Photo("cat.png"));
    return InferAt(address, arguments);
  }

  std::vector<std::unique_ptr<Process>> beside_;
};

TEST_F(TlsTest, AClientReachesAFrontEndWhoseCertificateItsCaSignedAndSaysAtOnceWhatElseIsWrong) {
  const std::string address = StartBeside("shoji-server", "tls_server",
                                          "listen: {address: \"127.0.0.1:0\", tls: {" + Identity("server") +
                                              "}}\nenclaves: [{name: e, address: \"unix:enclave0.sock\"}]\n");
  const auto expect_good = [&] {
    const CommandResult good = InferTls(address, {"--ca", files_.File("ca.pem"), "--deadline", "30s"});
    EXPECT_EQ(good.exit_code, 0) << good.err << beside_.back()->Log();
    EXPECT_THAT(good.out, HasSubstr("   1  cat"));
  };
  expect_good();
  // At once, long before the deadline.
  ExpectRefused(InferTls(address, {"--ca", files_.File("other_ca.pem"), "--deadline", "60m"}), 1,
                {"its certificate is not signed by a CA that is trusted here; name its CA with --ca"});
  ExpectRefused(InferTls(address, {"--ca", files_.File("ca.pem"), "--server-name", "example.com", "--deadline", "60m"}),
                1, {"its certificate is for another name; say the right one with --server-name"});
  ExpectRefused(InferTls(cluster_->address(), {"--ca", files_.File("ca.pem"), "--deadline", "60m"}), 1,
                {"it speaks plaintext there; allow that with --plaintext"});
  // A server that starts or stops closes connections too: this one may pass.
  ExpectRefused(InferTls(address, {"--plaintext", "--deadline", "1s"}), 1,
                {"no answer before the deadline", "want TLS (no --plaintext)?"});
  ExpectRefused(InferTls(address, {"--ca", files_.File("none.pem")}), 2, {"cannot open " + files_.File("none.pem")});
  ExpectRefused(InferTls(address, {"--ca", files_.File("ca.key")}), 2, {"ca.key holds no PEM certificate"});
  expect_good();
}

TEST_F(TlsTest, AFrontEndAndAnEnclaveProveThemselvesToEachOtherOverTcp) {
  std::string enclave_yaml = ToString(Contents(cluster_->dir().File("enclave0.yaml")));
  enclave_yaml.replace(0, enclave_yaml.find('\n'),
                       "listen: {address: \"127.0.0.1:0\", tls: {" + Identity("enclave") +
                           ", client_ca: " + files_.File("ca.pem") + "}}");
  const std::string enclave = StartBeside("shoji-enclave", "tls_enclave", enclave_yaml);
  const auto start_server = [&](const std::string& name, const std::string& tls) {
    return StartBeside("shoji-server", name,
                       "listen: {address: \"127.0.0.1:0\"}\nenclaves: [{name: e, address: \"" + enclave + "\", tls: {" +
                           tls + "}}]\n");
  };
  const std::string ca = "ca: " + files_.File("ca.pem");
  const std::string good = start_server("tls_front", ca + ", " + Identity("server"));
  const CommandResult result = InferTls(good, {"--plaintext", "--deadline", "30s"});
  EXPECT_EQ(result.exit_code, 0) << result.err << beside_.back()->Log();

  for (const auto& [name, tls] : {std::pair<std::string, std::string>{"stranger", ca + ", " + Identity("stranger")},
                                  {"nameless", ca},
                                  {"deceived", "ca: " + files_.File("other_ca.pem") + ", " + Identity("server")}}) {
    const std::string address = start_server(name, tls);
    ExpectRefused(InferTls(address, {"--plaintext", "--deadline", "1s"}), 1, {"no enclave is connected"});
  }
  EXPECT_EQ(InferTls(good, {"--plaintext"}).exit_code, 0);
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
    EXPECT_THAT(result.out, HasSubstr(name + ".yaml"));
  }
}

TEST_F(BadConfigTest, UnknownKeysAndWrongTypesAreNamedWithFileAndLine) {
  const std::string at = files_.File("config.yaml");
  ExpectBad("shoji-server", std::string(kServer) + "limit: {}\n",
            {at + ":4: key 'limit': unknown key (did you mean limits?)"});
  ExpectBad("shoji-server", std::string(kServer) + "limits:\n  queue: many\n",
            {at + ":5: key 'limits.queue': must be an integer from 0 to 100000, not \"many\""});
  ExpectBad("shoji-enclave", Enclave() + "work: {worker: 3}\n", {at + ":7: key 'work.worker': unknown key"});
  ExpectBad("shoji-enclave", Enclave() + "sessions: {max_live: 8192}\nwork: {requests_in_flight: 4096}\n",
            {"sessions.max_live and twice work.requests_in_flight are 16384 together"});
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
            {"its preprocessing makes a tensor of [1,3,64,64]", "is [1,3,32,32]"});
}

TEST_F(BadConfigTest, PoliciesThatAreNotAvailableYetAreRefused) {
  ExpectBadPolicy("  - {from: input, place: open, precision: int8}\n",
                  {"precision `int8` in the open placement of segment 1 is not available yet"});
  ExpectBadPolicy("  - {from: input, place: enclave, confidential: true}\n", {"`confidential` of segment 1"});
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
