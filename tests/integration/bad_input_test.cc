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
    auto json = nlohmann::json::parse(result.out, nullptr, false);
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
  ExpectRefused(Infer({Photo("cat.png"), "--deadline", "soon"}), 2, {"'soon' is not a time such as 500ms, 10s, 2m or 1h"});
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
  ExpectRefused(Infer({Photo("cat.png"), "--deadline", "500ms"}), 1, {"nobody answers at", "is shoji-server running"});
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
  ExpectRefused(InferTls(address, {"--plaintext", "--deadline", "60m"}), 1,
                {"it wants TLS there; leave --plaintext out"});
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
    ExpectRefused(InferTls(address, {"--plaintext", "--deadline", "3s"}), 1, {"no enclave is connected"});
  }
  EXPECT_EQ(InferTls(good, {"--plaintext"}).exit_code, 0);
}

}  // namespace
}  // namespace shoji
