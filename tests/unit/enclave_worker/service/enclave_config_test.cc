// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/enclave_config.h"

#include <chrono>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "lib/digest/sha2.h"
#include "lib/ranges_file/ranges_file.h"
#include "lib/rpc/pem.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::enclave {
namespace {

using rpc::MakeCertificate;
using rpc::WriteText;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kModel = ToString(shoji::testing::SmallResNet());
constexpr char kRequired[] = R"(listen: {address: "unix:enclave.sock"}
evidence: {kind: simulated, key: simulated.key}
)";
constexpr char kOneModel[] = "models: [{name: m, file: m.onnx}]\n";
constexpr char kInt8Policy[] = "model: m\nsegments: [{from: input, place: enclave, precision: int8}]\n";
constexpr char kFloatPolicy[] = "model: m\nsegments: [{from: input, place: enclave}]\n";

class EnclaveConfigTest : public ::testing::Test {
 protected:
  EnclaveConfigTest() {
    WriteText(folder_.File("simulated.key"), "key");
    WriteText(folder_.File("m.onnx"), kModel);
  }

  // A configuration with that evidence and a model.
  absl::StatusOr<EnclaveConfig> LoadEvidence(const std::string& evidence) const {
    WriteText(folder_.File("enclave.yaml"),
              "listen: {address: \"unix:enclave.sock\"}\nevidence: " + evidence + "\n" + kOneModel);
    return LoadEnclaveConfig(folder_.File("enclave.yaml"));
  }
  std::string EvidenceError(const std::string& evidence) const {
    const absl::StatusOr<EnclaveConfig> config = LoadEvidence(evidence);
    return config.ok() ? "OK" : std::string(config.status().message());
  }
  // `text` behind the keys that every configuration has.
  absl::StatusOr<EnclaveConfig> Load(const std::string& text) const {
    WriteText(folder_.File("enclave.yaml"), kRequired + text);
    return LoadEnclaveConfig(folder_.File("enclave.yaml"));
  }
  absl::StatusOr<ModelSource> LoadModel(const std::string& models) const {
    const absl::StatusOr<EnclaveConfig> config = Load(models);
    return config.ok() ? LoadModelSource(config->models.at(0)) : config.status();
  }
  std::string ErrorOf(const std::string& text) const {
    const absl::StatusOr<EnclaveConfig> config = Load(text);
    return config.ok() ? "OK" : std::string(config.status().message());
  }
  void WriteRanges(const std::string& name, const std::string& model = kModel) const {
    const ranges_file::RangesFile file{
        .model = digest::Sha256(AsBytes(model)), .num_images = 1, .ranges = {{"input", {-1, 1}}}};
    ASSERT_TRUE(ranges_file::SaveRanges(folder_.File(name), file).ok());
  }

  const rpc::ScratchFolder folder_;
};

TEST_F(EnclaveConfigTest, AReloadRefusesByNameWhatOnlyARestartChanges) {
  const absl::StatusOr<EnclaveConfig> running = Load(kOneModel);
  ASSERT_TRUE(running.ok()) << running.status();
  const std::pair<std::string, std::string> changes[] = {
      {"accelerators: [{name: a, operator: o, address: 'unix:a.sock'}]", "accelerators"},
      {"quarantine: {first: 2m}", "quarantine.first"},
      {"quarantine: {max: 2h}", "quarantine.max"},
      {"masking: {filler_threads: 3}", "masking.filler_threads"},
      {"sessions: {rotate_after: 2h}", "sessions.rotate_after"},
      {"sessions: {grace: 2h}", "sessions.grace"},
      {"sessions: {max_per_key: 7}", "sessions.max_per_key"},
      {"sessions: {max_live: 7}", "sessions.max_live"},
      {"sessions: {idle_timeout: 7s}", "sessions.idle_timeout"},
      {"sessions: {replay_window: 77}", "sessions.replay_window"},
      {"work: {requests_in_flight: 7}", "work.requests_in_flight"},
      {"work: {queue: 7}", "work.queue"},
      {"work: {compute_slots: 7}", "work.compute_slots"},
      {"work: {threads_per_run: 7}", "work.threads_per_run"},
      {"work: {offload_timeout: 7s}", "work.offload_timeout"},
      {"max_message: 7MiB", "max_message"},
      {"coalesce: 70us", "coalesce"},
      {"metrics: {address: '127.0.0.1:1'}", "metrics.address"},
      {"log: {format: json}", "log.format"}};
  for (const auto& [yaml, key] : changes) {
    const absl::StatusOr<EnclaveConfig> next = Load(kOneModel + yaml + "\n");
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_THAT(std::string(running->fixed.CheckUnchanged(next->fixed).message()),
                AllOf(HasSubstr("enclave.yaml:4: key '"), HasSubstr("'" + key + "' has changed, and only a restart")));
  }
  const absl::StatusOr<EnclaveConfig> next = Load("models: []\ndrain_timeout: 7s\nlog: {level: debug}\n");
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(running->fixed.CheckUnchanged(next->fixed).ok());
}

TEST_F(EnclaveConfigTest, AReloadRefusesByNameAnotherSourceOfEvidence) {
  const auto change = [this](const std::string& from, const std::string& to) {
    const absl::StatusOr<EnclaveConfig> running = LoadEvidence(from);
    const absl::StatusOr<EnclaveConfig> next = LoadEvidence(to);
    EXPECT_TRUE(running.ok() && next.ok()) << running.status() << next.status();
    return std::string(running->fixed.CheckUnchanged(next->fixed).message());
  };
  const std::string simulated = "{kind: simulated, key: simulated.key}";
  EXPECT_EQ(change(simulated, simulated), "");
  EXPECT_THAT(change(simulated, "{kind: auto}"), HasSubstr("key 'evidence.kind': 'evidence.kind' has changed"));
  EXPECT_THAT(change(simulated, "{kind: simulated, key: m.onnx}"), HasSubstr("'evidence.key' has changed"));
  EXPECT_THAT(change("{kind: gramine}", "{kind: gramine, path: /x}"), HasSubstr("'evidence.path' has changed"));
  EXPECT_THAT(change("{kind: configfs-tsm}", "{kind: configfs-tsm, vmpl: 0}"),
              HasSubstr("'evidence.vmpl' has changed"));
  EXPECT_THAT(change(simulated, "{kind: simulated, key: simulated.key, quotes_per_second: 1}"),
              HasSubstr("'evidence.quotes_per_second' has changed"));
  EXPECT_THAT(change(simulated, "{kind: simulated, key: simulated.key, queue: 1}"),
              HasSubstr("'evidence.queue' has changed"));
}

TEST_F(EnclaveConfigTest, ModelWithoutAPolicyIsMaskedAndCheckedThroughout) {
  WriteRanges("m.ranges.yaml");
  const absl::StatusOr<ModelSource> model = LoadModel(kOneModel);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->policy.model, "m");
  ASSERT_EQ(model->policy.segments.size(), 1U);
  EXPECT_EQ(model->policy.segments[0].start.kind, partition::StartPoint::Kind::kInput);
  EXPECT_EQ(model->policy.segments[0].place, partition::Placement::kBlinded);
  EXPECT_NE(model->policy.segments[0].verify, false);
  EXPECT_EQ(model->policy.masking.source, partition::MaskSource::kPads);
}

TEST_F(EnclaveConfigTest, RangesBesideTheModelAreTakenWhenTheyAreThere) {
  EXPECT_EQ(Load(kOneModel)->models.at(0).ranges, "");
  WriteRanges("m.ranges.yaml");
  EXPECT_THAT(Load(kOneModel)->models.at(0).ranges, EndsWith("/m.ranges.yaml"));
  const absl::StatusOr<ModelSource> model = LoadModel(kOneModel);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(model->ranges.has_value());
  EXPECT_EQ(model->ranges->count("input"), 1U);
}

TEST_F(EnclaveConfigTest, RangesMayLieElsewhere) {
  WriteText(folder_.File("m.ranges.yaml"), "this is not read");
  WriteRanges("other.yaml");
  const absl::StatusOr<ModelSource> model = LoadModel("models: [{name: m, file: m.onnx, ranges: other.yaml}]\n");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(model->ranges.has_value());
  EXPECT_THAT(ErrorOf("models:\n  - {name: m, file: m.onnx, ranges: none.yaml}\n"),
              AllOf(HasSubstr("enclave.yaml:4: key 'models[0].ranges': cannot open"), HasSubstr("none.yaml")));
}

TEST_F(EnclaveConfigTest, MalformedRangesAreNamed) {
  WriteText(folder_.File("m.ranges.yaml"), "[not, ranges]");
  EXPECT_THAT(std::string(LoadModel(kOneModel).status().message()), HasSubstr("m.ranges.yaml:1"));
}

TEST_F(EnclaveConfigTest, RangesOfAnotherModelFileAreRefused) {
  WriteRanges("m.ranges.yaml", "another model");
  const absl::Status refused = LoadModel(kOneModel).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("m.ranges.yaml holds the ranges of another model file"));
}

TEST_F(EnclaveConfigTest, Int8WithoutRangesSaysHowToMakeThem) {
  WriteText(folder_.File("int8.yaml"), kInt8Policy);
  const absl::Status named = LoadModel("models: [{name: m, file: m.onnx, policy: int8.yaml}]\n").status();
  EXPECT_EQ(named.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(named.message()),
              AllOf(HasSubstr("enclave.yaml:3: key 'models[0]': model m: "), HasSubstr("int8.yaml computes in int8"),
                    HasSubstr("/m.ranges.yaml; make it with: shoji-model calibrate --model "),
                    HasSubstr("/m.onnx --preprocessing FILE --images DIR")));
  EXPECT_THAT(std::string(LoadModel(kOneModel).status().message()),
              HasSubstr("without `policy:` every linear layer is masked, which needs calibrated ranges"));
}

TEST_F(EnclaveConfigTest, Float32NeedsNoRanges) {
  WriteRanges("m.ranges.yaml", "another model");
  WriteText(folder_.File("float.yaml"), kFloatPolicy);
  const absl::StatusOr<ModelSource> model = LoadModel("models: [{name: m, file: m.onnx, policy: float.yaml}]\n");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_FALSE(model->ranges.has_value());
}

// A convolution of pictures of any size and channels.
std::string AnyShape() {
  shoji::testing::OnnxBuilder builder;
  builder.Input("pixels", {-1, -1, -1, -1}).Weight("w", {2, 3, 3, 3}).Node("Conv", {"pixels", "w"}, {"y"});
  return ToString(builder.Output("y").Build());
}

constexpr char kPicture[] = "resize: 8\ncrop: 8\nchannels: rgb\nmean: [0, 0, 0]\nstd: [1, 1, 1]\nlayout: nchw\n";

TEST_F(EnclaveConfigTest, TheShapeOfADynamicInputIsThatOfThePreprocessingOrAsItIsStated) {
  WriteText(folder_.File("m.onnx"), AnyShape());
  WriteText(folder_.File("float.yaml"), kFloatPolicy);
  WriteText(folder_.File("picture.yaml"), kPicture);
  for (const std::string key : {"preprocessing: picture.yaml", "input_shape: 3x8x8"}) {
    const auto model = LoadModel("models: [{name: m, file: m.onnx, policy: float.yaml, " + key + "}]\n");
    ASSERT_TRUE(model.ok()) << model.status();
    const graph::Graph& graph = model->model.graph;
    EXPECT_EQ(graph.values[graph.inputs.at(0)].shape, Shape({1, 3, 8, 8})) << key;
    EXPECT_EQ(graph.values[graph.outputs.at(0)].shape, Shape({1, 2, 6, 6})) << key;
    EXPECT_EQ(model->model.digest, digest::Sha256(AsBytes(AnyShape()))) << key;
  }
}

TEST_F(EnclaveConfigTest, ADynamicInputWithoutAShapeIsRefusedWithTheKeysThatSayIt) {
  WriteText(folder_.File("m.onnx"), AnyShape());
  EXPECT_THAT(std::string(LoadModel(kOneModel).status().message()),
              AllOf(HasSubstr("enclave.yaml:3: key 'models[0]': model m: "),
                    HasSubstr("m.onnx: input `pixels` is [`N`,`N`,`N`,`N`]: dimensions 1, 2 and 3 are dynamic"),
                    HasSubstr("say what it shall be with `preprocessing` or `input_shape: 3x224x224`")));
}

TEST_F(EnclaveConfigTest, AShapeThatContradictsTheFileIsRefusedWithBoth) {
  EXPECT_THAT(std::string(LoadModel("models: [{name: m, file: m.onnx, input_shape: 3x9x9}]\n").status().message()),
              AllOf(HasSubstr("m.onnx: input `input` is ["), HasSubstr("3,8,8], but its `input_shape` is [3,9,9]")));
  WriteText(folder_.File("picture.yaml"),
            "resize: 9\ncrop: 9\nchannels: rgb\nmean: [0, 0, 0]\nstd: [1, 1, 1]\nlayout: nchw\n");
  EXPECT_THAT(
      std::string(LoadModel("models: [{name: m, file: m.onnx, preprocessing: picture.yaml}]\n").status().message()),
      AllOf(HasSubstr("m.onnx: input `input` is ["),
            HasSubstr("3,8,8], but its preprocessing makes a tensor of [1,3,9,9]")));
}

TEST_F(EnclaveConfigTest, BadInputShapesNameTheKey) {
  WriteText(folder_.File("picture.yaml"), kPicture);
  EXPECT_THAT(ErrorOf("models: [{name: m, file: m.onnx, input_shape: 3by8}]\n"),
              AllOf(HasSubstr("enclave.yaml:3: key 'models[0].input_shape': "),
                    HasSubstr("'3by8' is no shape; write it like 3x224x224")));
  EXPECT_THAT(ErrorOf("models: [{name: m, file: m.onnx, input_shape: [3, 8, 8]}]\n"),
              HasSubstr("key 'models[0].input_shape': "));
  EXPECT_THAT(ErrorOf("models: [{name: m, file: m.onnx, preprocessing: picture.yaml, input_shape: 3x8x8}]\n"),
              AllOf(HasSubstr("key 'models[0].input_shape': "),
                    HasSubstr("'preprocessing' says already what shape the model is given")));
}

TEST_F(EnclaveConfigTest, QuarantineAndFillersHaveDefaultsAndCanBeSet) {
  const EnclaveConfig defaults = Load(kOneModel).value();
  EXPECT_EQ(defaults.quarantine.first, std::chrono::minutes(1));
  EXPECT_EQ(defaults.quarantine.max, std::chrono::hours(1));
  EXPECT_EQ(defaults.filler_threads, 1);
  const EnclaveConfig set =
      Load(std::string(kOneModel) + "quarantine: {first: 5s, max: 2m}\nmasking: {filler_threads: 3}\n").value();
  EXPECT_EQ(set.quarantine.first, std::chrono::seconds(5));
  EXPECT_EQ(set.quarantine.max, std::chrono::minutes(2));
  EXPECT_EQ(set.filler_threads, 3);
}

TEST_F(EnclaveConfigTest, BatchingIsOffUnlessAModelAsksForIt) {
  EXPECT_EQ(Load(kOneModel).value().models[0].batching.max_batch, 1U);
  const EnclaveConfig set =
      Load("models:\n  - {name: m, file: m.onnx, batching: {max_batch: 8, max_delay: 5ms}}\n").value();
  EXPECT_EQ(set.models[0].batching.max_batch, 8U);
  EXPECT_EQ(set.models[0].batching.max_delay, std::chrono::milliseconds(5));
}

TEST_F(EnclaveConfigTest, BadBatchingNamesTheKey) {
  const auto error_of = [&](const std::string& batching, const std::string& rest = "") {
    return ErrorOf("models: [{name: m, file: m.onnx, batching: " + batching + "}]\n" + rest);
  };
  EXPECT_THAT(error_of("{max_batch: 0}"), HasSubstr("key 'models[0].batching.max_batch'"));
  EXPECT_THAT(error_of("{max_batch: 65}"), HasSubstr("key 'models[0].batching.max_batch'"));
  EXPECT_THAT(error_of("{max_delay: 2s}"), HasSubstr("key 'models[0].batching.max_delay'"));
  EXPECT_THAT(error_of("{max_size: 2}"), HasSubstr("key 'models[0].batching.max_size'"));
  EXPECT_THAT(error_of("{max_batch: 8}", "work: {requests_in_flight: 4}\n"),
              AllOf(HasSubstr("key 'models[0]'"), HasSubstr("work.requests_in_flight = 4")));
}

TEST_F(EnclaveConfigTest, BadQuarantineAndMaskingNameTheKey) {
  const std::string model = kOneModel;
  EXPECT_THAT(ErrorOf(model + "quarantine: {first: 2h}\n"),
              HasSubstr("enclave.yaml:4: key 'quarantine': 'max' is shorter than 'first'"));
  EXPECT_THAT(ErrorOf(model + "quarantine: {first: 0s}\n"), HasSubstr("enclave.yaml:4: key 'quarantine.first'"));
  EXPECT_THAT(ErrorOf(model + "quarantine: {fist: 1s}\n"), HasSubstr("did you mean first"));
  EXPECT_THAT(ErrorOf(model + "masking: {filler_threads: -1}\n"), HasSubstr("key 'masking.filler_threads'"));
  EXPECT_THAT(ErrorOf(model + "masking: {source: pads}\n"), HasSubstr("enclave.yaml:4: key 'masking.source'"));
}

TEST_F(EnclaveConfigTest, EvidenceIsSimulatedOnlyWhereThatIsWritten) {
  const absl::StatusOr<EnclaveConfig> simulated = LoadEvidence("{kind: simulated, key: simulated.key}");
  ASSERT_TRUE(simulated.ok()) << simulated.status();
  EXPECT_FALSE(simulated->evidence.platform.has_value());
  EXPECT_THAT(simulated->evidence.key, EndsWith("/simulated.key"));
  for (const char* kind : {"auto", "gramine", "configfs-tsm", "sev-guest"}) {
    const absl::StatusOr<EnclaveConfig> config = LoadEvidence("{kind: " + std::string(kind) + "}");
    ASSERT_TRUE(config.ok()) << config.status();
    ASSERT_TRUE(config->evidence.platform.has_value()) << kind;
    EXPECT_EQ(NameOf(config->evidence.platform->source), kind);
    EXPECT_EQ(config->evidence.platform->gramine.root, "/dev/attestation");
    EXPECT_FALSE(config->evidence.platform->tsm.privlevel.has_value());
    EXPECT_EQ(config->evidence.key, "");
  }
}

TEST_F(EnclaveConfigTest, EvidenceOfThePlatformMayLieElsewhereAndStateItsVmpl) {
  EXPECT_EQ(LoadEvidence("{kind: gramine, path: /a}")->evidence.platform->gramine.root, "/a");
  const auto tsm = LoadEvidence("{kind: configfs-tsm, path: /b, vmpl: 1}");
  EXPECT_EQ(tsm->evidence.platform->tsm.root, "/b");
  EXPECT_EQ(tsm->evidence.platform->tsm.privlevel, 1U);
  const auto device = LoadEvidence("{kind: sev-guest, path: /c, vmpl: 3}");
  EXPECT_EQ(device->evidence.platform->sev_guest.device, "/c");
  EXPECT_EQ(device->evidence.platform->sev_guest.vmpl, 3U);
}

TEST_F(EnclaveConfigTest, EvidenceHasLimitsWithDefaults) {
  const EvidenceQueue::Limits defaults = LoadEvidence("{kind: auto}")->evidence.limits;
  EXPECT_EQ(defaults.quotes_per_second, EvidenceQueue::Limits().quotes_per_second);
  EXPECT_EQ(defaults.max_waiting, EvidenceQueue::Limits().max_waiting);
  const auto set = LoadEvidence("{kind: simulated, key: simulated.key, quotes_per_second: 0.5, queue: 7}");
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->evidence.limits.quotes_per_second, 0.5);
  EXPECT_EQ(set->evidence.limits.max_waiting, 7U);
}

TEST_F(EnclaveConfigTest, BadEvidenceNamesTheKeyAndWhatIsWrong) {
  const std::string at = "enclave.yaml:2: key 'evidence";
  EXPECT_THAT(EvidenceError("{kind: sgx}"),
              AllOf(HasSubstr(at + ".kind'"), HasSubstr("simulated"), HasSubstr("configfs-tsm")));
  EXPECT_THAT(EvidenceError("{kind: auto, key: simulated.key}"),
              AllOf(HasSubstr(at), HasSubstr("'key' is for simulated evidence")));
  EXPECT_THAT(EvidenceError("{kind: simulated}"), HasSubstr("'key' is missing"));
  EXPECT_THAT(EvidenceError("{kind: simulated, key: simulated.key, path: /a}"),
              AllOf(HasSubstr(at), HasSubstr("are for evidence of the platform")));
  EXPECT_THAT(EvidenceError("{kind: auto, path: /a}"), AllOf(HasSubstr(at), HasSubstr("gramine, configfs-tsm or")));
  EXPECT_THAT(EvidenceError("{kind: gramine, vmpl: 0}"), AllOf(HasSubstr(at), HasSubstr("'vmpl' is for SEV-SNP")));
  EXPECT_THAT(EvidenceError("{kind: sev-guest, vmpl: 4}"), AllOf(HasSubstr(at + ".vmpl'"), HasSubstr("0 to 3")));
  EXPECT_THAT(EvidenceError("{kind: auto, quotes_per_second: 0}"), HasSubstr(at + ".quotes_per_second'"));
  EXPECT_THAT(EvidenceError("{kind: auto, queue: 0}"), HasSubstr(at + ".queue'"));
  EXPECT_THAT(EvidenceError("{kind: auto, queue: 16385}"), HasSubstr(at + ".queue'"));
}

class EnclaveConfigPinningTest : public EnclaveConfigTest {
 protected:
  EnclaveConfigPinningTest() {
    MakeCertificate(folder_.path(), "ca", "");
    MakeCertificate(folder_.path(), "enclave", "ca");
    MakeCertificate(folder_.path(), "gpu0", "ca");
  }
  absl::StatusOr<AcceleratorConfig> LoadAccelerator(const std::string& rest) const {
    const absl::StatusOr<EnclaveConfig> config =
        Load(std::string(kOneModel) + "accelerators:\n  - {name: gpu0, operator: alice, " + rest + "}\n");
    return config.ok() ? absl::StatusOr<AcceleratorConfig>(config->accelerators.at(0)) : config.status();
  }
};

constexpr char kMutualTls[] = "ca: ca.pem, certificate: enclave.pem, private_key: enclave.key";

TEST_F(EnclaveConfigPinningTest, PinnedKeyBecomesPartOfTheIdentity) {
  const absl::StatusOr<AcceleratorConfig> accelerator =
      LoadAccelerator("address: \"gpu0.example:9100\", tls: {" + std::string(kMutualTls) + ", server_key: gpu0.pem}");
  ASSERT_TRUE(accelerator.ok()) << accelerator.status();
  const partition::AcceleratorIdentity identity = IdentityOf(*accelerator);
  EXPECT_EQ(identity.name, "gpu0");
  EXPECT_EQ(identity.operator_name, "alice");
  EXPECT_EQ(identity.address, "gpu0.example:9100");
  EXPECT_EQ(identity.link, partition::LinkSecurity::kMutualTls);
  EXPECT_EQ(identity.public_key, rpc::LoadPemPublicKey(folder_.File("gpu0.pem")).value());
}

TEST_F(EnclaveConfigPinningTest, OnlyMutualTlsOverTcpCountsAsSuch) {
  const auto link_of = [this](const std::string& rest) { return IdentityOf(LoadAccelerator(rest).value()).link; };
  const std::string tls = ", tls: {" + std::string(kMutualTls) + "}";
  EXPECT_EQ(link_of("address: \"127.0.0.1:9100\"" + tls), partition::LinkSecurity::kMutualTls);
  EXPECT_EQ(link_of("address: \"unix:x.sock\"" + tls), partition::LinkSecurity::kOther);
  EXPECT_EQ(link_of("address: \"127.0.0.1:9100\", tls: {ca: ca.pem}"), partition::LinkSecurity::kOther);
  EXPECT_EQ(link_of("address: \"127.0.0.1:9100\""), partition::LinkSecurity::kOther);
  EXPECT_THAT(IdentityOf(LoadAccelerator("address: \"unix:x.sock\"").value()).public_key, IsEmpty());
}

TEST_F(EnclaveConfigPinningTest, UnreadablePinnedKeyNamesItsPlace) {
  WriteText(folder_.File("garbage.pem"), "garbage");
  const std::string start = "address: \"127.0.0.1:9100\", tls: {" + std::string(kMutualTls) + ", server_key: ";
  EXPECT_THAT(std::string(LoadAccelerator(start + "none.pem}").status().message()),
              AllOf(HasSubstr("enclave.yaml:5: key 'accelerators[0]"), HasSubstr("none.pem")));
  EXPECT_THAT(std::string(LoadAccelerator(start + "garbage.pem}").status().message()),
              HasSubstr("garbage.pem holds neither a PEM certificate nor a PEM public key"));
}

// The configuration that ships, with the key that its comment says how to make.
TEST(ShippedEnclaveConfigTest, IsValidShowsTheDefaultsAndMasksThroughout) {
  const rpc::ScratchFolder folder;
  const std::string root = std::string(SHOJI_SOURCE_DIR) + "/";
  std::filesystem::create_directories(folder.File("config/run"));
  std::filesystem::copy(root + "config/enclave.yaml", folder.File("config/enclave.yaml"));
  std::filesystem::copy(root + "config/policies", folder.File("config/policies"));
  std::filesystem::create_directory_symlink(root + "models", folder.File("models"));
  WriteText(folder.File("config/run/simulated.key"), "key");
  const absl::StatusOr<EnclaveConfig> config = LoadEnclaveConfig(folder.File("config/enclave.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->quarantine.first, QuarantineConfig().first);
  EXPECT_EQ(config->quarantine.max, QuarantineConfig().max);
  EXPECT_EQ(config->filler_threads, EnclaveConfig().filler_threads);
  EXPECT_EQ(config->num_workers, EnclaveConfig().num_workers);
  EXPECT_EQ(config->evidence.limits.quotes_per_second, EvidenceQueue::Limits().quotes_per_second);
  EXPECT_EQ(config->evidence.limits.max_waiting, EvidenceQueue::Limits().max_waiting);
  const absl::StatusOr<ModelSource> model = LoadModelSource(config->models.at(0));
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->policy.segments.size(), 1U);
  EXPECT_EQ(model->policy.segments[0].place, partition::Placement::kBlinded);
}

}  // namespace
}  // namespace shoji::enclave
