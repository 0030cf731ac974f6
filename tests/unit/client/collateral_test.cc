// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "client/collateral/fetching_verifier.h"
#include "client/commands/commands.h"
#include "client/commands/verdict.h"
#include "client/evidence_file.h"
#include "lib/appraisal_file/appraisal_file.h"
#include "lib/attest/sev_snp/authorities.h"
#include "tests/support/process.h"
#include "tests/unit/client/collateral_service.h"
#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::client {
namespace {

using attest::AttestationResult;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::GenuineEvidence;
using ::testing::HasSubstr;
using testing::HttpAnswer;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::SgxTargets;
using testing::SignedAnswer;
using ::testing::StartsWith;
using testing::TdxTargets;

const SystemTime kThen = *ParseTime(testing::kGenuineTime);
// Of the recorded collateral all but the root's revocation list has expired.
const SystemTime kLater = *ParseTime("2025-09-01T00:00:00Z");

std::vector<std::string> Failed(const AttestationResult& result) {
  std::vector<std::string> out;
  for (const attest::AppraisalStep& step : result.steps) {
    if (!step.passed) {
      out.push_back(step.name);
    }
  }
  return out;
}

const attest::AppraisalStep& FirstFailedOf(const AttestationResult& result) {
  const attest::AppraisalStep* const failed = FirstFailed(result);
  SHOJI_CHECK(failed != nullptr);
  return *failed;
}

class CollateralTest : public ::testing::Test {
 protected:
  // The policy of `genuine` with other collateral: `more`, and the cache.
  std::string PolicyText(const GenuineEvidence& genuine, const std::string& more) const {
    return genuine.policy.substr(0, genuine.policy.find("collateral:")) + "collateral: {cache_directory: \"" +
           dir_.File("cache") + "\"" + more + "}\n";
  }
  std::string Services(const std::string& timeout = "30s") const {
    return ", intel_url: \"" + server_.url() + "/\", amd_url: \"" + server_.url() + "\", timeout: " + timeout;
  }
  static AttestationResult AppraiseBy(const std::string& policy_text, const attest::Evidence& evidence, SystemTime now,
                                      Network network = Network::kAsConfigured) {
    const auto policy = appraisal_file::ParseAppraisalPolicy(policy_text, "/policy.yaml");
    SHOJI_CHECK(policy.ok());
    const auto verifier = FetchingVerifier::Load(*policy, network);
    SHOJI_CHECK(verifier.ok());
    return (*verifier)->Appraise(evidence, {}, now);
  }
  AttestationResult Appraise(const GenuineEvidence& genuine, SystemTime now = kThen) const {
    return AppraiseBy(PolicyText(genuine, Services()), genuine.Read(), now);
  }

  const testing::TempDir dir_;
  testing::HttpServer server_;
};

// Bound to none of our nonces, which is all that is wrong.
const auto kGenuine = ElementsAre("report data");

class IntelCollateralTest : public CollateralTest {
 protected:
  IntelCollateralTest() {
    ServeIntel(server_, SgxTargets(), testing::SgxCollateral());
    ServeIntel(server_, TdxTargets(), testing::TdxCollateral());
  }
};

TEST_F(IntelCollateralTest, FetchesWhatIsMissingOnceAndKeepsIt) {
  for (const auto& [genuine, targets] :
       {std::pair(testing::GenuineSgx(), SgxTargets()), std::pair(testing::GenuineTdx(), TdxTargets())}) {
    EXPECT_THAT(Failed(Appraise(genuine)), kGenuine);
    EXPECT_THAT(server_.targets(), ElementsAreArray(targets.all()));
    server_.ForgetRequests();
    EXPECT_THAT(Failed(Appraise(genuine)), kGenuine);
    EXPECT_THAT(server_.targets(), IsEmpty());
  }
}

TEST_F(IntelCollateralTest, SaysNothingButWhichPlatform) {
  Appraise(testing::GenuineSgx());
  const std::vector<std::string> requests = server_.requests();
  ASSERT_FALSE(requests.empty());
  EXPECT_EQ(requests.front(), "GET /sgx/certification/v4/tcb?fmspc=00a067110000 HTTP/1.1\r\nHost: " +
                                  server_.url().substr(7) + "\r\nUser-Agent: shoji\r\nAccept: */*\r\n\r\n");
}

TEST_F(IntelCollateralTest, FilesComeFirstAndWhatTheyHoldIsNotFetched) {
  const GenuineEvidence genuine = testing::GenuineTdx();
  const std::string files =
      ", intel: [\"" + testing::GenuinePath("dcapqvl_tdx_quote.collateral.json") + "\"]" + Services();
  EXPECT_THAT(Failed(AppraiseBy(PolicyText(genuine, files), genuine.Read(), kThen)), kGenuine);
  EXPECT_THAT(server_.targets(), IsEmpty());
  // Once they have expired, they do.
  AppraiseBy(PolicyText(genuine, files), genuine.Read(), kLater);
  EXPECT_THAT(server_.targets(), ElementsAreArray(TdxTargets().all()));
}

TEST_F(IntelCollateralTest, FetchesOnlyWhatIsStaleAndOnceAnAppraisal) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  Appraise(genuine);
  server_.ForgetRequests();
  // The service has nothing newer.
  EXPECT_EQ(FirstFailedOf(Appraise(genuine, kLater)).name, "pck revocation list");
  EXPECT_THAT(server_.targets(), ElementsAre(SgxTargets().tcb_info, SgxTargets().qe_identity, SgxTargets().pck_crl));
}

TEST_F(IntelCollateralTest, EvidenceThatIsRefusedForAnythingElseCausesNoRequest) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  GenuineEvidence another = genuine;
  another.policy = genuine.PolicyForAnother();
  EXPECT_EQ(FirstFailedOf(Appraise(another)).name, "measurement");
  attest::Evidence forged = genuine.Read();
  forged.data[0x60] ^= 1;
  AppraiseBy(PolicyText(genuine, Services()), forged, kThen);
  AppraiseBy(PolicyText(genuine, Services()), {attest::EvidenceKind::kSgx, {1, 2, 3}}, kThen);
  AppraiseBy(PolicyText(genuine, Services()), testing::GenuineTdx().Read(), kThen);
  EXPECT_THAT(server_.targets(), IsEmpty());
}

TEST_F(IntelCollateralTest, NoAddressOrNoNetworkMeansNoRequestAndTheCacheIsReadAllTheSame) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  const auto appraise_offline = [&] {
    return std::vector{Failed(AppraiseBy(PolicyText(genuine, ""), genuine.Read(), kThen)),
                       Failed(AppraiseBy(PolicyText(genuine, Services()), genuine.Read(), kThen, Network::kNone))};
  };
  for (const auto& failed : appraise_offline()) {
    EXPECT_EQ(failed.front(), "collateral");
  }
  EXPECT_THAT(server_.targets(), IsEmpty());
  Appraise(genuine);
  for (const auto& failed : appraise_offline()) {
    EXPECT_THAT(failed, kGenuine);
  }
}

TEST_F(IntelCollateralTest, WrongCollateralIsRefusedAtItsStepWhoeverServedItAndHealsWhenTheServiceDoes) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  const attest::intel::Collateral sgx = testing::SgxCollateral();
  const attest::intel::Collateral tdx = testing::TdxCollateral();
  attest::intel::SignedText altered = sgx.tcb_info;
  altered.text[altered.text.size() - 40] ^= 1;
  const std::tuple<std::string, HttpAnswer, std::string> cases[] = {
      {SgxTargets().tcb_info, SignedAnswer("tcbInfo", "TCB-Info-Issuer-Chain", tdx.tcb_info), "tcb info platform"},
      {SgxTargets().tcb_info, SignedAnswer("tcbInfo", "TCB-Info-Issuer-Chain", altered), "tcb info signature"},
      {SgxTargets().qe_identity, SignedAnswer("enclaveIdentity", "SGX-Enclave-Identity-Issuer-Chain", tdx.qe_identity),
       "qe identity"},
      {SgxTargets().root_crl, {.body = sgx.pck_crl}, "root revocation list"},
      {SgxTargets().pck_crl, {.body = tdx.pck_crl}, "pck revocation list"},
  };
  for (const auto& [target, answer, step] : cases) {
    server_.Serve(target, answer);
    EXPECT_THAT(Failed(Appraise(genuine)), ::testing::Contains(step)) << target;
    ServeIntel(server_, SgxTargets(), sgx);
    EXPECT_THAT(Failed(Appraise(genuine)), kGenuine) << "after " << step;
    std::filesystem::remove_all(dir_.File("cache"));
  }
}

TEST_F(IntelCollateralTest, ACacheThatCannotBeReadIsFetchedAnew) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  std::filesystem::create_directories(dir_.File("cache/intel"));
  const std::string file = dir_.File("cache/intel/sgx-00a067110000-processor.json");
  ASSERT_TRUE(WriteFileAtomically(file, AsBytes("{\"tcb_info\":")).ok());
  EXPECT_THAT(Failed(Appraise(genuine)), kGenuine);
  EXPECT_EQ(server_.targets().size(), 4U);
}

TEST_F(IntelCollateralTest, ACacheThatCannotBeWrittenIsNamed) {
  ASSERT_TRUE(WriteFileAtomically(dir_.File("cache"), AsBytes("a file")).ok());
  EXPECT_THAT(
      FirstFailedOf(Appraise(testing::GenuineSgx())).detail,
      AllOf(HasSubstr("cannot be kept in " + dir_.File("cache/intel")), HasSubstr("collateral.cache_directory")));
}

TEST_F(IntelCollateralTest, EveryFailureToFetchNamesAddressAndReasonAtTheStepThatWantsIt) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  const std::string target = SgxTargets().tcb_info;
  const HttpAnswer good = SignedAnswer("tcbInfo", "TCB-Info-Issuer-Chain", testing::SgxCollateral().tcb_info);
  HttpAnswer too_long = good;
  too_long.body.resize((size_t{1} << 20) + 1, ' ');
  const std::pair<HttpAnswer, std::string> cases[] = {
      {{.status = 404}, "HTTP status 404: the service does not know this platform"},
      {{.status = 429}, "HTTP status 429: too many requests"},
      {{.status = 503}, "HTTP status 503: the service has a problem of its own"},
      {{.status = 401}, "HTTP status 401: check the address"},
      {too_long, "more than 1048576 bytes"},
      {{.body = ToBytes("<html>")}, "what is no collateral"},
      {{.body = good.body}, "there is no header tcb-info-issuer-chain"},
      {{.body = good.body, .header = "TCB-Info-Issuer-Chain: %00\r\n"}, "what is no collateral"},
  };
  for (const auto& [answer, reason] : cases) {
    server_.Serve(target, answer);
    const AttestationResult result = Appraise(genuine);
    EXPECT_EQ(FirstFailedOf(result).name, "collateral");
    EXPECT_THAT(FirstFailedOf(result).detail, AllOf(HasSubstr(server_.url() + target), HasSubstr(reason)));
    EXPECT_THAT(FirstFailedOf(result).remedy, HasSubstr("give the collateral as a file"));
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.File("cache/intel")));
}

TEST_F(IntelCollateralTest, AServiceThatDoesNotAnswerIsGivenUpInTime) {
  server_.Serve(SgxTargets().tcb_info, {.is_silent = true});
  const GenuineEvidence genuine = testing::GenuineSgx();
  const AttestationResult result = AppraiseBy(PolicyText(genuine, Services("50ms")), genuine.Read(), kThen);
  EXPECT_THAT(FirstFailedOf(result).detail, HasSubstr("no whole answer within 50 ms"));
}

TEST_F(IntelCollateralTest, AnUnencryptedServiceIsNotFollowedElsewhere) {
  server_.Serve(SgxTargets().tcb_info, {.header = "Location: " + server_.url() + "/elsewhere\r\n", .status = 302});
  EXPECT_THAT(FirstFailedOf(Appraise(testing::GenuineSgx())).detail, HasSubstr("a redirect that is not followed"));
  EXPECT_THAT(server_.targets(), ElementsAre(SgxTargets().tcb_info));
}

TEST_F(IntelCollateralTest, WhoCannotBeReachedOrSpeaksNoTlsIsNamed) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  const std::string tls = "https" + server_.url().substr(4);
  for (const std::string& url : {tls, std::string("http://127.0.0.1:1")}) {
    const AttestationResult result =
        AppraiseBy(PolicyText(genuine, ", intel_url: \"" + url + "\""), genuine.Read(), kThen);
    EXPECT_THAT(FirstFailedOf(result).detail, AllOf(HasSubstr(url), HasSubstr("cannot be reached")));
  }
}

TEST_F(IntelCollateralTest, AServiceUnderAnAuthorityOfItsOwnIsTakenWhereThePolicyNamesItAndNoOther) {
  rpc::MakeCertificate(dir_.path(), "ca", "");
  rpc::MakeCertificate(dir_.path(), "other_ca", "");
  rpc::MakeCertificate(dir_.path(), "service", "ca");
  testing::HttpServer service(dir_.File("service"));
  ServeIntel(service, SgxTargets(), testing::SgxCollateral());
  const GenuineEvidence genuine = testing::GenuineSgx();
  const auto appraise = [&](const std::string& more) {
    return AppraiseBy(PolicyText(genuine, ", timeout: 30s, intel_url: \"" + service.url() + "\"" + more),
                      genuine.Read(), kThen);
  };
  const auto unknown = appraise("");
  EXPECT_THAT(FirstFailedOf(unknown).detail, AllOf(HasSubstr(service.url()), HasSubstr("collateral.ca_file can name")));
  const auto other = appraise(", ca_file: \"" + dir_.File("other_ca.pem") + "\"");
  EXPECT_THAT(FirstFailedOf(other).detail, HasSubstr("none of the authorities in " + dir_.File("other_ca.pem")));
  EXPECT_THAT(service.targets(), IsEmpty());
  EXPECT_THAT(Failed(appraise(", ca_file: \"" + dir_.File("ca.pem") + "\"")), kGenuine);
  EXPECT_THAT(service.targets(), ElementsAreArray(SgxTargets().all()));
}

TEST_F(IntelCollateralTest, AFileOfAuthoritiesThatHoldsNoneIsNamedWhenThePolicyIsRead) {
  const auto load = [this](const std::string& file) {
    const auto policy = appraisal_file::ParseAppraisalPolicy(
        PolicyText(testing::GenuineSgx(), Services() + ", ca_file: \"" + dir_.File(file) + "\""), "/policy.yaml");
    SHOJI_CHECK(policy.ok());
    return FetchingVerifier::Load(*policy, Network::kAsConfigured).status();
  };
  EXPECT_THAT(
      std::string(load("nowhere.pem").message()),
      AllOf(StartsWith("/policy.yaml:"), HasSubstr("key 'collateral.ca_file': "), HasSubstr(dir_.File("nowhere.pem"))));
  for (const char* text : {"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    ASSERT_TRUE(WriteFileAtomically(dir_.File("bad.pem"), AsBytes(text)).ok());
    EXPECT_THAT(std::string(load("bad.pem").message()),
                AllOf(StartsWith("/policy.yaml:"), HasSubstr("collateral.ca_file " + dir_.File("bad.pem")),
                      HasSubstr("no certificates in PEM")));
  }
}

TEST_F(IntelCollateralTest, TheExampleOfAPolicyCanBeUsedWhereverItIsCopiedTo) {
  const std::string copy = dir_.File("appraisal.yaml");
  std::filesystem::copy_file(SHOJI_SOURCE_DIR "/config/appraisal.yaml", copy);
  const auto policy = appraisal_file::LoadAppraisalPolicy(copy);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_TRUE(FetchingVerifier::Load(*policy, Network::kAsConfigured).ok());
}

TEST_F(IntelCollateralTest, AFolderOfCollateralThatIsNotThereIsNamedWithTheLineThatListsIt) {
  const auto policy = appraisal_file::ParseAppraisalPolicy("sgx: {unpinned: accepted}\ncollateral:\n  intel: [none]\n",
                                                           dir_.File("policy.yaml"));
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_THAT(std::string(FetchingVerifier::Load(*policy, Network::kAsConfigured).status().message()),
              StartsWith(dir_.File("policy.yaml") + ":3: key 'collateral.intel[0]': "));
}

TEST_F(IntelCollateralTest, TheCacheStaysWithinItsBounds) {
  std::filesystem::create_directories(dir_.File("cache/intel"));
  for (int i = 10; i < 30; ++i) {
    const std::string name = "cache/intel/tdx-0000000000" + std::to_string(i) + "-platform.json";
    ASSERT_TRUE(WriteFileAtomically(dir_.File(name), AsBytes("{}")).ok());
    std::filesystem::last_write_time(dir_.File(name),
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(i));
  }
  const GenuineEvidence genuine = testing::GenuineSgx();
  EXPECT_THAT(Failed(AppraiseBy(PolicyText(genuine, Services() + ", cache_files: 16"), genuine.Read(), kThen)),
              kGenuine);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.File("cache/intel")), {}), 16);
  EXPECT_TRUE(std::filesystem::exists(dir_.File("cache/intel/sgx-00a067110000-processor.json")));
  EXPECT_TRUE(std::filesystem::exists(dir_.File("cache/intel/tdx-000000000024-platform.json")));
  EXPECT_FALSE(std::filesystem::exists(dir_.File("cache/intel/tdx-000000000025-platform.json")));
}

TEST_F(IntelCollateralTest, TheRootsListComesFromWhereThePolicySays) {
  const GenuineEvidence genuine = testing::GenuineSgx();
  server_.Serve("/root.der", {.body = testing::SgxCollateral().root_ca_crl});
  const std::string more = Services() + ", intel_root_crl_url: \"" + server_.url() + "/root.der\"";
  EXPECT_THAT(Failed(AppraiseBy(PolicyText(genuine, more), genuine.Read(), kThen)), kGenuine);
  EXPECT_THAT(server_.targets(),
              AllOf(::testing::Contains("/root.der"), Not(::testing::Contains(SgxTargets().root_crl))));
}

const std::string kAnyTcb = "{bootloader: 0, tee: 0, snp: 0, microcode: 0}";

class AmdCollateralTest : public CollateralTest {
 protected:
  AmdCollateralTest() {
    server_.Serve(testing::kMilanVcekTarget, {.body = testing::ReadVector("virtee_vcek_milan.der")});
  }
};

TEST_F(AmdCollateralTest, FetchesTheKeyOfThisChipAndFirmwareOnce) {
  EXPECT_THAT(Failed(Appraise(testing::GenuineSnp())), kGenuine);
  EXPECT_THAT(server_.targets(), ElementsAre(testing::kMilanVcekTarget));
  EXPECT_THAT(Failed(Appraise(testing::GenuineSnp())), kGenuine);
  EXPECT_EQ(server_.targets().size(), 1U);
}

TEST_F(AmdCollateralTest, AReportThatStatesItsLineIsAskedForThereAlone) {
  const std::string target =
      "/vcek/v1/Genoa/"
      "0506ffba875e939c2729d20c74eb72b4c5ba6bf7ea1faaa640141f12c6d64782fb487f68ce69dcd021e914cc0d9244327bc1"
      "21f0242d6470903ad1d4aaea4ad1?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84";
  server_.Serve(target, {.body = testing::ReadVector("trustee_az_vcek-genoa.pem")});
  GenuineEvidence genoa = testing::GenuineSnp();
  genoa.file = testing::GenuinePath("trustee_az_genoa_report.bin");
  genoa.policy = "sev-snp: {unpinned: accepted, revocation_list: optional, minimum_tcb: {Milan: " + kAnyTcb +
                 ", Genoa: " + kAnyTcb + "}}\n";
  genoa.policy += "collateral: {}\n";
  EXPECT_THAT(Failed(Appraise(genoa)), kGenuine);
  EXPECT_THAT(server_.targets(), ElementsAre(target));
  // A line that the policy does not accept is not asked for at all.
  server_.ForgetRequests();
  std::filesystem::remove_all(dir_.File("cache"));
  genoa.policy = absl::StrReplaceAll(genoa.policy, {{", Genoa: " + kAnyTcb, ""}});
  EXPECT_EQ(FirstFailedOf(Appraise(genoa)).name, "endorsement key");
  EXPECT_THAT(server_.targets(), IsEmpty());
}

TEST_F(AmdCollateralTest, AReportThatDoesNotStateItsLineIsAskedForWithEveryLineAccepted) {
  std::string genoa = testing::kMilanVcekTarget;
  genoa.replace(genoa.find("Milan"), 5, "Genoa");
  server_.Serve(testing::kMilanVcekTarget, {.status = 404});
  GenuineEvidence genuine = testing::GenuineSnp();
  genuine.policy.replace(genuine.policy.find("    Milan:"), 0,
                         "    Genoa: " + kAnyTcb + "\n    Turin: {fmc: 0, " + kAnyTcb.substr(1) + "\n");
  EXPECT_EQ(FirstFailedOf(Appraise(genuine)).name, "endorsement key");
  EXPECT_THAT(server_.targets(), ElementsAre(testing::kMilanVcekTarget, genoa));
}

TEST_F(AmdCollateralTest, TheRevocationListIsFetchedWhereThePolicyDemandsOne) {
  GenuineEvidence genuine = testing::GenuineSnp();
  genuine.policy.replace(genuine.policy.find("  revocation_list: optional\n"), 28, "");
  const AttestationResult missing = Appraise(genuine);
  EXPECT_EQ(FirstFailedOf(missing).name, "revocation list");
  EXPECT_THAT(FirstFailedOf(missing).detail,
              AllOf(HasSubstr("/vcek/v1/Milan/crl answers HTTP status 404"), HasSubstr("could not be fetched")));
  // Somebody else's list is as good as none.
  server_.Serve("/vcek/v1/Milan/crl", {.body = testing::SgxCollateral().root_ca_crl});
  EXPECT_EQ(FirstFailedOf(Appraise(genuine)).name, "revocation list");
  server_.Serve("/vcek/v1/Milan/crl", {.body = ToBytes("no list")});
  EXPECT_THAT(FirstFailedOf(Appraise(genuine)).detail, HasSubstr("what is no collateral"));
}

TEST_F(AmdCollateralTest, TheKeyOfAnotherChipIsNotUsed) {
  server_.Serve(testing::kMilanVcekTarget, {.body = testing::ReadVector("virtee_vcek_turin.der")});
  EXPECT_EQ(FirstFailedOf(Appraise(testing::GenuineSnp())).name, "endorsement key");
  EXPECT_EQ(server_.targets().size(), 1U);
}

TEST_F(AmdCollateralTest, ADamagedKeyIsRefusedAndHealsWhenTheServiceDoes) {
  Bytes damaged = testing::ReadVector("virtee_vcek_milan.der");
  damaged.back() ^= 1;  // of its signature
  server_.Serve(testing::kMilanVcekTarget, {.body = damaged});
  EXPECT_EQ(FirstFailedOf(Appraise(testing::GenuineSnp())).name, "vek chain");
  server_.Serve(testing::kMilanVcekTarget, {.body = testing::ReadVector("virtee_vcek_milan.der")});
  EXPECT_THAT(Failed(Appraise(testing::GenuineSnp())), kGenuine);
}

TEST_F(AmdCollateralTest, AuthoritiesThatAFileLacksAreFetched) {
  const auto pem_of = [](const attest::x509::Certificate& certificate) {
    return "-----BEGIN CERTIFICATE-----\n" + absl::Base64Escape(ToString(certificate.Der())) +
           "\n-----END CERTIFICATE-----\n";
  };
  std::string milan;
  for (const auto& certificate : attest::sev_snp::AmdIntermediates()) {
    if (certificate.CommonName() == "SEV-Milan") {
      milan += pem_of(certificate);
    } else if (certificate.CommonName() == "SEV-Genoa") {
      ASSERT_TRUE(WriteFileAtomically(dir_.File("genoa.pem"), AsBytes(pem_of(certificate))).ok());
    }
  }
  server_.Serve("/vcek/v1/Milan/cert_chain", {.body = ToBytes(milan)});
  const GenuineEvidence genuine = testing::GenuineSnp();
  const std::string more = ", amd: [\"" + dir_.File("genoa.pem") + "\"]" + Services();
  EXPECT_THAT(Failed(AppraiseBy(PolicyText(genuine, more), genuine.Read(), kThen)), kGenuine);
  EXPECT_THAT(server_.targets(), ElementsAre(testing::kMilanVcekTarget, "/vcek/v1/Milan/cert_chain"));
}

TEST_F(AmdCollateralTest, NobodyIsAskedForAVlek) {
  GenuineEvidence genuine = testing::GenuineSnp();
  genuine.file = testing::GenuinePath("trustee_test-vlek-report.bin");
  const AttestationResult result = Appraise(genuine);
  EXPECT_EQ(FirstFailedOf(result).name, "endorsement key");
  EXPECT_THAT(FirstFailedOf(result).detail, HasSubstr("AMD gives a VLEK only to the cloud provider"));
  EXPECT_THAT(server_.targets(), IsEmpty());
}

TEST_F(AmdCollateralTest, VerifyFetchesForTheTimeThatItIsAndNotForAnotherThatIsGiven) {
  Arguments arguments;
  arguments.quote_file = testing::GenuineSnp().file;
  arguments.quote_kind = "sev-snp";
  arguments.policy_file = dir_.File("policy.yaml");
  ASSERT_TRUE(WriteFileAtomically(arguments.policy_file, AsBytes(PolicyText(testing::GenuineSnp(), Services()))).ok());
  const auto verify = [&arguments] {
    std::ostringstream out;
    std::ostringstream err;
    return RunVerify(arguments, out, err);
  };
  arguments.verification_time = testing::kGenuineTime;
  EXPECT_EQ(verify(), kExitCollateral);
  EXPECT_THAT(server_.targets(), IsEmpty());
  arguments.verification_time = "";
  EXPECT_EQ(verify(), kExitUnbound);
  EXPECT_THAT(server_.targets(), ElementsAre(testing::kMilanVcekTarget));
}

}  // namespace
}  // namespace shoji::client
