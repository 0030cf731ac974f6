// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/attempts.h"
#include "client/commands/commands.h"
#include "client/commands/verify_report.h"
#include "client/evidence_file.h"
#include "client/printable.h"
#include "client/retry.h"
#include "lib/base/file.h"
#include "lib/base/private_file.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/random.h"

namespace shoji::client {
namespace {

using attest::AppraisalStep;

// The largest quote with all that may come with it is far smaller.
constexpr size_t kMaxQuoteBytes = size_t{1} << 20;

// What the command line says, read.
struct Setup {
  AppraisalPolicy policy;
  Expectations expectations;
  std::chrono::milliseconds timeout = {};
  std::optional<std::chrono::milliseconds> wait;
  std::optional<SystemTime> time;  // unset: now
};

absl::Status CheckUsage(const Arguments& arguments) {
  const bool live = !arguments.server.empty();
  const bool saved = !arguments.evidence_file.empty();
  const bool bare = !arguments.quote_file.empty();
  if (static_cast<int>(live) + static_cast<int>(saved) + static_cast<int>(bare) != 1) {
    return absl::InvalidArgumentError("give one of --server, --evidence and --quote: what to appraise");
  }
  if (bare != !arguments.quote_kind.empty()) {
    return absl::InvalidArgumentError("--quote and --kind go together: --kind says what the file holds");
  }
  const std::optional<attest::EvidenceKind> kind = attest::EvidenceKindOf(arguments.quote_kind);
  if (bare && (!kind.has_value() || *kind == attest::EvidenceKind::kSimulated)) {
    return absl::InvalidArgumentError("--kind is sgx, tdx or sev-snp, not '" + arguments.quote_kind + "'");
  }
  if (bare && arguments.policy_file.empty()) {
    return absl::InvalidArgumentError("--quote needs --policy FILE: what to accept");
  }
  if (live && !arguments.verification_time.empty()) {
    return absl::InvalidArgumentError(
        "--verification-time goes with --evidence and --quote; what a server says is judged by this machine's clock");
  }
  if (!live && !arguments.save_evidence_file.empty()) {
    return absl::InvalidArgumentError("--save-evidence goes with --server");
  }
  return absl::OkStatus();
}

absl::StatusOr<Setup> ReadSetup(const Arguments& arguments) {
  RETURN_IF_ERROR(CheckUsage(arguments));
  Setup out;
  ASSIGN_OR_RETURN(out.policy, MakeAppraisalPolicy(arguments));
  ASSIGN_OR_RETURN(out.expectations, MakeExpectations(arguments));
  ASSIGN_OR_RETURN(out.timeout, ParseDuration(arguments.deadline));
  ASSIGN_OR_RETURN(out.wait, ParseWait(arguments));
  if (!arguments.verification_time.empty()) {
    ASSIGN_OR_RETURN(out.time, ParseTime(arguments.verification_time));
    out.policy.network = Network::kNone;  // services know only what holds now
  }
  return out;
}

// "plan digest of pets": where several models are judged, each step says of which.
std::string StepOf(const std::string& model, const std::string& step) { return step + " of " + model; }

// What the policy says of one model, be it served or awaited.
void AppendPolicySteps(const attest::ModelStatement& model, const Appraiser& appraiser,
                       std::vector<AppraisalStep>& steps) {
  for (AppraisalStep& step : appraiser.AppraiseModel(model)) {
    step.name = StepOf(model.name, step.name);
    steps.push_back(std::move(step));
  }
}

// The steps that a session takes beyond the evidence, for one model.
void AppendModelSteps(const attest::ModelManifest& model, const Appraiser& appraiser, const Expectations& expectations,
                      std::vector<AppraisalStep>& steps) {
  AppendPolicySteps(attest::StatementOf(model), appraiser, steps);
  const absl::Status expected = CheckExpectations(model, expectations);
  const std::string what = model.result_opened ? "the accelerator sees the answer, explicitly allowed"
                                               : "the answer stays between the enclave and this client";
  steps.push_back({StepOf(model.name, "expectations"), expected.ok(),
                   expected.ok() ? what : std::string(expected.message()),
                   expected.ok() ? "" : "if this is what you want, ask for it on the command line"});
}

void AppendDescriptionStep(const attest::ModelManifest& model, const std::vector<ModelDescription>& descriptions,
                           std::vector<AppraisalStep>& steps) {
  const auto found = std::find_if(descriptions.begin(), descriptions.end(),
                                  [&](const ModelDescription& d) { return d.name == model.name; });
  const absl::Status described = found == descriptions.end()
                                     ? absl::NotFoundError("the server does not describe the model")
                                     : CheckDescription(model, *found).status();
  steps.push_back({StepOf(model.name, "description"), described.ok(),
                   described.ok() ? "preprocessing and labels are those that the enclave loaded"
                                  : std::string(described.message())});
}

// Which models the caller asks about, and the steps for them.
void AppraiseModels(const Arguments& arguments, const Appraiser& appraiser, const Expectations& expectations,
                    VerifyReport& report) {
  if (!report.appraisal.manifest.has_value()) {
    return;
  }
  for (const attest::ModelManifest& model : report.appraisal.manifest->models) {
    if (arguments.model.empty() || arguments.model == model.name) {
      report.models.push_back(&model);
    }
  }
  std::vector<AppraisalStep>& steps = report.appraisal.result.steps;
  if (!report.appraisal.result.accepted()) {
    return;
  }
  if (!arguments.model.empty() && report.models.empty()) {
    const auto missing = FindModel(*report.appraisal.manifest, arguments.model);
    steps.push_back({"model", false, std::string(missing.status().message())});
    return;
  }
  for (const attest::ModelManifest* const model : report.models) {
    AppendModelSteps(*model, appraiser, expectations, steps);
  }
  if (arguments.model.empty()) {
    for (const attest::AwaitedModel& model : report.appraisal.manifest->awaited) {
      AppendPolicySteps(attest::StatementOf(model), appraiser, steps);
    }
  }
  if (report.models.empty() && report.appraisal.manifest->awaited.empty()) {
    steps.push_back({"model", false, "the enclave serves no model, and awaits none"});
  }
}

absl::StatusOr<VerifyReport> AppraiseServer(const Arguments& arguments, const Setup& setup, Transport& transport,
                                            const Appraiser& appraiser, const Clock& clock, std::ostream& err) {
  SavedEvidence saved;
  const WaitFunction wait = [](std::chrono::milliseconds time) { absl::SleepFor(absl::FromChrono(time)); };
  const WarnFunction warn = [&err](const std::string& warning) { err << Printable(warning) << "\n"; };
  RETURN_IF_ERROR(Attempts(transport, clock, wait, warn)
                      .Repeat(
                          [&](SteadyTime until) -> absl::Status {
                            saved.nonce = crypto::RandomArray<sizeof(attest::Nonce)>();
                            ASSIGN_OR_RETURN(saved.reply,
                                             FetchEvidence(transport, saved.nonce, arguments.model, until));
                            return absl::OkStatus();
                          },
                          {.deadline = clock.SteadyNow() + std::max(setup.timeout, setup.wait.value_or(setup.timeout)),
                           .each = setup.timeout,
                           .patience = setup.wait.value_or(std::min(kFirstPatience, setup.timeout))}));
  const SteadyTime deadline = clock.SteadyNow() + setup.timeout;
  saved.saved_at = clock.SystemNow();
  if (!arguments.save_evidence_file.empty()) {
    RETURN_IF_ERROR(WritePrivateFileAtomically(arguments.save_evidence_file, AsBytes(EncodeSavedEvidence(saved))));
  }
  VerifyReport report = {.from = arguments.server, .time = saved.saved_at, .appraisal = {}};
  report.appraisal = appraiser.Appraise(saved.reply, saved.nonce, report.time);
  AppraiseModels(arguments, appraiser, setup.expectations, report);
  if (report.appraisal.result.accepted()) {
    ASSIGN_OR_RETURN(const auto descriptions, transport.ListModels(deadline));
    for (const attest::ModelManifest* const model : report.models) {
      AppendDescriptionStep(*model, descriptions, report.appraisal.result.steps);
    }
  }
  return report;
}

// Without the server there are no descriptions to compare: what they were is in the manifest, as digests.
absl::StatusOr<VerifyReport> AppraiseSaved(const Arguments& arguments, const Setup& setup, const Appraiser& appraiser,
                                           const Clock& clock) {
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(arguments.evidence_file, kMaxEvidenceFileBytes));
  const absl::StatusOr<SavedEvidence> saved = ParseSavedEvidence(file);
  if (!saved.ok()) {
    return absl::InvalidArgumentError(arguments.evidence_file + ": " + std::string(saved.status().message()));
  }
  const SystemTime time = setup.time.value_or(clock.SystemNow());
  VerifyReport report = {.source = VerifyReport::Source::kSavedEvidence,
                         .from = arguments.evidence_file,
                         .time = time,
                         .time_was_given = setup.time.has_value(),
                         .saved_at = TimeText(saved->saved_at),
                         // The file's time is of whole seconds.
                         .is_before_saving = time + std::chrono::seconds(1) <= saved->saved_at,
                         .appraisal = {}};
  report.appraisal = appraiser.Appraise(saved->reply, saved->nonce, report.time);
  AppraiseModels(arguments, appraiser, setup.expectations, report);
  return report;
}

absl::StatusOr<VerifyReport> AppraiseQuote(const Arguments& arguments, const Setup& setup, const Appraiser& appraiser,
                                           const Clock& clock) {
  attest::Evidence evidence;
  evidence.kind = *attest::EvidenceKindOf(arguments.quote_kind);
  ASSIGN_OR_RETURN(evidence.data, ReadFile(arguments.quote_file, kMaxQuoteBytes));
  VerifyReport report = {.source = VerifyReport::Source::kBareQuote,
                         .from = arguments.quote_file,
                         .time = setup.time.value_or(clock.SystemNow()),
                         .time_was_given = setup.time.has_value(),
                         .appraisal = {}};
  report.appraisal.result = appraiser.AppraiseUnbound(evidence, report.time);
  return report;
}

int Fail(const absl::Status& status, std::ostream& err, int code) {
  err << "shoji: " << Describe(status) << "\n";
  return code;
}

ExitCode ExitCodeOfError(const absl::Status& status) {
  const bool unreachable =
      status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kDeadlineExceeded;
  return unreachable ? kExitUnreachable : kExitFailure;
}

}  // namespace

int RunVerify(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  const RealClock clock;
  const auto setup = ReadSetup(arguments);
  if (!setup.ok()) {
    return Fail(setup.status(), err, kExitUsage);
  }
  const auto appraiser = Appraiser::Create(setup->policy);
  if (!appraiser.ok()) {
    return Fail(appraiser.status(), err, IsRefusal(appraiser.status()) ? kExitCollateral : kExitUsage);
  }
  absl::StatusOr<VerifyReport> report = absl::UnknownError("");
  if (!arguments.server.empty()) {
    const auto transport = MakeTransport(arguments, clock);
    if (!transport.ok()) {
      return Fail(transport.status(), err, kExitUsage);
    }
    report = AppraiseServer(arguments, *setup, **transport, **appraiser, clock, err);
  } else if (!arguments.evidence_file.empty()) {
    report = AppraiseSaved(arguments, *setup, **appraiser, clock);
  } else {
    report = AppraiseQuote(arguments, *setup, **appraiser, clock);
  }
  if (!report.ok()) {
    return Fail(report.status(), err, ExitCodeOfError(report.status()));
  }
  if (arguments.output == OutputFormat::kJson) {
    PrintJson(*report, out);
  } else {
    PrintText(arguments, *report, out);
  }
  return ExitCodeOf(report->appraisal.result);
}

}  // namespace shoji::client
