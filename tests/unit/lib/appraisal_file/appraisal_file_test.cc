// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/appraisal_file/appraisal_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::appraisal_file {
namespace {

using attest::AppraisalPolicy;
using attest::Unpinned;
using attest::intel::TcbStatus;
using attest::sev_snp::Product;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

auto Path(const std::string& path) { return ::testing::Field(&attest::CollateralPath::path, path); }

std::string Hex(size_t bytes, char digit) { return std::string(2 * bytes, digit); }

void ExpectRefused(const std::string& text, const std::string& where, const std::string& what) {
  const absl::StatusOr<AppraisalPolicy> policy = ParseAppraisalPolicy(text, "appraisal.yaml");
  ASSERT_FALSE(policy.ok()) << text;
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument) << policy.status();
  EXPECT_THAT(std::string(policy.status().message()), AllOf(StartsWith("appraisal.yaml" + where), HasSubstr(what)));
}

const std::string kWhole = R"(
sgx:
  enclaves:
    - {name: one, mrenclave: )" +
                           Hex(32, 'a') + R"(}
    - {name: two, mrsigner: )" +
                           Hex(32, 'B') + R"(, isv_prod_id: 7, minimum_isv_svn: 2}
  tcb: {accept: [UpToDate, SWHardeningNeeded], minimum_evaluation: 17}
  debug: deny
tdx:
  guests:
    - {name: vm, mrtd: )" + Hex(48, '1') +
                           ", rtmr0: " + Hex(48, '2') + ", rtmr1: " + Hex(48, '3') + ", rtmr2: " + Hex(48, '4') +
                           ", mrconfigid: " + Hex(48, '5') + R"(}
  attributes: {mask: 0000001000000080, value: 0000001000000000}
  xfam: e702060000000000
sev-snp:
  guests:
    - {name: vm, measurement: )" +
                           Hex(48, '6') + ", kernel_hashes: true, vmpl: 1, host_data: " + Hex(32, '7') +
                           ", id_key_digest: " + Hex(48, '8') + R"(}
  minimum_tcb:
    Milan: {bootloader: 3, tee: 0, snp: 8, microcode: 115}
    Turin: {fmc: 1, bootloader: 1, tee: 0, snp: 2, microcode: 70}
  minimum_launch_tcb:
    Milan: {bootloader: 3, tee: 0, snp: 7, microcode: 114}
    Turin: {fmc: 0, bootloader: 1, tee: 0, snp: 2, microcode: 69}
  minimum_committed_tcb:
    Milan: {bootloader: 2, tee: 0, snp: 8, microcode: 113}
    Turin: {fmc: 0, bootloader: 1, tee: 0, snp: 2, microcode: 68}
  csp_id: CN=cloud.example
  revocation_list: optional
collateral:
  intel: [cache/intel, /etc/more.json]
  amd: [cache/amd]
  intel_url: https://api.trustedservices.intel.com
  intel_root_crl_url: https://intel.example/root.der
  amd_url: http://127.0.0.1:8081/amd
  cache_directory: cache
  cache_files: 50
  cache_size: 9MiB
  ca_file: pccs.pem
  timeout: 3s
  maximum_age: 720h
models:
  - name: vgg16
    model_digests: [)" + Hex(32, '1') +
                           R"(]
    plan_digests: [)" + Hex(32, '2') +
                           ", " + Hex(32, '3') + R"(]
    nothing_opened_before: block3_conv1
    verification: required
)";

TEST(AppraisalFileTest, ReadsEveryKey) {
  const absl::StatusOr<AppraisalPolicy> policy = ParseAppraisalPolicy(kWhole, "/etc/shoji/appraisal.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  ASSERT_TRUE(policy->sgx.has_value() && policy->tdx.has_value() && policy->sev_snp.has_value());
  EXPECT_EQ(policy->sgx->enclaves[0].mr_enclave->front(), 0xAA);
  EXPECT_EQ(policy->sgx->enclaves[1].mr_signer->front(), 0xBB);
  EXPECT_EQ(policy->sgx->enclaves[1].isv_prod_id, 7);
  EXPECT_EQ(policy->sgx->enclaves[1].minimum_isv_svn, 2);
  EXPECT_THAT(policy->sgx->tcb.accepted, ElementsAre(TcbStatus::kUpToDate, TcbStatus::kSwHardeningNeeded));
  EXPECT_EQ(policy->sgx->tcb.minimum_evaluation_data_number, 17U);
  EXPECT_EQ(policy->sgx->tcb.maximum_collateral_age, std::chrono::hours(720));
  EXPECT_EQ(policy->sgx->unpinned, Unpinned::kRefused);
  EXPECT_THAT(policy->tdx->tcb.accepted, ElementsAre(TcbStatus::kUpToDate));
  const attest::TdxReference& td = policy->tdx->guests[0];
  EXPECT_EQ(td.mr_td->front(), 0x11);
  EXPECT_EQ(td.rtmrs[0]->front(), 0x22);
  EXPECT_EQ(td.rtmrs[2]->front(), 0x44);
  EXPECT_FALSE(td.rtmrs[3].has_value());
  EXPECT_EQ(td.mr_config_id->front(), 0x55);
  EXPECT_EQ(policy->tdx->attributes->mask, (attest::BitField{0, 0, 0, 0x10, 0, 0, 0, 0x80}));
  EXPECT_EQ(policy->tdx->attributes->value, (attest::BitField{0, 0, 0, 0x10}));
  EXPECT_EQ(policy->tdx->xfam->mask, attest::kAllBits);
  EXPECT_EQ(policy->tdx->xfam->value, (attest::BitField{0xE7, 0x02, 0x06}));
  const attest::SnpReference& vm = policy->sev_snp->guests[0];
  EXPECT_EQ(vm.measurement->front(), 0x66);
  EXPECT_EQ(vm.kernel_hashes, attest::KernelHashes::kMeasured);
  EXPECT_EQ(vm.vmpl, 1U);
  EXPECT_EQ(vm.host_data->front(), 0x77);
  EXPECT_EQ(vm.id_key_digest->front(), 0x88);
  EXPECT_EQ(policy->sev_snp->minimum_tcb.at(Product::kMilan).microcode, 115);
  EXPECT_EQ(policy->sev_snp->minimum_tcb.at(Product::kTurin).fmc, 1);
  EXPECT_FALSE(policy->sev_snp->minimum_tcb.contains(Product::kGenoa));
  EXPECT_EQ(policy->sev_snp->minimum_launch_tcb.at(Product::kMilan).microcode, 114);
  EXPECT_EQ(policy->sev_snp->minimum_committed_tcb.at(Product::kTurin).microcode, 68);
  EXPECT_EQ(policy->sev_snp->csp_id, "CN=cloud.example");
  EXPECT_EQ(policy->sev_snp->missing_revocation_list, attest::sev_snp::MissingList::kAccepted);
  EXPECT_THAT(policy->intel_collateral, ElementsAre(Path("/etc/shoji/cache/intel"), Path("/etc/more.json")));
  EXPECT_THAT(policy->intel_collateral[1].named_by,
              AllOf(StartsWith("/etc/shoji/appraisal.yaml:"), HasSubstr("key 'collateral.intel[1]'")));
  EXPECT_THAT(policy->amd_collateral, ElementsAre(Path("/etc/shoji/cache/amd")));
  EXPECT_EQ(policy->services.intel_url, "https://api.trustedservices.intel.com");
  EXPECT_EQ(policy->services.intel_root_crl_url, "https://intel.example/root.der");
  EXPECT_EQ(policy->services.amd_url, "http://127.0.0.1:8081/amd");
  EXPECT_EQ(policy->services.cache_directory, "/etc/shoji/cache");
  EXPECT_EQ(policy->services.cache_max_files, 50U);
  EXPECT_EQ(policy->services.cache_max_bytes, 9U << 20);
  EXPECT_EQ(policy->services.ca_file, "/etc/shoji/pccs.pem");
  EXPECT_EQ(policy->services.timeout, std::chrono::seconds(3));
  EXPECT_EQ(policy->models[0].plan_digests.size(), 2U);
  EXPECT_EQ(policy->models[0].nothing_opened_before, "block3_conv1");
  EXPECT_EQ(policy->models[0].verification, attest::Verification::kRequired);
}

TEST(AppraisalFileTest, RefusesAPolicyThatAcceptsNoKind) {
  ExpectRefused("models: [{name: m}]", "", "accepts no kind of evidence");
}

TEST(AppraisalFileTest, RefusesWhatIsNotPinnedUnlessThatIsAccepted) {
  const std::string sgx = "sgx:\n  enclaves: [{name: one, mrsigner: " + Hex(32, 'a') + "}]\n";
  ExpectRefused(sgx, ":1: key 'sgx'", "pins neither MRENCLAVE nor MRSIGNER with ISVPRODID");
  EXPECT_TRUE(ParseAppraisalPolicy(sgx + "  unpinned: accepted\n", "p").ok());
  const std::string tdx = "tdx:\n  guests: [{name: vm, mrtd: " + Hex(48, 'a') + ", rtmr1: " + Hex(48, 'b') + "}]\n";
  ExpectRefused(tdx, ":1: key 'tdx'", "does not pin all of MRTD");
  EXPECT_TRUE(ParseAppraisalPolicy(tdx + "  unpinned: accepted\n", "p").ok());
  const std::string minimum = "  minimum_tcb: {Milan: {bootloader: 0, tee: 0, snp: 0, microcode: 0}}\n";
  const std::string guest = "sev-snp:\n  guests: [{name: vm, measurement: " + Hex(48, 'a');
  ExpectRefused(guest + ", vmpl: 0}]\n" + minimum, ":1: key 'sev-snp'", "made with kernel hashes");
  ExpectRefused(guest + ", kernel_hashes: true}]\n" + minimum, ":1: key 'sev-snp'", "VMPL");
  ExpectRefused("sev-snp:\n" + minimum, ":1: key 'sev-snp'", "names no guest");
  EXPECT_TRUE(ParseAppraisalPolicy(guest + "}]\n" + minimum + "  unpinned: accepted\n", "p").ok());
  EXPECT_TRUE(ParseAppraisalPolicy(guest + ", vmpl: 0, kernel_hashes: true}]\n" + minimum, "p").ok());
}

TEST(AppraisalFileTest, RefusesSevSnpWithoutAMinimumTcb) {
  ExpectRefused("sev-snp: {unpinned: accepted}", "", "accepts no line of processors");
}

TEST(AppraisalFileTest, WhatIsNotWrittenIsNoRuleOfAKind) {
  const auto policy = ParseAppraisalPolicy(
      "tdx: {unpinned: accepted}\nsev-snp: {unpinned: accepted, minimum_tcb: {Milan: {bootloader: 0, tee: 0, snp: 0, "
      "microcode: 0}}}\n",
      "p.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_FALSE(policy->tdx->attributes.has_value() || policy->tdx->xfam.has_value());
  EXPECT_TRUE(policy->sev_snp->minimum_launch_tcb.empty() && policy->sev_snp->minimum_committed_tcb.empty());
  EXPECT_FALSE(policy->sev_snp->csp_id.has_value());
}

TEST(AppraisalFileTest, RefusesRulesThatAreNoneWithTheirLine) {
  ExpectRefused("tdx: {unpinned: accepted, attributes: 10}", ":1: key 'tdx.attributes'",
                "expected 16 hexadecimal digits, found 2");
  ExpectRefused("tdx: {unpinned: accepted, xfam: {value: e702060000000000}}", ":1", "mask");
  ExpectRefused("tdx: {unpinned: accepted, xfam: {mask: 0000000000000001, value: 0000000000000003}}", ":1: key 'tdx'",
                "bits that are not in its mask");
  const std::string snp =
      "sev-snp:\n  unpinned: accepted\n  minimum_tcb: {Milan: {bootloader: 0, tee: 0, snp: 0, microcode: 0}}\n";
  ExpectRefused(snp + "  minimum_launch_tcb: {}\n", ":4: key 'sev-snp.minimum_launch_tcb'",
                "name a line of processors");
  ExpectRefused(snp + "  minimum_committed_tcb: {Milan: {bootloader: 256, tee: 0, snp: 0, microcode: 0}}\n",
                ":4: key 'sev-snp.minimum_committed_tcb.Milan.bootloader'", "0 to 255");
  ExpectRefused(snp + "  minimum_launch_tcb: {Genoa: {bootloader: 0, tee: 0, snp: 0, microcode: 0}}\n",
                ":1: key 'sev-snp'", "no minimum launch TCB for Milan");
  ExpectRefused(snp + "  csp_id: []\n", ":4: key 'sev-snp.csp_id'", "");
}

TEST(AppraisalFileTest, DebugCanOnlyBeDenied) {
  ExpectRefused("sgx: {unpinned: accepted, debug: allow}", ":1: key 'sgx.debug'", "deny");
}

TEST(AppraisalFileTest, ARevokedPlatformCannotBeAccepted) {
  ExpectRefused("sgx: {unpinned: accepted, tcb: {accept: [Revoked]}}", ":1: key 'sgx.tcb.accept[0]'", "UpToDate");
  ExpectRefused("sgx: {unpinned: accepted, tcb: {accept: []}}", ":1: key 'sgx'", "no TCB status is accepted");
}

TEST(AppraisalFileTest, RefusesMeasurementsOfAnotherLength) {
  ExpectRefused("sgx: {enclaves: [{name: one, mrenclave: abcd}]}", ":1: key 'sgx.enclaves[0].mrenclave'",
                "expected 64 hexadecimal digits, found 4");
  ExpectRefused("sgx: {enclaves: [{name: one, mrenclave: " + Hex(32, 'x') + "}]}",
                ":1: key 'sgx.enclaves[0].mrenclave'", "not hexadecimal");
}

TEST(AppraisalFileTest, NamesNearWordsForMistypedKeys) {
  ExpectRefused("sgx: {unpinned: accepted, tbc: {}}", ":1", "tcb");
  ExpectRefused("sev-snp: {unpinned: accepted, minimum_tcb: {Roma: {}}}", ":1", "Roma");
  ExpectRefused("sev-snp: {unpinned: accepted, minimum_tcb: {Milan: {fmc: 1}}}", ":1", "fmc");
}

TEST(AppraisalFileTest, RefusesModelsListedTwiceAndEmptyLists) {
  ExpectRefused("sgx: {unpinned: accepted}\nmodels: [{name: m}, {name: m}]", ":2", "listed twice");
  ExpectRefused("sgx: {unpinned: accepted}\nmodels: []", ":2", "leave the key out");
  ExpectRefused("sgx: {unpinned: accepted}\nmodels: [{name: m, plan_digests: []}]", ":2", "leave the key out");
}

TEST(AppraisalFileTest, TheExampleIsAPolicyThatPinsAllItShould) {
  const std::string root = std::string(SHOJI_SOURCE_DIR) + "/config/";
  const absl::StatusOr<AppraisalPolicy> policy = LoadAppraisalPolicy(root + "appraisal.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  ASSERT_TRUE(policy->sgx.has_value() && policy->tdx.has_value() && policy->sev_snp.has_value());
  EXPECT_EQ(policy->sgx->unpinned, Unpinned::kRefused);
  EXPECT_EQ(policy->tdx->unpinned, Unpinned::kRefused);
  EXPECT_EQ(policy->sev_snp->unpinned, Unpinned::kRefused);
  EXPECT_TRUE(policy->intel_collateral.empty() && policy->amd_collateral.empty())
      << "it names no file that is not there";
  EXPECT_EQ(policy->models.size(), 1U);
}

TEST(AppraisalFileTest, AnAddressThatIsNoServicesOrHasNoFolderIsRefusedWithItsLine) {
  const std::string sgx = "sgx: {unpinned: accepted}\n";
  ExpectRefused(sgx + "collateral:\n  cache_directory: c\n  intel_url: http://pccs.example/\n",
                ":4: key 'collateral.intel_url'", "is not encrypted");
  ExpectRefused(sgx + "collateral: {intel_url: \"https://pccs.example/\"}\n", ":2: key 'collateral'",
                "cache_directory");
  ExpectRefused(sgx + "collateral: {cache_directory: c, timeout: 0s}\n", ":2: key 'collateral.timeout'", "");
  ExpectRefused(sgx + "collateral: {cache_directory: c, cache_files: 15}\n", ":2: key 'collateral.cache_files'", "16");
  ExpectRefused(sgx + "collateral: {cache_directory: c, cache_size: 1MiB}\n", ":2: key 'collateral.cache_size'", "");
  ExpectRefused(sgx + "collateral: {ca_file: ca.pem}\n", ":2: key 'collateral'", "collateral.ca_file goes with");
}

TEST(AppraisalFileTest, NoAddressIsConfiguredWhereNoneIsWritten) {
  const auto policy = ParseAppraisalPolicy("sgx: {unpinned: accepted}\ncollateral: {intel: [a]}\n", "p.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_FALSE(policy->services.has_address());
}

TEST(AppraisalFileTest, AFileThatIsNotThereIsNamed) {
  const auto policy = LoadAppraisalPolicy("/nowhere/appraisal.yaml");
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(policy.status().message()), HasSubstr("/nowhere/appraisal.yaml"));
}

}  // namespace
}  // namespace shoji::appraisal_file
