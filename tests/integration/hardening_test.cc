// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The hardening of a running enclave, seen from outside. What it may not do from inside is tested in
// tests/unit/enclave_worker/hardening_test.cc, which tries it.
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterOptions;

std::string StatusField(const std::filesystem::path& path, const std::string& field) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(field + ":", 0) == 0) {
      return line.substr(line.find_last_of(" \t") + 1);
    }
  }
  return "";
}

class EnclaveHardeningTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    (void)::setrlimit(RLIMIT_CORE, &unlimited);  // inherited: the enclave has to switch it off itself
    ClusterOptions options;
    options.models = {testing::BuiltInModel(testing::ReadyPolicy("layer-partition"))};
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    // Once through everything, so that every thread there will be is there.
    testing::RawClient client(cluster_->address());
    ASSERT_TRUE(client.Attest("cifar10_resnet").ok());
    ASSERT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, Bytes(size_t{3} * 32 * 32, 5), "cifar10_resnet").ok());
  }
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(EnclaveHardeningTest, EveryThreadHasNoNewPrivilegesAndAFilter) {
  const std::string tasks = "/proc/" + std::to_string(cluster_->enclave().pid()) + "/task";
  int num_threads = 0;
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    EXPECT_EQ(StatusField(task.path() / "status", "NoNewPrivs"), "1") << task.path();
    EXPECT_EQ(StatusField(task.path() / "status", "Seccomp"), "2") << task.path();
    ++num_threads;
  }
  EXPECT_GT(num_threads, 4);
}

TEST_F(EnclaveHardeningTest, KeysAreLockedInMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers ignore mlock";
#endif
  std::ifstream in("/proc/" + std::to_string(cluster_->enclave().pid()) + "/status");
  std::string line;
  long kib = 0;
  while (std::getline(in, line)) {
    if (line.rfind("VmLck:", 0) == 0) {
      kib = std::stol(line.substr(6));
    }
  }
  EXPECT_GT(kib, 0);
}

TEST_F(EnclaveHardeningTest, ACrashLeavesNoCoreDump) {
  cluster_->enclave().Signal(SIGSEGV);
  const std::optional<int> status = cluster_->enclave().Wait(std::chrono::seconds(30));
  ASSERT_TRUE(status.has_value());
  EXPECT_FALSE(WCOREDUMP(*status));
}

}  // namespace
}  // namespace shoji
