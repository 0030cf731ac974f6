// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// As many sessions as an enclave holds, all alive, through real processes: each is served, the next is refused with a
// status that says why, and what they take is bounded.
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/reason.h"
#include "tests/support/cluster.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;
using testing::RawClient;

constexpr size_t kNumSessions = 10'000;
constexpr size_t kNumClients = 4;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

const Bytes kInput(size_t{4} * 4, 0);  // NOLINT(cert-err58-cpp): test code

absl::Status Ask(RawClient& client) { return client.Roundtrip(channel::RequestKind::kTensors, kInput, "tiny"); }

TEST(SessionsTest, TenThousandLiveAtATimeAreAllServedAndTheNextIsRefused) {
  const testing::TempDir folder;
  ASSERT_TRUE(
      WriteFileAtomically(folder.File("tiny.onnx"),
                          testing::OnnxBuilder().Input("x", {1, 4}).Node("Relu", {"x"}, {"y"}).Output("y").Build())
          .ok());
  ClusterOptions options;
  options.models = {{.name = "tiny",
                     .onnx = folder.File("tiny.onnx"),
                     .labels = "",
                     .preprocessing = "",
                     .policy = "model: tiny\nsegments: [{from: input, place: enclave}]\n"}};
  options.num_accelerators = 0;
  options.server_yaml = "log: {level: warning}\n";
  options.enclave_yaml = "log: {level: warning}\n";
  const auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  RawClient first((*cluster)->address());
  ASSERT_TRUE(first.Attest("tiny").ok());
  ASSERT_TRUE(Ask(first).ok());
  const long enclave_before = testing::ResidentKib((*cluster)->enclave().pid());
  const long server_before = testing::ResidentKib((*cluster)->server().pid());

  // Each is used at once: one that has carried a request is never pushed out by a new one.
  std::mutex mu;
  std::vector<std::unique_ptr<channel::Initiator>> sessions;
  {
    std::vector<std::jthread> clients;
    for (size_t i = 0; i < kNumClients; ++i) {
      clients.emplace_back([&] {
        RawClient client((*cluster)->address());
        absl::Status opened = client.Attest("tiny");
        while (opened.ok()) {
          const absl::Status served = Ask(client);
          ASSERT_TRUE(served.ok()) << served;
          {
            const std::scoped_lock lock(mu);
            sessions.push_back(client.Exchange(nullptr));
            ASSERT_LE(sessions.size(), kNumSessions);
          }
          opened = client.OpenAnother();
        }
        EXPECT_EQ(ReasonOf(opened), Reason::kSessionLimit) << opened;
      });
    }
  }
  EXPECT_EQ(sessions.size() + 1, kNumSessions);  // `first` has one

  for (size_t i = 0; i < sessions.size(); i += 50) {
    first.Exchange(std::move(sessions[i]));
    const absl::Status served = Ask(first);
    EXPECT_TRUE(served.ok()) << i << ": " << served;
  }
  const long enclave_growth = testing::ResidentKib((*cluster)->enclave().pid()) - enclave_before;
  const long server_growth = testing::ResidentKib((*cluster)->server().pid()) - server_before;
  RecordProperty("enclave growth KiB", static_cast<int>(enclave_growth));
  RecordProperty("front end growth KiB", static_cast<int>(server_growth));
  if (!kSanitizerBuild) {
    EXPECT_LE(enclave_growth, 32 * 1024);
    EXPECT_LE(server_growth, 8 * 1024);
  }
}

}  // namespace
}  // namespace shoji
