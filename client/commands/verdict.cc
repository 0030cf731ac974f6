// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/verdict.h"

#include <algorithm>
#include <array>
#include <utility>

namespace shoji::client {
namespace {

struct Description {
  ExitCode code;
  std::string_view name;
  std::string_view meaning;
  std::string_view remedy;  // of a step that states none
};

constexpr std::string_view kNothing = "nothing would: this is not evidence of genuine hardware as it stands";
constexpr std::string_view kAskAgain = "fetch evidence anew, from the enclave itself, for a nonce of your own";
constexpr std::string_view kPolicy = "if you mean to trust it, change your policy";

constexpr std::array<Description, 10> kDescriptions = {{
    {kExitOk, "accepted", "accepted: every step passed", ""},
    {kExitFailure, "failure", "another error", ""},
    {kExitUsage, "usage", "wrong arguments, or a policy file that is not usable", ""},
    {kExitRefused, "refused", "refused: simulated evidence, no policy, or a server that misdescribes the model",
     kAskAgain},
    {kExitNotGenuine, "not-genuine", "not genuine: malformed, a signature or chain that does not hold, revoked",
     kNothing},
    {kExitNotAllowed, "not-allowed", "genuine, but not what the policy allows: measurement, debug, TCB, model, plan",
     kPolicy},
    {kExitCollateral, "collateral", "collateral or a certificate is missing, expired, or not the platform's",
     "fetch current collateral for this platform"},
    {kExitNotBound, "not-bound", "not fresh, or not bound to this manifest and nonce", kAskAgain},
    {kExitUnbound, "genuine-not-bound", "genuine, but a bare quote, bound to no manifest: never accepted", kAskAgain},
    {kExitUnreachable, "unreachable", "the server, or an enclave behind it, cannot be reached", ""},
}};

// Every step that there is, by what its failure means. A verifier's step that is missing here is refused all the same.
struct Step {
  std::string_view name;
  ExitCode code;
  std::string_view remedy = {};  // empty: that of the code
};
constexpr Step kSteps[] = {
    // Of the manifest and of the client's own choices.
    {"manifest", kExitRefused},
    {"evidence kind", kExitRefused},
    {"signer", kExitRefused,
     "name the key that signs this operator's simulated evidence with --simulated-key; get it from the operator"},
    {"description", kExitRefused},
    // Structure and signatures.
    {"structure", kExitNotGenuine},
    {"evidence", kExitNotGenuine},
    {"signature", kExitNotGenuine},
    {"pck chain", kExitNotGenuine},
    {"pck certificate", kExitNotGenuine},
    {"qe report signature", kExitNotGenuine},
    {"attestation key", kExitNotGenuine},
    {"quote signature", kExitNotGenuine},
    {"qe identity", kExitNotGenuine},
    {"vek chain", kExitNotGenuine},
    {"vek certificate", kExitNotGenuine},
    {"report signature", kExitNotGenuine},
    {"product", kExitNotGenuine},
    {"chip id", kExitNotGenuine},
    {"reported tcb", kExitNotGenuine},
    {"revocation", kExitNotGenuine},
    // The policy.
    {"kind", kExitNotAllowed, "add a section for evidence of this kind to your policy, if you mean to trust it"},
    {"debug", kExitNotAllowed},
    {"migration", kExitNotAllowed},
    {"measurement", kExitNotAllowed},
    {"tcb level", kExitNotAllowed},
    {"tcb status", kExitNotAllowed},
    {"qe tcb level", kExitNotAllowed},
    {"qe tcb status", kExitNotAllowed},
    {"tdx module", kExitNotAllowed},
    {"tdx module status", kExitNotAllowed},
    {"td attributes", kExitNotAllowed},
    {"xfam", kExitNotAllowed},
    {"csp id", kExitNotAllowed},
    {"minimum tcb", kExitNotAllowed},
    {"minimum launch tcb", kExitNotAllowed},
    {"minimum committed tcb", kExitNotAllowed},
    {"model", kExitNotAllowed},
    {"model digest", kExitNotAllowed},
    {"plan digest", kExitNotAllowed},
    {"opened segments", kExitNotAllowed},
    {"verification", kExitNotAllowed},
    {"expectations", kExitNotAllowed},
    // Collateral.
    {"certificate validity", kExitCollateral},
    {"endorsement key", kExitCollateral},
    {"collateral", kExitCollateral},
    {"collateral age", kExitCollateral},
    {"revocation list", kExitCollateral},
    {"root revocation list", kExitCollateral},
    {"pck revocation list", kExitCollateral},
    {"qe identity signature", kExitCollateral},
    {"qe identity validity", kExitCollateral},
    {"tcb info signature", kExitCollateral},
    {"tcb info validity", kExitCollateral},
    {"tcb info platform", kExitCollateral},
    {"tcb evaluation", kExitCollateral},
    // Binding.
    {"report data", kExitNotBound},
    {"expiry", kExitNotBound,
     "fetch evidence anew; saved evidence can be judged as of its own time with --verification-time"},
    {"binding", kExitUnbound},
};

const Description& Describe(ExitCode code) {
  static_assert(kDescriptions.back().code == kDescriptions.size() - 1, "by code, without gaps");
  return kDescriptions[static_cast<size_t>(code)];
}

const Step* FindStep(std::string_view name) {
  name = name.substr(0, name.find(" of "));
  const auto* const found = std::find_if(std::begin(kSteps), std::end(kSteps),
                                         [name](const Step& candidate) { return candidate.name == name; });
  return found == std::end(kSteps) ? nullptr : found;
}

}  // namespace

std::string_view NameOf(ExitCode code) { return Describe(code).name; }
std::string_view MeaningOf(ExitCode code) { return Describe(code).meaning; }

ExitCode ExitCodeOfStep(std::string_view step) {
  const Step* const found = FindStep(step);
  return found == nullptr ? kExitRefused : found->code;
}

const attest::AppraisalStep* FirstFailed(const attest::AttestationResult& result) {
  const auto failed = std::find_if(result.steps.begin(), result.steps.end(),
                                   [](const attest::AppraisalStep& step) { return !step.passed; });
  return failed == result.steps.end() ? nullptr : &*failed;
}

ExitCode ExitCodeOf(const attest::AttestationResult& result) {
  if (result.accepted()) {
    return kExitOk;
  }
  const attest::AppraisalStep* const failed = FirstFailed(result);
  return failed == nullptr ? kExitRefused : ExitCodeOfStep(failed->name);
}

std::string RemedyFor(const attest::AppraisalStep& step) {
  if (!step.remedy.empty()) {
    return step.remedy;
  }
  const Step* const known = FindStep(step.name);
  const bool has_own = known != nullptr && !known->remedy.empty();
  return std::string(has_own ? known->remedy : Describe(ExitCodeOfStep(step.name)).remedy);
}

std::string ExitCodesHelp() {
  std::string out = "Exit codes, by the first step that failed:\n";
  for (const Description& description : kDescriptions) {
    out += "  " + std::to_string(description.code) + "  " + std::string(description.meaning) + "\n";
  }
  return out;
}

}  // namespace shoji::client
