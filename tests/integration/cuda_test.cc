// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// An accelerator that computes on a CUDA device, through the whole product: real processes, client to answer. Skipped
// where no device is.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cuda/cuda_backend.h"
#include "lib/base/file.h"
#include "tests/support/cluster.h"
#include "tests/support/process.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterModel;
using testing::ClusterOptions;
using ::testing::HasSubstr;
using ::testing::Not;

ClusterModel Served(const std::string& name, const std::string& segments) {
  ClusterModel model = testing::BuiltInModel("");
  model.name = name;
  model.policy = "model: " + name + "\nsegments:\n" + segments + "masking: {pool: {on_empty: wait}}\n";
  return model;
}

Bytes Picture(uint8_t seed) {
  Bytes out(size_t{32} * 32 * 3);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>(seed * 3 + i * 11 + i * i / 29);
  }
  return out;
}

// The scores, as bits.
absl::StatusOr<Bytes> Ask(testing::RawClient& client, const std::string& model, const Bytes& picture) {
  const auto request = client.Seal(channel::RequestKind::kPicture, picture, model);
  if (!request.ok()) {
    return request.status();
  }
  const auto answer = client.Send(*request);
  if (!answer.ok()) {
    return answer.status();
  }
  const auto plaintext = client.Open(*request, *answer);
  if (!plaintext.ok()) {
    return plaintext.status();
  }
  const ByteSpan scores = plaintext->Expose().subspan(channel::kAnswerHeaderSize);
  return Bytes(scores.begin(), scores.end());
}

TEST(CudaTest, MaskedAndVerifiedLayersOnADeviceGiveTheEnclavesBits) {
  if (const absl::Status made = accelerator::CreateCudaBackend({}).status(); !made.ok()) {
    GTEST_SKIP() << "needs a CUDA device: " << made.message();
  }
  ClusterOptions options;
  options.models = {Served("reference", "  - {from: input, place: enclave, precision: int8}\n"),
                    Served("blinded", "  - {from: input, place: blinded}\n"),
                    Served("verified", "  - {from: input, place: verified}\n")};
  options.accelerator_yaml = "compute: {backend: cuda}\n";
  const auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  testing::RawClient client((*cluster)->address());
  ASSERT_TRUE(client.Attest("reference").ok());
  for (uint8_t seed = 0; seed < 10; ++seed) {
    const auto expected = Ask(client, "reference", Picture(seed));
    ASSERT_TRUE(expected.ok()) << expected.status();
    for (const char* name : {"blinded", "verified"}) {
      const auto scores = Ask(client, name, Picture(seed));
      ASSERT_TRUE(scores.ok()) << scores.status() << (*cluster)->Logs();
      EXPECT_EQ(*scores, *expected) << name;
    }
  }
  // Nor did the enclave compute in the device's place.
  EXPECT_THAT((*cluster)->Logs(), ::testing::AllOf(HasSubstr("cuda/"), Not(HasSubstr("offload_failed"))));
}

TEST(CudaTest, AnAcceleratorToldToUseADeviceThatIsNotThereRefusesToStart) {
  const testing::TempDir dir;
  const std::string config = dir.File("accelerator.yaml");
  ASSERT_TRUE(WriteFileAtomically(config, AsBytes("listen: {address: \"127.0.0.1:0\"}\n"
                                                  "compute: {backend: cuda, device: 1000}\n"))
                  .ok());
  const testing::CommandResult result =
      testing::RunCommand({testing::BinDir() + "/shoji-accelerator", "--config", config});
  EXPECT_EQ(result.exit_code, accelerator::BuiltWithCuda() ? 1 : 2) << result.err;
  EXPECT_THAT(result.err, ::testing::AnyOf(HasSubstr("compute.device"), HasSubstr("compute.backend")));
}

}  // namespace
}  // namespace shoji
