// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <cerrno>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enclave_worker/evidence/device_files.h"
#include "enclave_worker/evidence/evidence_source.h"
#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/base/file.h"
#include "tests/unit/enclave_worker/evidence/fake_kernel.h"
#include "tests/unit/lib/attest/amd_pki.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::enclave {
namespace {

using attest::EvidenceKind;
using testing::AttestationVector;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakeKernel;
using ::testing::HasSubstr;

class ProvidersTest : public ::testing::Test {
 protected:
  ProvidersTest() {
    report_data_.fill(0xA5);
    retry_.attempts = 4;
    retry_.pause = [this](std::chrono::milliseconds pause) { pauses_.push_back(pause); };
    options_.gramine.retry = options_.tsm.retry = options_.sev_guest.retry = retry_;
  }
  void HasGramine() {
    kernel_.gramine_type = "dcap";
    kernel_.quote = AttestationVector("dcapqvl_sgx_quote_v3.bin");
    kernel_.report_data_offset = 0x170;
  }
  void HasTdx() {
    kernel_.has_tsm = true;
    kernel_.tsm_provider = "tdx_guest";
    kernel_.quote = AttestationVector("dcapqvl_tdx_quote.bin");
    kernel_.report_data_offset = 0x238;
  }
  void HasSnp() {
    kernel_.quote = AttestationVector("virtee_report_milan.bin");
    kernel_.report_data_offset = 0x50;
    kernel_.certificate_table =
        testing::WithTable({}, {{testing::kVcekGuid, AttestationVector("virtee_vcek_milan.der")}});
  }
  void HasSnpTsm() {
    HasSnp();
    kernel_.has_tsm = true;
    kernel_.tsm_provider = "sev_guest";
  }
  void HasSevGuest() {
    HasSnp();
    kernel_.has_sev_guest = true;
  }
  absl::StatusOr<attest::Evidence> Generate() {
    absl::StatusOr<std::unique_ptr<EvidenceProvider>> provider = CreatePlatformProvider(options_, kernel_);
    if (!provider.ok()) {
      return provider.status();
    }
    kernel_.log.clear();
    absl::StatusOr<attest::Evidence> evidence = (*provider)->Generate(report_data_);
    EXPECT_TRUE(!evidence.ok() || evidence->kind == (*provider)->kind());
    return evidence;
  }
  std::string Refusal() { return std::string(Generate().status().message()); }
  // What was asked for, in its place.
  void ExpectBound(const attest::Evidence& evidence, EvidenceKind kind) {
    EXPECT_EQ(evidence.kind, kind);
    EXPECT_TRUE(std::equal(report_data_.begin(), report_data_.end(),
                           evidence.data.begin() + static_cast<ptrdiff_t>(kernel_.report_data_offset)));
  }

  FakeKernel kernel_;
  PlatformOptions options_;
  Retry retry_;
  attest::ReportData report_data_ = {};
  std::vector<std::chrono::milliseconds> pauses_;
};

TEST_F(ProvidersTest, GramineWritesTheReportDataOnceAndReadsTheQuote) {
  HasGramine();
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  ExpectBound(*evidence, EvidenceKind::kSgx);
  EXPECT_THAT(kernel_.log, ElementsAre("write user_report_data 64", "read quote"));
}

TEST_F(ProvidersTest, GramineWithoutDcapSaysWhatToWriteInTheManifest) {
  HasGramine();
  kernel_.gramine_type = "none";
  options_.source = EvidenceSource::kGramine;
  EXPECT_THAT(Refusal(), HasSubstr("sgx.remote_attestation = \"dcap\""));
}

TEST_F(ProvidersTest, GramineThatFailsSaysWhatToCheck) {
  HasGramine();
  kernel_.errors = {{"/quote", EACCES}};
  EXPECT_THAT(Refusal(), HasSubstr("check that the AESM service and a PCCS run"));
  EXPECT_TRUE(pauses_.empty());
}

TEST_F(ProvidersTest, AQuoteForOtherReportDataIsNeverPassedOn) {
  HasGramine();
  const Bytes other(64, 7);
  kernel_.before_read = [&](const std::string& path) {
    if (path.ends_with("/quote")) {
      EXPECT_EQ(kernel_.Write("/dev/attestation/user_report_data", other), 0);
    }
  };
  EXPECT_THAT(Refusal(),
              HasSubstr("gave up after 4 attempts: the platform answered with evidence for another request"));
}

TEST_F(ProvidersTest, MalformedEvidenceIsNeverPassedOn) {
  HasGramine();
  kernel_.quote = AttestationVector("dcapqvl_tdx_quote.bin");
  EXPECT_THAT(Refusal(), HasSubstr("malformed"));
  kernel_.quote.resize(1000);
  EXPECT_THAT(Refusal(), HasSubstr("malformed"));
}

TEST_F(ProvidersTest, TsmMakesAFolderAsksOnceAndRemovesIt) {
  HasTdx();
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  ExpectBound(*evidence, EvidenceKind::kTdx);
  EXPECT_THAT(kernel_.log,
              ElementsAre("mkdir", "read generation", "write inblob 64", "read outblob", "read generation", "rmdir"));
  EXPECT_EQ(kernel_.num_folders(), 0U);
}

TEST_F(ProvidersTest, TsmAppendsTheCertificateTableOfSnp) {
  HasSnpTsm();
  options_.tsm.privlevel = 2;
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  ExpectBound(*evidence, EvidenceKind::kSevSnp);
  EXPECT_EQ(kernel_.last_privlevel, 2U);
  const auto parsed = attest::sev_snp::ParseEvidenceData(evidence->data);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->endorsement_keys.size(), 1U);
}

TEST_F(ProvidersTest, TsmSendsABareReportWhereTheHostGivesNoCertificates) {
  HasSnpTsm();
  kernel_.certificate_table.clear();
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  EXPECT_EQ(evidence->data.size(), attest::sev_snp::kReportBytes);
}

TEST_F(ProvidersTest, TsmRefusesAPrivlevelBelowTheFloor) {
  HasSnpTsm();
  kernel_.privlevel_floor = 2;
  options_.tsm.privlevel = 1;
  EXPECT_THAT(Refusal(), HasSubstr("privlevel: Invalid argument"));
  EXPECT_EQ(kernel_.num_folders(), 0U);
}

TEST_F(ProvidersTest, TsmTriesAgainWhenSomebodyRacesIt) {
  HasTdx();
  int races = 2;
  kernel_.before_read = [&](const std::string& path) {
    if (path.ends_with("/outblob") && races > 0) {
      --races;
      kernel_.RaceInblob(Bytes(64, 9));
    }
  };
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  ExpectBound(*evidence, EvidenceKind::kTdx);
  EXPECT_THAT(pauses_, ElementsAre(std::chrono::milliseconds(20), std::chrono::milliseconds(40)));
}

// Another process writes the very same input: the evidence is right, but the folder is not one's own.
TEST_F(ProvidersTest, TsmTrustsNoFolderWhoseGenerationMovedByItself) {
  HasTdx();
  kernel_.before_read = [&](const std::string& path) {
    if (path.ends_with("/outblob")) {
      kernel_.RaceInblob(Bytes(report_data_.begin(), report_data_.end()));
    }
  };
  EXPECT_THAT(Refusal(), HasSubstr("generation 2 instead of 1"));
}

TEST_F(ProvidersTest, TsmNoticesAnInputThatTheKernelDropped) {
  HasTdx();
  kernel_.drop_commit = true;
  EXPECT_THAT(Refusal(), HasSubstr("outblob: Invalid argument"));
}

TEST_F(ProvidersTest, BusyAndInterruptedRequestsAreTriedAgainWithBounds) {
  HasTdx();
  kernel_.errors = {{"/outblob", EBUSY}, {"/outblob", EINTR}, {"/outblob", ETIMEDOUT}};
  EXPECT_TRUE(Generate().ok());
  EXPECT_EQ(pauses_.size(), 3U);
  EXPECT_EQ(kernel_.num_folders(), 0U);
  kernel_.errors = {{"/outblob", EBUSY}, {"/outblob", EBUSY}, {"/outblob", EBUSY}, {"/outblob", EBUSY}};
  const auto evidence = Generate();
  EXPECT_EQ(evidence.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(evidence.status().message()), HasSubstr("gave up after 4 attempts"));
}

TEST_F(ProvidersTest, OtherErrorsAreNotTriedAgain) {
  HasTdx();
  kernel_.errors = {{"/outblob", EIO}};
  EXPECT_THAT(Refusal(), HasSubstr("outblob: Input/output error; see the kernel's log"));
  EXPECT_TRUE(pauses_.empty());
  EXPECT_EQ(kernel_.num_folders(), 0U);
}

TEST_F(ProvidersTest, TsmPassesByFoldersThatAreLeftBehind) {
  HasTdx();
  for (const int i : {0, 1}) {
    kernel_.LeaveFolder(options_.tsm.root + "/shoji-" + std::to_string(::getpid()) + "-" + std::to_string(i));
  }
  EXPECT_TRUE(Generate().ok());
  EXPECT_EQ(kernel_.num_folders(), 2U);
}

TEST_F(ProvidersTest, TsmWithoutAProviderSaysWhatToLoad) {
  kernel_.has_tsm = true;
  options_.source = EvidenceSource::kConfigfsTsm;
  EXPECT_THAT(Refusal(), HasSubstr("load tdx_guest or sev_guest"));
  kernel_.tsm_provider = "arm_cca_guest";
  EXPECT_THAT(Refusal(), HasSubstr("served by \"arm_cca_guest\""));
  kernel_.has_tsm = false;
  EXPECT_THAT(Refusal(), HasSubstr("mount configfs"));
}

TEST_F(ProvidersTest, SevGuestGivesReportAndCertificates) {
  HasSevGuest();
  options_.sev_guest.vmpl = 1;
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  ExpectBound(*evidence, EvidenceKind::kSevSnp);
  EXPECT_EQ(kernel_.last_vmpl, 1U);
  const auto parsed = attest::sev_snp::ParseEvidenceData(evidence->data);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->endorsement_keys.size(), 1U);
}

TEST_F(ProvidersTest, SevGuestGrowsTheTableToWhatTheHostNeeds) {
  HasSevGuest();
  kernel_.certificate_table.resize(size_t{30} << 10);
  EXPECT_TRUE(Generate().ok());
  EXPECT_THAT(kernel_.log, ElementsAre("get extended report", "get extended report"));
  kernel_.certificate_table.resize(size_t{100} << 10);
  EXPECT_TRUE(Generate().ok());
  EXPECT_THAT(kernel_.log, ElementsAre("get extended report", "get report"));
}

TEST_F(ProvidersTest, SevGuestDoesWithoutExtendedReports) {
  HasSevGuest();
  kernel_.extended_report_supported = false;
  const auto evidence = Generate();
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  EXPECT_EQ(evidence->data.size(), attest::sev_snp::kReportBytes);
}

TEST_F(ProvidersTest, SevGuestTriesAgainWhileTheHypervisorIsBusy) {
  HasSevGuest();
  kernel_.vmm_errors = {2, 2};
  EXPECT_TRUE(Generate().ok());
  EXPECT_EQ(pauses_.size(), 2U);
  kernel_.vmm_errors = {9};
  EXPECT_THAT(Refusal(), HasSubstr("VMM error 9"));
}

TEST_F(ProvidersTest, AutoTakesWhatTheMachineHas) {
  HasSevGuest();
  EXPECT_EQ((*CreatePlatformProvider(options_, kernel_))->kind(), EvidenceKind::kSevSnp);
  HasTdx();
  EXPECT_EQ((*CreatePlatformProvider(options_, kernel_))->kind(), EvidenceKind::kTdx);
  HasGramine();
  EXPECT_EQ((*CreatePlatformProvider(options_, kernel_))->kind(), EvidenceKind::kSgx);
  options_.source = EvidenceSource::kSevGuest;
  EXPECT_EQ((*CreatePlatformProvider(options_, kernel_))->kind(), EvidenceKind::kSevSnp);
}

TEST_F(ProvidersTest, AutoOnAMachineWithNothingSaysWhatWasLookedFor) {
  const auto provider = CreatePlatformProvider(options_, kernel_);
  EXPECT_EQ(provider.status().code(), absl::StatusCode::kFailedPrecondition);
  for (const char* name : {"gramine: ", "configfs-tsm: ", "sev-guest: "}) {
    EXPECT_THAT(std::string(provider.status().message()), HasSubstr(name));
  }
}

TEST(EvidenceSourceTest, EverySourceHasAName) {
  for (const EvidenceSource source :
       {EvidenceSource::kAuto, EvidenceSource::kGramine, EvidenceSource::kConfigfsTsm, EvidenceSource::kSevGuest}) {
    EXPECT_EQ(EvidenceSourceNamed(NameOf(source)), source);
  }
  EXPECT_FALSE(EvidenceSourceNamed("simulated").has_value());
}

// The real files, in a plain folder.
class PosixDeviceFilesTest : public ::testing::Test {
 protected:
  PosixDeviceFilesTest() {
    std::string pattern = ::testing::TempDir() + "device_files_XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~PosixDeviceFilesTest() override { std::filesystem::remove_all(root_); }
  void Put(const std::string& name, ByteSpan content) {
    EXPECT_TRUE(WriteFileAtomically(root_ + "/" + name, content).ok());
  }

  std::string root_;
  PosixDeviceFiles files_;
};

TEST_F(PosixDeviceFilesTest, GramineWorksOnPlainFiles) {
  const Bytes quote = AttestationVector("dcapqvl_sgx_quote_v3.bin");
  Put("attestation_type", AsBytes("dcap"));
  Put("user_report_data", {});
  Put("quote", quote);
  attest::ReportData report_data = {};
  std::copy_n(quote.begin() + 0x170, report_data.size(), report_data.begin());
  const auto provider = GramineProvider::Create({.root = root_, .retry = {}}, files_);
  ASSERT_TRUE(provider.ok()) << provider.status();
  const auto evidence = (*provider)->Generate(report_data);
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  EXPECT_EQ(evidence->data, quote);
  EXPECT_EQ(*ReadFile(root_ + "/user_report_data", 1000), Bytes(report_data.begin(), report_data.end()));
}

TEST_F(PosixDeviceFilesTest, ErrorsAreThoseOfTheSystem) {
  EXPECT_EQ(files_.Read(root_ + "/none", 10).error, ENOENT);
  EXPECT_EQ(files_.Write(root_ + "/none", {}), ENOENT);
  EXPECT_EQ(files_.Ioctl(root_ + "/none", 0, nullptr), ENOENT);
  EXPECT_EQ(files_.RemoveFolder(root_ + "/none"), ENOENT);
  Put("file", Bytes(20000, 1));
  EXPECT_EQ(files_.Read(root_ + "/file", 19999).error, EFBIG);
  EXPECT_EQ(files_.Read(root_ + "/file", 20000).bytes.size(), 20000U);
  EXPECT_EQ(files_.Ioctl(root_ + "/file", 0xC0205300, nullptr), ENOTTY);
  EXPECT_EQ(files_.MakeFolder(root_ + "/folder"), 0);
  EXPECT_EQ(files_.MakeFolder(root_ + "/folder"), EEXIST);
  EXPECT_TRUE(files_.Exists(root_ + "/folder"));
  EXPECT_EQ(files_.RemoveFolder(root_ + "/folder"), 0);
  EXPECT_FALSE(files_.Exists(root_ + "/folder"));
}

}  // namespace
}  // namespace shoji::enclave
