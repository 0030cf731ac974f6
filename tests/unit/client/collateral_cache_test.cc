// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/collateral_cache.h"

#include <chrono>
#include <filesystem>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/process.h"

namespace shoji::client {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CollateralCacheTest : public ::testing::Test {
 protected:
  CollateralCacheTest() {
    services_.cache_directory = dir_.File("cache");
    services_.cache_max_files = 3;
  }
  static std::string Sgx(int platform) { return "sgx-00a06711000" + std::to_string(platform) + "-processor.json"; }
  void Keep(const std::string& name, size_t size = 10) {
    const absl::Status kept = KeepInCache(services_, Path(name), Bytes(size, 'x'));
    ASSERT_TRUE(kept.ok()) << kept;
    Age(name, std::chrono::hours(24) - std::chrono::seconds(++num_kept_));
  }
  void Age(const std::string& name, std::chrono::seconds age) const {
    fs::last_write_time(Path(name), fs::file_time_type::clock::now() - age);
  }
  std::string Path(const std::string& name) const {
    const bool is_intel = name.starts_with("sgx") || name.starts_with("tdx");
    return services_.cache_directory + (is_intel ? "/intel/" : "/amd/") + name;
  }
  std::set<std::string> Names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(services_.cache_directory)) {
      if (!entry.is_directory()) {
        out.insert(entry.path().filename().string());
      }
    }
    return out;
  }

  const testing::TempDir dir_;
  attest::CollateralServices services_;
  int num_kept_ = 0;
};

TEST_F(CollateralCacheTest, HoldsAtMostSoManyFilesAndBytesAndTheOldestGoFirst) {
  Keep("Milan-vcek-chain.pem");
  for (int i = 0; i < 4; ++i) {
    Keep(Sgx(i));
  }
  EXPECT_THAT(Names(), ElementsAre(Sgx(1), Sgx(2), Sgx(3)));
  // What is written anew is young again.
  Keep(Sgx(1));
  Keep("Genoa-vcek-crl.der");
  EXPECT_THAT(Names(), ElementsAre("Genoa-vcek-crl.der", Sgx(1), Sgx(3)));
  services_.cache_max_bytes = 100;
  Keep(Sgx(4), 85);
  EXPECT_THAT(Names(), ElementsAre("Genoa-vcek-crl.der", Sgx(4)));
  // The one just written stays, whatever it is.
  Keep(Sgx(5), 101);
  EXPECT_THAT(Names(), ElementsAre(Sgx(5)));
}

TEST_F(CollateralCacheTest, OnlyFilesOfItsOwnMakingCountAndAreRemoved) {
  Keep(Sgx(0));
  const std::string own = services_.cache_directory + "/intel/tcb_info.json";
  ASSERT_TRUE(WriteFileAtomically(own, AsBytes("a user's own")).ok());
  fs::create_symlink(own, Path(Sgx(8)));
  fs::create_directory(Path(Sgx(9)));
  for (int i = 1; i < 5; ++i) {
    Keep(Sgx(i));
  }
  EXPECT_THAT(Names(), ElementsAre(Sgx(2), Sgx(3), Sgx(4), Sgx(8), "tcb_info.json"));
  EXPECT_TRUE(fs::is_directory(Path(Sgx(9))));
}

TEST_F(CollateralCacheTest, WhatAnAttemptLeftThatWasCutOffGoesOnceItIsOld) {
  Keep(Sgx(0));
  for (const char* part :
       {"sgx-00a067110001-processor.json.part", "sgx-00a067110002-processor.json.part", "sgx-notes.json.part"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(part), AsBytes("half")).ok());
  }
  Age("sgx-00a067110001-processor.json.part", std::chrono::hours(2));
  Age("sgx-notes.json.part", std::chrono::hours(2));
  Keep(Sgx(3));
  EXPECT_THAT(Names(), ElementsAre(Sgx(0), "sgx-00a067110002-processor.json.part", Sgx(3), "sgx-notes.json.part"));
}

TEST_F(CollateralCacheTest, KnowsTheNamesThatItGives) {
  for (const std::string& name :
       {Sgx(0), std::string("tdx-b0c06f000000-platform.json"), std::string("Turin-vcek-chain.pem"),
        std::string("Genoa-vlek-crl.der"), "Milan-" + std::string(128, 'a') + "-0300000000000873.der"}) {
    EXPECT_TRUE(IsCacheName(name)) << name;
  }
  for (const std::string& name : {std::string("tcb_info.json"), std::string("sgx-b0c06f00000-platform.json"),
                                  std::string("Milan-vcek-chain.der"), std::string("xsgx-b0c06f000000-platform.json"),
                                  "Milan-" + std::string(130, 'a') + "-0300000000000873.der", std::string(5000, 'a')}) {
    EXPECT_FALSE(IsCacheName(name)) << name.substr(0, 60);
  }
}

TEST_F(CollateralCacheTest, AFolderThatCannotBeWrittenIsNamed) {
  ASSERT_TRUE(WriteFileAtomically(dir_.File("cache"), AsBytes("a file")).ok());
  EXPECT_THAT(std::string(KeepInCache(services_, Path(Sgx(0)), {}).message()),
              AllOf(HasSubstr(Path(Sgx(0))), HasSubstr("collateral.cache_directory")));
}

}  // namespace
}  // namespace shoji::client
