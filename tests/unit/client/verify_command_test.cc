// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/commands/commands.h"
#include "client/commands/verdict.h"
#include "client/evidence_file.h"
#include "lib/base/file.h"
#include "tests/support/genuine_evidence.h"
#include "tests/support/process.h"
#include "tests/unit/client/fake_server.h"

namespace shoji::client {
namespace {

using ::testing::AllOf;
using testing::GenuineEvidence;
using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome Verify(const Arguments& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = RunVerify(arguments, out, err);
  return {code, out.str(), err.str()};
}

class VerifyQuoteTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(dir_.File(name), AsBytes(text)).ok());
    return dir_.File(name);
  }
  Arguments ArgumentsFor(const GenuineEvidence& genuine) const {
    Arguments arguments;
    arguments.quote_file = genuine.file;
    arguments.quote_kind = attest::NameOf(genuine.kind);
    arguments.policy_file = Write("policy.yaml", genuine.policy);
    arguments.verification_time = testing::kGenuineTime;
    arguments.explain = true;
    return arguments;
  }

  const testing::TempDir dir_;
};

TEST_F(VerifyQuoteTest, AGenuineQuoteIsGenuineNotBoundAndSaysSoLoudly) {
  for (const GenuineEvidence& genuine : {testing::GenuineSgx(), testing::GenuineTdx(), testing::GenuineSnp()}) {
    const Outcome outcome = Verify(ArgumentsFor(genuine));
    EXPECT_EQ(outcome.code, kExitUnbound) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("GENUINE, BUT NOT BOUND, AND THEREFORE NOT ACCEPTED"),
                      HasSubstr("FAIL  binding: NOT CHECKED"), HasSubstr(genuine.measurement),
                      HasSubstr("time      2025-07-01T00:00:00Z, as given"), Not(HasSubstr("ACCEPTED\n\n"))));
  }
}

TEST_F(VerifyQuoteTest, JsonHoldsEveryStepClaimAndRemedy) {
  const GenuineEvidence genuine = testing::GenuineTdx();
  Arguments arguments = ArgumentsFor(genuine);
  arguments.output = OutputFormat::kJson;
  auto json = nlohmann::json::parse(Verify(arguments).out);
  EXPECT_EQ(json["accepted"], false);
  EXPECT_EQ(json["verdict"], "genuine-not-bound");
  EXPECT_EQ(json["exit_code"], 8);
  EXPECT_EQ(json["failed_step"], "binding");
  EXPECT_EQ(json["source"], "quote");
  EXPECT_EQ(json["verification_time"], testing::kGenuineTime);
  EXPECT_EQ(json["claims"]["mr_td"], genuine.measurement);
  EXPECT_GT(json["steps"].size(), 15U);
  EXPECT_EQ(json["steps"][1]["passed"], true);
  EXPECT_FALSE(json["steps"].back()["remedy"].get<std::string>().empty());
}

TEST_F(VerifyQuoteTest, EveryWayToFailHasItsOwnExitCode) {
  for (const GenuineEvidence& genuine : {testing::GenuineSgx(), testing::GenuineTdx(), testing::GenuineSnp()}) {
    const Arguments good = ArgumentsFor(genuine);
    Arguments arguments = good;
    arguments.policy_file = Write("another.yaml", genuine.PolicyForAnother());
    Outcome outcome = Verify(arguments);
    EXPECT_EQ(outcome.code, kExitNotAllowed);
    EXPECT_THAT(outcome.out, HasSubstr("the first step that failed: measurement"));

    arguments = good;
    arguments.verification_time = "2036-01-01T00:00:00Z";
    EXPECT_EQ(Verify(arguments).code, kExitCollateral);

    arguments = good;
    Bytes quote = genuine.Read().data;
    quote[0x60] ^= 1;
    arguments.quote_file = Write("flipped.bin", ToString(quote));
    outcome = Verify(arguments);
    EXPECT_EQ(outcome.code, kExitNotGenuine);
    EXPECT_THAT(outcome.out, HasSubstr("      to pass: nothing would"));
    quote.resize(100);
    arguments.quote_file = Write("cut.bin", ToString(quote));
    EXPECT_EQ(Verify(arguments).code, kExitNotGenuine);
  }
}

TEST_F(VerifyQuoteTest, AQuoteOfAnotherKindThanStatedIsRefused) {
  Arguments arguments = ArgumentsFor(testing::GenuineSgx());
  arguments.policy_file = Write("tdx.yaml", testing::GenuineTdx().policy);
  EXPECT_EQ(Verify(arguments).code, kExitNotAllowed);  // the policy accepts no SGX
  arguments.quote_kind = "tdx";
  EXPECT_EQ(Verify(arguments).code, kExitNotGenuine);
  for (const std::string wrong : {"simulated", "snp"}) {
    arguments.quote_kind = wrong;
    const Outcome outcome = Verify(arguments);
    EXPECT_EQ(outcome.code, kExitUsage);
    EXPECT_THAT(outcome.err, HasSubstr("--kind is sgx, tdx or sev-snp, not '" + wrong + "'"));
  }
}

TEST_F(VerifyQuoteTest, CollateralThatIsNotThereHasTheCodeOfMissingCollateral) {
  Arguments arguments = ArgumentsFor(testing::GenuineSnp());
  arguments.policy_file =
      Write("p.yaml", absl::StrReplaceAll(testing::GenuineSnp().policy, {{"virtee_vcek_milan", "nowhere"}}));
  const Outcome outcome = Verify(arguments);
  EXPECT_EQ(outcome.code, kExitCollateral);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("p.yaml:"), HasSubstr("key 'collateral.amd[0]'"), HasSubstr("nowhere.der")));
}

TEST_F(VerifyQuoteTest, WrongArgumentsSayWhatIsWrong) {
  const Arguments good = ArgumentsFor(testing::GenuineSnp());
  const auto expect_usage = [](const Arguments& arguments, const std::string& error) {
    const Outcome outcome = Verify(arguments);
    EXPECT_EQ(outcome.code, kExitUsage) << error;
    EXPECT_THAT(outcome.err, HasSubstr(error));
    EXPECT_EQ(outcome.out, "");
  };
  expect_usage({}, "give one of --server, --evidence and --quote");
  Arguments bad = good;
  bad.server = "127.0.0.1:1";
  expect_usage(bad, "give one of --server, --evidence and --quote");
  bad = good;
  bad.quote_kind = "";
  expect_usage(bad, "--quote and --kind go together");
  bad = good;
  bad.policy_file = "";
  expect_usage(bad, "--quote needs --policy FILE");
  bad.policy_file = "/nonexistent/policy.yaml";
  expect_usage(bad, "/nonexistent/policy.yaml");
  bad.policy_file = Write("typo.yaml", "sgxx: {}\n");
  expect_usage(bad, "typo.yaml:1: key 'sgxx': unknown key (did you mean sgx?)");
  bad = good;
  bad.verification_time = "noon";
  expect_usage(bad, "'noon' is not a time as RFC 3339 writes it");
  bad = good;
  bad.save_evidence_file = "x";
  expect_usage(bad, "--save-evidence goes with --server");
  bad = {};
  bad.server = "127.0.0.1:1";
  bad.verification_time = testing::kGenuineTime;
  expect_usage(bad, "--verification-time goes with --evidence and --quote");
}

TEST_F(VerifyQuoteTest, AFileThatIsNotThereIsAnError) {
  Arguments arguments = ArgumentsFor(testing::GenuineSnp());
  arguments.quote_file = "/nonexistent/quote.bin";
  const Outcome outcome = Verify(arguments);
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_THAT(outcome.err, HasSubstr("/nonexistent/quote.bin"));
}

// Evidence of a fake enclave, saved as `--save-evidence` does.
class VerifySavedTest : public VerifyQuoteTest {
 protected:
  VerifySavedTest() {
    saved_.saved_at = server_.clock.SystemNow();
    saved_.nonce.fill(9);
    saved_.reply = server_.MakeEvidence(saved_.nonce);
    // A key in PEM: the fixed prefix of an Ed25519 SubjectPublicKeyInfo (RFC 8410), and the key.
    Bytes der = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    Append(der, server_.signer.public_key());
    arguments_.simulated_key_files = {
        Write("signer.pub",
              "-----BEGIN PUBLIC KEY-----\n" + absl::Base64Escape(ToString(der)) + "\n-----END PUBLIC KEY-----\n")};
    arguments_.allow_simulated = true;
    arguments_.explain = true;
    arguments_.verification_time = TimeText(saved_.saved_at);
  }
  Outcome VerifySaved() {
    arguments_.evidence_file = Write("saved.json", EncodeSavedEvidence(saved_));
    return Verify(arguments_);
  }

  FakeServer server_;
  SavedEvidence saved_;
  Arguments arguments_;
};

TEST_F(VerifySavedTest, IsAcceptedAsOfItsTimeAndSaysThatItIsSaved) {
  const Outcome outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitOk) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("ACCEPTED as of " + arguments_.verification_time),
                                 HasSubstr("It does not show what runs now"), HasSubstr("model pets"),
                                 HasSubstr("pass  expectations of pets"), HasSubstr("measurement           0000")));
}

TEST_F(VerifySavedTest, IsJudgedAsOfNowWhereNoTimeIsGiven) {
  saved_.saved_at = {};
  arguments_.verification_time = "";
  const Outcome outcome = VerifySaved();
  EXPECT_THAT(outcome.out, HasSubstr(", by this machine's clock"));
  EXPECT_THAT(outcome.out, HasSubstr("saved     1970-01-01T00:00:00Z, as the file says"));
}

TEST_F(VerifySavedTest, ATimeBeforeItWasSavedIsPointedOut) {
  constexpr char kWarning[] = "WARNING: this evidence is judged as of a time before it was saved";
  arguments_.verification_time = TimeText(saved_.saved_at - std::chrono::hours(1));
  EXPECT_THAT(VerifySaved().out, HasSubstr(kWarning));
  arguments_.output = OutputFormat::kJson;
  EXPECT_THAT(VerifySaved().out, HasSubstr("\"verification_time_is_before_saving\": true"));
  arguments_.verification_time = TimeText(saved_.saved_at);
  EXPECT_THAT(VerifySaved().out, HasSubstr("\"verification_time_is_before_saving\": false"));
  arguments_.output = OutputFormat::kText;
  EXPECT_THAT(VerifySaved().out, Not(HasSubstr(kWarning)));
}

TEST_F(VerifySavedTest, IsNotFreshOnceItsManifestExpired) {
  arguments_.verification_time = TimeText(saved_.saved_at + std::chrono::hours(48));
  const Outcome outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitNotBound);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("FAIL  expiry"), HasSubstr("      to pass: fetch evidence anew")));
}

TEST_F(VerifySavedTest, IsNotBoundToAnotherNonceOrManifest) {
  saved_.nonce[0] ^= 1;
  EXPECT_EQ(VerifySaved().code, kExitNotBound);
  saved_.nonce[0] ^= 1;
  FakeServer other;
  saved_.reply.manifest = other.MakeEvidence(saved_.nonce).manifest;
  const Outcome outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitNotBound);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL  report data"));
}

TEST_F(VerifySavedTest, IsRefusedWithoutPermissionOrWithAPolicyForOtherModels) {
  arguments_.allow_simulated = false;
  EXPECT_EQ(VerifySaved().code, kExitRefused);
  arguments_.allow_simulated = true;
  arguments_.policy_file = Write("policy.yaml", testing::GenuineSnp().policy + "models: [{name: cars}]\n");
  Outcome outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitNotAllowed);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL  model of pets: found 'pets'; expected a model that the policy lists"));
  arguments_.policy_file = "";
  arguments_.expected_plan_digest = std::string(64, '0');
  outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitNotAllowed);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL  expectations of pets"));
  arguments_.expected_plan_digest = "";
  arguments_.model = "cars";
  outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitNotAllowed);
  EXPECT_THAT(outcome.out, HasSubstr("the enclave serves no model 'cars'"));
}

TEST_F(VerifySavedTest, AManifestWithNoModelAtAllIsRefused) {
  attest::Manifest manifest = *attest::DecodeManifest(saved_.reply.manifest);
  manifest.models.clear();
  saved_.reply.manifest = attest::EncodeManifest(manifest);
  const Outcome outcome = VerifySaved();
  EXPECT_NE(outcome.code, kExitOk);
  EXPECT_THAT(outcome.out, Not(HasSubstr("ACCEPTED as of")));
}

TEST_F(VerifySavedTest, AWrongSignersRemedyIsTheRightKey) {
  const Bytes der = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
  Bytes other = der;
  Append(other, FakeServer().signer.public_key());
  arguments_.simulated_key_files = {
      Write("other.pub",
            "-----BEGIN PUBLIC KEY-----\n" + absl::Base64Escape(ToString(other)) + "\n-----END PUBLIC KEY-----\n")};
  const Outcome outcome = VerifySaved();
  EXPECT_EQ(outcome.code, kExitRefused);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("FAIL  signer"), HasSubstr("      to pass: name the key that signs")));
}

TEST_F(VerifySavedTest, AModelThatIsAwaitedIsJudgedToo) {
  attest::AwaitedModel awaited;
  awaited.name = "secret";
  awaited.plan = {{"from the input", "open", false}};
  FakeModel model = MakeFakeModel();
  model.awaited = {awaited};
  server_.Restart(model);
  saved_.reply = server_.MakeEvidence(saved_.nonce);
  arguments_.policy_file = Write("policy.yaml", testing::GenuineSnp().policy + "models: [{name: pets}]\n");
  const Outcome unlisted = VerifySaved();
  EXPECT_EQ(unlisted.code, kExitNotAllowed);
  EXPECT_THAT(unlisted.out, HasSubstr("FAIL  model of secret: found 'secret'"));
  arguments_.policy_file =
      Write("policy.yaml",
            testing::GenuineSnp().policy + "models: [{name: pets}, {name: secret, nothing_opened_before: conv2}]\n");
  EXPECT_THAT(VerifySaved().out, HasSubstr("FAIL  opened segments of secret"));
}

TEST_F(VerifySavedTest, AFileThatIsNoneIsAnErrorThatNamesIt) {
  arguments_.evidence_file = Write("other.json", "{}");
  const Outcome outcome = Verify(arguments_);
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_THAT(outcome.err, HasSubstr("other.json: not evidence that `shoji verify --save-evidence` saved"));
}

TEST(VerdictTest, TheFirstFailedStepDecidesAndOnlyAnAcceptedResultIsZero) {
  attest::AttestationResult result;
  EXPECT_EQ(ExitCodeOf(result), kExitRefused);
  result.steps = {{"manifest", true, ""}};
  EXPECT_EQ(ExitCodeOf(result), kExitOk);
  result.steps.push_back({"measurement", false, ""});
  result.steps.push_back({"report data", false, ""});
  EXPECT_EQ(ExitCodeOf(result), kExitNotAllowed);
  result.steps[1] = {"a step that nobody knows", false, ""};
  EXPECT_EQ(ExitCodeOf(result), kExitRefused);
}

TEST(VerdictTest, EveryStepThatTheDocumentListsHasACodeOfItsOwn) {
  std::ifstream file(std::string(SHOJI_SOURCE_DIR) + "/docs/attestation.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t begin = text.find("| SGX and TDX |");
  const size_t end = text.find("## The policy");
  ASSERT_LT(begin, end);
  std::istringstream lines(text.substr(begin, end - begin));
  int num_steps = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string first = line.substr(0, line.find('|', 1));
    // Names stand between backquotes: every second piece.
    const std::vector<std::string> pieces = absl::StrSplit(first, '`');
    for (size_t i = 1; i < pieces.size(); i += 2) {
      EXPECT_NE(ExitCodeOfStep(pieces[i]), kExitRefused) << pieces[i];
      ++num_steps;
    }
  }
  EXPECT_GT(num_steps, 40);
}

TEST(VerdictTest, HelpNamesEveryCode) {
  for (int code = kExitOk; code <= kExitUnreachable; ++code) {
    EXPECT_THAT(ExitCodesHelp(), HasSubstr("\n  " + std::to_string(code) + "  "));
  }
}

}  // namespace
}  // namespace shoji::client
