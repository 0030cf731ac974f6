// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/integration/sealed_fixture.h"

#include <random>
#include <utility>

#include "client/session.h"

namespace shoji::testing {
namespace {

const std::string kModels = std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet";

}  // namespace

void SealedFixture::Seal(const std::vector<std::string>& arguments) { SealModel(kModels + ".onnx", arguments); }

void SealedFixture::SealModel(const std::string& model, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {BinDir() + "/shoji-model",
                                   "seal",
                                   "--model",
                                   model,
                                   "--new-key",
                                   key_file(),
                                   "--label",
                                   "built-in",
                                   "--out",
                                   sealed_file()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const CommandResult sealed = RunCommand(argv);
  ASSERT_EQ(sealed.exit_code, 0) << sealed.err;
}

void SealedFixture::Start(const std::string& policy, ClusterOptions options, Beside beside) {
  options.models = {{kSealed, sealed_file(), kModels + ".labels.txt", kModels + ".preprocessing.yaml", policy}};
  if (beside == Beside::kClearModel) {
    options.models.push_back(BuiltInModel("model: \"*\"\nsegments: [{from: input, place: enclave}]\n"));
  }
  auto cluster = Cluster::Start(std::move(options));
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  cluster_ = *std::move(cluster);
}

std::vector<std::string> SealedFixture::AcceptSimulated() const {
  return {"--allow-simulated", "--simulated-key", cluster_->signer_public_key_file()};
}

CommandResult SealedFixture::Release(const std::vector<std::string>& more) const {
  std::vector<std::string> all = AcceptSimulated();
  all.insert(all.end(), more.begin(), more.end());
  return ReleaseWith(sealed_file(), key_file(), all);
}

CommandResult SealedFixture::ReleaseWith(const std::string& sealed, const std::string& key,
                                         const std::vector<std::string>& more) const {
  std::vector<std::string> argv = {
      BinDir() + "/shoji", "release", "--server", cluster_->address(), "--plaintext", "--sealed", sealed, "--key", key};
  argv.insert(argv.end(), more.begin(), more.end());
  return RunCommand(argv, std::chrono::minutes(2));
}

image::Image SealedFixture::Picture() {
  image::Image picture(32, 32, 3);
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): reproducible
  for (uint8_t& byte : picture.mutable_pixels()) {
    byte = static_cast<uint8_t>(random());
  }
  return picture;
}

absl::StatusOr<std::vector<float>> SealedFixture::Classify(const std::string& model) const {
  auto session = cluster_->OpenSession(model);
  if (!session.ok()) {
    return session.status();
  }
  const RealClock clock;
  const auto answer = (*session)->Infer(Picture(), clock.SteadyNow() + std::chrono::minutes(1));
  if (!answer.ok()) {
    return answer.status();
  }
  const std::span<const float> scores = answer->outputs.front().values<float>();
  return std::vector<float>(scores.begin(), scores.end());
}

}  // namespace shoji::testing
