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
constexpr std::pair<std::string_view, ExitCode> kSteps[] = {
    // Of the manifest and of the client's own choices.
    {"manifest", kExitRefused},
    {"evidence kind", kExitRefused},
    {"signer", kExitRefused},
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
    {"kind", kExitNotAllowed},
    {"debug", kExitNotAllowed},
    {"migration", kExitNotAllowed},
    {"measurement", kExitNotAllowed},
    {"tcb level", kExitNotAllowed},
    {"tcb status", kExitNotAllowed},
    {"qe tcb level", kExitNotAllowed},
    {"qe tcb status", kExitNotAllowed},
    {"tdx module", kExitNotAllowed},
    {"tdx module status", kExitNotAllowed},
    {"minimum tcb", kExitNotAllowed},
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
    {"expiry", kExitNotBound},
    {"binding", kExitUnbound},
};

const Description& Describe(ExitCode code) {
  static_assert(kDescriptions.back().code == kDescriptions.size() - 1, "by code, without gaps");
  return kDescriptions[static_cast<size_t>(code)];
}

}  // namespace

std::string_view NameOf(ExitCode code) { return Describe(code).name; }
std::string_view MeaningOf(ExitCode code) { return Describe(code).meaning; }

ExitCode ExitCodeOfStep(std::string_view step) {
  step = step.substr(0, step.find(" of "));
  const auto* const found = std::find_if(std::begin(kSteps), std::end(kSteps),
                                         [step](const auto& candidate) { return candidate.first == step; });
  return found == std::end(kSteps) ? kExitRefused : found->second;
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
  return step.remedy.empty() ? std::string(Describe(ExitCodeOfStep(step.name)).remedy) : step.remedy;
}

std::string ExitCodesHelp() {
  std::string out = "Exit codes, by the first step that failed:\n";
  for (const Description& description : kDescriptions) {
    out += "  " + std::to_string(description.code) + "  " + std::string(description.meaning) + "\n";
  }
  return out;
}

}  // namespace shoji::client
