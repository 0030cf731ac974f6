// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Many requests in a row leave no process larger.
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/cluster.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

TEST(MemoryTest, TenThousandRequestsLeaveNoProcessLarger) {
  constexpr long kMaxGrowthKib = 2048;
  constexpr int kMoreThanAnyPoolHas = 24;
  // The sanitizer's quarantine grows by design: there only the errors count.
  const int num_requests = kSanitizerBuild ? 2000 : 10000;
  ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy("layer-partition"))};
  auto cluster = Cluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const auto session = (*cluster)->OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  const std::array<Tensor, 1> inputs = {Tensor(DataType::kFloat32, Shape({1, 3, 32, 32}))};
  const RealClock clock;
  const std::vector<std::pair<std::string, pid_t>> processes = {{"front end", (*cluster)->server().pid()},
                                                                {"enclave", (*cluster)->enclave().pid()},
                                                                {"accelerator", (*cluster)->accelerator(0).pid()},
                                                                {"client", ::getpid()}};
  const auto infer = [&] { return (*session)->Infer(inputs, clock.SteadyNow() + std::chrono::seconds(20)).status(); };
  // Every thread of every process has worked: what a thread keeps from its first request is no growth.
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < kMoreThanAnyPoolHas; ++i) {
      callers.emplace_back([&infer] {
        for (int k = 0; k < 50; ++k) {
          EXPECT_TRUE(infer().ok());
        }
      });
    }
  }
  std::vector<long> after_warm_up;
  for (int i = 0; i < num_requests; ++i) {
    const absl::Status answered = infer();
    ASSERT_TRUE(answered.ok()) << "request " << i << ": " << answered;
    if (i == 999) {
      for (const auto& [name, pid] : processes) {
        after_warm_up.push_back(testing::ResidentKib(pid));
      }
    }
  }
  for (size_t i = 0; i < processes.size(); ++i) {
    const long growth = testing::ResidentKib(processes[i].second) - after_warm_up[i];
    RecordProperty(processes[i].first + " growth KiB", static_cast<int>(growth));
    if (!kSanitizerBuild) {
      EXPECT_LE(growth, kMaxGrowthKib) << processes[i].first << " had " << after_warm_up[i] << " KiB";
    }
  }
}

}  // namespace
}  // namespace shoji
