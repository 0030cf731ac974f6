// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// No pad is used twice: one constant picture again and again, while accelerators are killed, calls are given up and the
// enclave is killed, and every row of masked input that any accelerator ever saw is remembered. The picture never
// changes, so a pad used again shows as a row seen again.
#include <array>
#include <chrono>
#include <filesystem>
#include <future>
#include <iostream>
#include <optional>
#include <random>
#include <unordered_map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/cluster.h"
#include "tests/support/execution_recorder.h"
#include "tests/support/raw_client.h"

#ifndef SHOJI_PAD_REQUESTS
#error "the number of requests"
#endif

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;

constexpr size_t kNumAccelerators = 2;

class PadReuseTest : public ::testing::Test {
 protected:
  std::string RecordOf(size_t accelerator) const {
    return cluster_->dir().File("acc" + std::to_string(accelerator) + ".address.record");
  }
  size_t RecordedBytes() const {
    size_t total = 0;
    for (size_t a = 0; a < kNumAccelerators; ++a) {
      std::error_code none_yet;
      const uintmax_t size = std::filesystem::file_size(RecordOf(a), none_yet);
      total += none_yet ? 0 : static_cast<size_t>(size);
    }
    return total;
  }

  // What the accelerators have recorded since the last call. A message is sent twice only when an accelerator was lost
  // while it was under way, and then within the request that it belongs to, which may have gone on for a little behind
  // the back of a client that gave it up.
  void Collect(size_t request) {
    constexpr size_t kAfterKill = 3;
    for (size_t a = 0; a < kNumAccelerators; ++a) {
      for (const uint64_t row : testing::ReadRecord(RecordOf(a), offsets_[a])) {
        const auto [seen, is_new] = rows_.try_emplace(row, request);
        const bool lost_since = last_kill_.has_value() && *last_kill_ + 1 >= seen->second;
        num_again_ += is_new ? 0 : 1;
        ASSERT_TRUE(is_new || (lost_since && request - seen->second <= kAfterKill))
            << "a row of request " << seen->second << " again in request " << request;
      }
    }
  }

  std::unique_ptr<Cluster> cluster_;
  std::unordered_map<uint64_t, size_t> rows_;  // digest -> request
  std::array<size_t, kNumAccelerators> offsets_ = {};
  std::optional<size_t> last_kill_;  // request
  size_t num_again_ = 0;             // sent again after a loss
};

TEST_F(PadReuseTest, NoMaskedRowIsEverSeenInTwoRequests) {
  ClusterOptions options;
  options.models = {
      testing::BuiltInModel("model: cifar10_resnet\nsegments: [{from: input, place: blinded}]\n"
                            "masking: {pool: {requests: 4, on_empty: wait}}\n")};
  options.num_accelerators = kNumAccelerators;
  for (size_t a = 0; a < kNumAccelerators; ++a) {
    // Now and then an answer is wrong, so that layers are recomputed and messages built on them thrown away.
    options.hostile[a] = {"--attack", "flipped_bit", "--one-in", "50", "--record"};
  }
  options.enclave_yaml = "quarantine: {first: 1ms, max: 1ms}\n";
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  cluster_ = *std::move(cluster);

  std::mt19937 random(99);  // NOLINT(cert-msc51-cpp): the same order of events in every run
  const Bytes picture(size_t{32} * 32 * 3, 128);
  auto client = std::make_unique<testing::RawClient>(cluster_->address());
  bool attested = false;
  size_t answered = 0;
  size_t kills = 0;
  for (size_t request = 0; request < size_t{SHOJI_PAD_REQUESTS}; ++request) {
    if (!attested) {
      ASSERT_TRUE(testing::WaitFor([&] { return client->Attest("cifar10_resnet").ok(); }, std::chrono::minutes(3)));
      attested = true;
    }
    const auto sealed = client->Seal(channel::RequestKind::kPicture, picture, "cifar10_resnet");
    ASSERT_TRUE(sealed.ok());
    const auto what = static_cast<uint32_t>(random() % 100);
    const bool give_up = what >= 3 && what < 13;
    const size_t give_up_at = RecordedBytes() + sizeof(uint64_t) * (random() % 300);
    // Everything happens in the middle of the request.
    std::future<absl::StatusOr<channel::SealedAnswer>> pending = std::async(std::launch::async, [&] {
      return client->SendUntil(*sealed, [&] { return give_up && RecordedBytes() > give_up_at; });
    });
    if (what < 2) {
      const size_t victim = random() % kNumAccelerators;
      cluster_->accelerator(victim).Kill();
      cluster_->StartAccelerator(victim);
      last_kill_ = request;
      ++kills;
    } else if (what == 2) {
      cluster_->enclave().Kill();
      cluster_->StartEnclave();
      attested = false;
      last_kill_ = request;
      ++kills;
    }
    const absl::StatusOr<channel::SealedAnswer> answer = pending.get();
    answered += answer.ok() ? 1U : 0U;
    ASSERT_NO_FATAL_FAILURE(Collect(request));
    if ((request + 1) % 10'000 == 0) {
      std::cout << request + 1 << " requests so far, " << rows_.size() << " masked rows" << std::endl;
    }
  }
  std::cout << SHOJI_PAD_REQUESTS << " requests, " << answered << " answered, " << kills << " kills, " << rows_.size()
            << " masked rows, " << num_again_ << " sent again after a loss\n";
  EXPECT_GT(answered, size_t{SHOJI_PAD_REQUESTS} * 3 / 4);
  EXPECT_GT(rows_.size(), answered * 100);
}

}  // namespace
}  // namespace shoji
