// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The hostile accelerator against the enclave's core: whatever it answers, the answers stay right, bit for bit, and no
// request fails. A mutant with the check switched off (tests/mutation) shows that this test can tell.
#include <iostream>

#include <gtest/gtest.h>

#include "tests/integration/core_fixture.h"
#include "tests/support/hostile_control.h"

#ifndef SHOJI_HOSTILE_ATTACKS
#error "the number of attacks"
#endif

namespace shoji::enclave {
namespace {

using partition::Placement;
using testing::Attack;

constexpr size_t kNumInputs = 4;

partition::PartitionPolicy Everywhere(Placement place, partition::MaskSource source) {
  partition::PartitionPolicy policy;
  policy.model = "cifar10_resnet";
  policy.segments.emplace_back().place = place;
  if (place == Placement::kEnclave) {
    policy.segments[0].precision = partition::Precision::kInt8;
  }
  policy.masking.source = source;
  policy.masking.on_empty = partition::OnPoolEmpty::kWait;
  policy.masking.pool_requests = 4;
  return policy;
}

using HostileCoreTest = CoreFixture;

TEST_F(HostileCoreTest, NoAttackChangesAnAnswerOrFailsARequest) {
  // Quarantine is over as soon as a request is: the next one is attacked again.
  Options options;
  options.quarantine.first = options.quarantine.max = std::chrono::nanoseconds(1);
  options.offload_timeout = std::chrono::milliseconds(150);
  options.max_message_bytes = size_t{4} << 20;
  const std::vector<std::string> attack = {"--attack", "random", "--seed", "7"};
  Start({{"shoji-hostile-accelerator", attack}, {"shoji-accelerator"}}, options);
  const NamedModel model = ReadModel(std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.onnx");

  std::mt19937 random(3);  // NOLINT(cert-msc51-cpp): the same inputs in every run
  std::vector<Tensor> inputs;
  std::vector<Bytes> expected;
  const auto inside = Load(model, Everywhere(Placement::kEnclave, partition::MaskSource::kPads));
  ASSERT_NE(inside, nullptr);
  for (size_t i = 0; i < kNumInputs; ++i) {
    inputs.push_back(RandomInput(model.graph, random));
    expected.push_back(*Answer(*inside, inputs[i]));
  }
  std::vector<std::unique_ptr<Model>> victims;
  victims.push_back(Load(model, Everywhere(Placement::kBlinded, partition::MaskSource::kPads)));
  victims.push_back(Load(model, Everywhere(Placement::kVerified, partition::MaskSource::kPads)));
  victims.push_back(Load(model, Everywhere(Placement::kBlinded, partition::MaskSource::kShares)));
  testing::HostileStatus status;
  for (size_t request = 0; status.attacks < SHOJI_HOSTILE_ATTACKS; ++request) {
    ASSERT_LT(request, 20U * SHOJI_HOSTILE_ATTACKS) << "the accelerator does not attack";
    const Model& victim = *victims[request % victims.size()];
    const absl::StatusOr<Bytes> answer = Answer(victim, inputs[request % kNumInputs]);
    const auto read = testing::ReadStatus(FileOf(0, "address.status"));
    ASSERT_TRUE(read.ok()) << read.status();
    status = *read;
    const std::string last = status.last.has_value() ? testing::NameOf(*status.last) : "none";
    ASSERT_TRUE(answer.ok()) << answer.status() << " after attack " << last << " of request " << request;
    ASSERT_EQ(*answer, expected[request % kNumInputs]) << "after attack " << last << " of request " << request;
  }
  for (const Attack kind : testing::AllAttacks()) {
    EXPECT_GT(status.of[kind], 0U) << testing::NameOf(kind) << " was never tried";
    std::cout << testing::NameOf(kind) << " " << status.of[kind] << "\n";
  }
  EXPECT_GT(NumEvents(), SHOJI_HOSTILE_ATTACKS / 4U);
}

}  // namespace
}  // namespace shoji::enclave
