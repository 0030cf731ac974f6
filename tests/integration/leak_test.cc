// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the front end and the accelerator handle, to the byte, while a marked picture is classified: the picture, the
// result and the keys must not be among it, in any encoding they take on the way, but for what the policy opens. The
// same search finds the mark under `open`, which shows that it can find.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/crypto/hpke.h"
#include "lib/graph/onnx_import.h"
#include "lib/quantization/activation_ranges.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/cluster.h"
#include "tests/support/marks.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using ::testing::Contains;
using testing::ContainsAnyPart;
using testing::Found;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kModel[] = "cifar10_resnet";

// Noise: no run of it occurs anywhere by chance.
Bytes MarkedPicture() {
  std::mt19937 random(20260101);  // NOLINT(cert-msc51-cpp): a fixed mark
  Bytes out(size_t{32} * 32 * 3);
  for (uint8_t& byte : out) {
    byte = static_cast<uint8_t>(random());
  }
  return out;
}

// The X25519 private key of `public_key` in the memory for secrets of process `pid`: every aligned 32 bytes are tried.
std::optional<Bytes> FindPrivateKey(pid_t pid, const crypto::HpkePublicKey& public_key) {
  const std::string proc = "/proc/" + std::to_string(pid);
  std::ifstream smaps(proc + "/smaps");
  std::ifstream memory(proc + "/mem", std::ios::binary);
  constexpr uint64_t kMaxArena = uint64_t{2} << 20;
  uint64_t begin = 0;
  uint64_t end = 0;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long long from = 0;
    unsigned long long to = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &from, &to) == 2) {
      begin = from;
      end = to;
    }
    // Left out of dumps (" dd") and of the arena's size: sanitizers ignore mlock, and map large pieces of their own.
    if (line.rfind("VmFlags:", 0) != 0 || line.find(" dd") == std::string::npos || end - begin > kMaxArena) {
      continue;
    }
    Bytes pages(end - begin);
    memory.seekg(static_cast<std::streamoff>(begin));
    memory.read(reinterpret_cast<char*>(pages.data()), static_cast<std::streamsize>(pages.size()));
    for (size_t i = 0; i + 32 <= pages.size(); i += 8) {
      const ByteSpan candidate = ByteSpan(pages).subspan(i, 32);
      if (std::all_of(candidate.begin(), candidate.end(), [](uint8_t byte) { return byte == 0; })) {
        continue;
      }
      if (crypto::internal::KeyPairOf(crypto::HpkePrivateKey(crypto::SecretBytes::CopyOf(candidate))).public_key ==
          public_key) {
        return Bytes(candidate.begin(), candidate.end());
      }
    }
  }
  return std::nullopt;
}

// The picture as the first layer takes it: bytes of the calibrated range, by pixel, channels padded to four.
testing::Mark QuantizedMark(const Bytes& picture, const image::Preprocessing& preprocessing) {
  const auto ranges = ranges_file::LoadRanges(std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.ranges.yaml");
  EXPECT_TRUE(ranges.ok()) << ranges.status();
  const auto onnx = ReadFile(std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.onnx", size_t{1} << 26);
  EXPECT_TRUE(onnx.ok());
  const auto graph = graph::ImportOnnx(*onnx);
  EXPECT_TRUE(graph.ok());
  const quantization::QuantizationParameters parameters =
      quantization::ParametersOf(ranges->ranges.at(graph->values[graph->inputs[0]].name));
  Bytes out;
  for (size_t i = 0; i < picture.size(); ++i) {
    const size_t channel = i % 3;
    const float value = (static_cast<float>(picture[i]) * preprocessing.scale - preprocessing.mean[channel]) /
                        preprocessing.std[channel];
    const float q = std::nearbyint(value / parameters.scale) + static_cast<float>(parameters.zero_point);
    out.push_back(static_cast<uint8_t>(std::clamp(q, 0.0F, 255.0F)));
    if (channel == 2) {
      out.push_back(0);
    }
  }
  return {"quantized", out, 12};
}

// All that passed a hop, both ways.
Bytes Everything(const testing::Wiretap& tap) {
  Bytes out = tap.sent();
  Append(out, tap.received());
  return out;
}

class LeakTest : public ::testing::Test {
 protected:
  // Starts a tapped cluster under `policy`, classifies the marked picture, and collects the marks and what each saw.
  void Classify(const std::string& policy) {
    ClusterOptions options;
    options.models = {testing::BuiltInModel(policy)};
    options.taps = ClusterOptions::Taps::kAll;
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    testing::RawClient client((*cluster)->address());
    ASSERT_TRUE(client.Attest(kModel).ok());
    const Bytes picture = MarkedPicture();
    const auto request = client.Seal(channel::RequestKind::kPicture, picture, kModel);
    ASSERT_TRUE(request.ok());
    const auto answer = client.Send(*request);
    ASSERT_TRUE(answer.ok()) << answer.status() << (*cluster)->Logs();
    const auto plaintext = client.Open(*request, *answer);
    ASSERT_TRUE(plaintext.ok());

    const auto session = (*cluster)->OpenSession();
    ASSERT_TRUE(session.ok()) << session.status();
    marks_ = testing::PictureMarks(picture, *(*session)->model()->preprocessing);
    const ByteSpan scores = plaintext->Expose().subspan(channel::kAnswerHeaderSize);
    marks_.push_back(QuantizedMark(picture, *(*session)->model()->preprocessing));
    marks_.push_back(
        testing::ResultMark({reinterpret_cast<const float*>(scores.data()), scores.size() / sizeof(float)}));
    AddKeys(**cluster, client, *request, *answer);

    front_end_saw_ = Everything((*cluster)->client_tap());
    Append(front_end_saw_, Everything((*cluster)->enclave_tap()));
    accelerator_saw_ = Everything((*cluster)->accelerator_tap(0, 0));
    logs_ = ToBytes((*cluster)->Logs());
    ASSERT_GT(front_end_saw_.size(), picture.size() * 2);
    ASSERT_TRUE(ContainsAnyPart(front_end_saw_, request->ciphertext, 16)) << "the tap must have seen the request";
  }

  // The operator's signing key; the enclave's HPKE private key, out of the memory of the running enclave; and, made
  // with that one, the key and nonce of this answer.
  void AddKeys(Cluster& cluster, const testing::RawClient& client, const channel::SealedRequest& request,
               const channel::SealedAnswer& answer) {
    const auto pem = ReadFile(cluster.dir().File("simulated.key"), 4096);
    ASSERT_TRUE(pem.ok());
    marks_.push_back({"simulated key", *pem, 16});
    const std::optional<Bytes> private_key = FindPrivateKey(cluster.enclave().pid(), client.manifest().hpke_public_key);
    if (!private_key.has_value()) {
      ASSERT_NE(::geteuid(), 0U) << "the enclave's private key was not found in its locked memory";
      return;  // only root may read a process that is not dumpable
    }
    marks_.push_back({"HPKE private key", *private_key, 16});
    const crypto::HpkeKeyPair pair =
        crypto::internal::KeyPairOf(crypto::HpkePrivateKey(crypto::SecretBytes::CopyOf(*private_key)));
    const auto context = crypto::SetupBaseRecipient(client.initiator().enc(), pair,
                                                    channel::SessionInfo(client.initiator().manifest_digest()));
    ASSERT_TRUE(context.ok());
    const crypto::SecretBytes answer_key =
        (*context)->Export(channel::AnswerExporterContext(request.sequence, answer.salt), 44);
    const ByteSpan exposed = answer_key.Expose();
    marks_.push_back({"answer key and nonce", {exposed.begin(), exposed.end()}, 11});
  }

  std::vector<testing::Mark> marks_;
  Bytes front_end_saw_;
  Bytes accelerator_saw_;
  Bytes logs_;
};

TEST_F(LeakTest, EnclaveOnlyShowsNothingToAnybody) {
  Classify(testing::ReadyPolicy("enclave-only"));
  EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, accelerator_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, logs_), IsEmpty());
}

TEST_F(LeakTest, LayerPartitionShowsTheAcceleratorNothingBeforeTheCut) {
  Classify(testing::ReadyPolicy("layer-partition"));
  EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
  // Its last segment is open, which the policy says: the accelerator makes the result, and nothing else of the list.
  EXPECT_THAT(Found(marks_, accelerator_saw_), UnorderedElementsAre("result"));
  EXPECT_THAT(Found(marks_, logs_), IsEmpty());
}

// As in config/policies, but that a request waits for its pad, so that the accelerator is sure to be asked.
TEST_F(LeakTest, SlalomShowsTheAcceleratorNothing) {
  Classify("model: cifar10_resnet\nsegments: [{from: input, place: blinded}]\nmasking: {pool: {on_empty: wait}}\n");
  EXPECT_GT(accelerator_saw_.size(), size_t{3} << 19) << "it must have had masked layers to compute";
  EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, accelerator_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, logs_), IsEmpty());
}

TEST_F(LeakTest, OrigamiShowsTheAcceleratorNothingBeforeTheCut) {
  Classify(
      "model: cifar10_resnet\nsegments: [{from: input, place: blinded}, {from: block3_conv1, place: open}]\n"
      "masking: {pool: {on_empty: wait}}\n");
  EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, accelerator_saw_), UnorderedElementsAre("result"));
  EXPECT_THAT(Found(marks_, logs_), IsEmpty());
}

TEST_F(LeakTest, SlalomIntegrityShowsTheAcceleratorTheQuantizedPicture) {
  Classify(testing::ReadyPolicy("slalom-integrity"));
  EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, accelerator_saw_), Contains("quantized"));
  EXPECT_THAT(Found(marks_, logs_), IsEmpty());
}

TEST_F(LeakTest, OpenShowsTheAcceleratorThePictureAndTheFrontEndStillNothing) {
  Classify(testing::ReadyPolicy("open"));
  EXPECT_THAT(Found(marks_, accelerator_saw_), UnorderedElementsAre("float32 NCHW", "result"));
  EXPECT_THAT(Found(marks_, front_end_saw_), IsEmpty());
  EXPECT_THAT(Found(marks_, logs_), IsEmpty());
}

}  // namespace
}  // namespace shoji
