// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/verify_report.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "client/commands/json_text.h"
#include "client/commands/verdict.h"
#include "client/evidence_file.h"

namespace shoji::client {
namespace {

using Json = nlohmann::ordered_json;
using attest::AppraisalStep;

std::string_view NameOf(VerifyReport::Source source) {
  switch (source) {
    case VerifyReport::Source::kServer:
      return "server";
    case VerifyReport::Source::kSavedEvidence:
      return "saved";
    case VerifyReport::Source::kBareQuote:
      return "quote";
  }
  return "";
}

std::string TypeText(const attest::TensorType& type) {
  return type.name + " " + std::string(NameOf(type.type)) + " " + type.shape.ToString();
}

void PrintModel(const attest::ModelManifest& model, std::ostream& out) {
  out << "\nmodel " << Printable(model.name) << "\n  model digest  " << HexEncode(model.model_digest)
      << "\n  plan digest   " << HexEncode(model.plan_digest) << "\n";
  for (const attest::OpenedSegment& segment : model.opened) {
    out << "  OPEN          from " << Printable(segment.first_node) << " to " << Printable(segment.last_node)
        << ": accelerators";
    for (const std::string& name : segment.operators) {
      out << " of " << Printable(name);
    }
    out << " see\n";
    for (const attest::TensorType& type : segment.revealed) {
      out << "                  " << Printable(TypeText(type)) << " and all that the segment computes from it\n";
    }
  }
  if (model.opened.empty()) {
    out << "  opened        nothing: no accelerator sees anything of a request in the clear\n";
  }
  out << "  checked       "
      << (model.all_verified ? "every answer of an accelerator" : "NOT every answer of an accelerator") << "\n";
  if (model.sealed.has_value()) {
    out << "  sealed        by its owner: results leave as " << model.sealed->results.ToString() << ", "
        << model.sealed->queries_per_release << " queries for each release of its key\n";
  }
  out << "  answer        " << (model.result_opened ? "SEEN by the accelerator" : "seen by the client alone") << "\n";
}

void PrintAwaited(const attest::AwaitedModel& model, std::ostream& out) {
  out << "\nmodel " << Printable(model.name) << " awaits its owner's key\n  sealed digest "
      << HexEncode(model.sealed_digest) << "\n";
  for (const attest::PlannedSegment& segment : model.plan) {
    out << "  planned       " << Printable(segment.start) << ": " << Printable(segment.place)
        << (segment.confidential ? ", confidential" : "") << "\n";
  }
}

void PrintSteps(const attest::AttestationResult& result, bool explain, std::ostream& out) {
  for (const AppraisalStep& step : result.steps) {
    out << (step.passed ? "pass  " : "FAIL  ") << Printable(step.name) << ": " << Printable(step.detail) << "\n";
    if (explain && !step.passed) {
      out << "      to pass: " << Printable(RemedyFor(step)) << "\n";
    }
  }
}

// The outcome in one line, and what it does not mean.
void PrintVerdict(const VerifyReport& report, std::ostream& out) {
  const attest::AttestationResult& result = report.appraisal.result;
  const ExitCode code = ExitCodeOf(result);
  if (code == kExitOk) {
    out << "\nACCEPTED"
        << (report.source == VerifyReport::Source::kSavedEvidence ? " as of " + TimeText(report.time) : "") << "\n";
    if (report.source == VerifyReport::Source::kSavedEvidence) {
      out << "This is saved evidence: it shows what held then, for the nonce in the file. It does not show what runs "
             "now.\n";
    }
    return;
  }
  if (code == kExitUnbound) {
    out << "\nGENUINE, BUT NOT BOUND, AND THEREFORE NOT ACCEPTED (exit code " << code
        << ")\nA bare quote vouches for no key: anybody may show it. Nothing may be sent to whoever does.\n";
    return;
  }
  out << "\nREFUSED: nothing would be sent to this enclave\n";
  if (const AppraisalStep* const failed = FirstFailed(result); failed != nullptr) {
    out << "exit code " << code << ", " << MeaningOf(code)
        << "; the first step that failed: " << Printable(failed->name) << "\n";
  }
}

void PrintClaims(const attest::AttestationResult& result, std::ostream& out) {
  if (result.claims.empty()) {
    return;
  }
  out << "\nwhat the evidence says" << (result.accepted() ? "" : " (it was not accepted)") << "\n";
  for (const attest::Claim& claim : result.claims) {
    out << "  " << claim.name << std::string(claim.name.size() < 20 ? 20 - claim.name.size() : 0, ' ') << "  "
        << Printable(claim.value) << "\n";
  }
}

Json ModelJson(const attest::ModelManifest& model) {
  Json json = {{"name", model.name},
               {"model_digest", HexEncode(model.model_digest)},
               {"calibration_digest", HexEncode(model.calibration_digest)},
               {"preprocessing_digest", HexEncode(model.preprocessing_digest)},
               {"labels_digest", HexEncode(model.labels_digest)},
               {"plan_digest", HexEncode(model.plan_digest)},
               {"result_opened", model.result_opened},
               {"all_verified", model.all_verified},
               {"opened", Json::array()}};
  if (model.sealed.has_value()) {
    json["sealed"] = {{"results", model.sealed->results.ToString()},
                      {"queries_per_release", model.sealed->queries_per_release}};
  }
  for (const attest::OpenedSegment& segment : model.opened) {
    Json revealed = Json::array();
    for (const attest::TensorType& type : segment.revealed) {
      revealed.push_back({{"name", type.name}, {"type", NameOf(type.type)}, {"shape", type.shape.dims()}});
    }
    json["opened"].push_back({{"first_node", segment.first_node},
                              {"last_node", segment.last_node},
                              {"operators", segment.operators},
                              {"revealed", std::move(revealed)}});
  }
  return json;
}

Json StepJson(const AppraisalStep& step) {
  Json json = {{"name", step.name}, {"passed", step.passed}, {"detail", step.detail}};
  if (!step.passed) {
    json["remedy"] = RemedyFor(step);
  }
  return json;
}

// What is known of it, accepted or not.
void AddManifest(const Appraisal& appraisal, Json& json) {
  if (appraisal.manifest.has_value()) {
    json["manifest_digest"] = HexEncode(appraisal.manifest_digest);
    json["software_version"] = appraisal.manifest->software_version;
    json["expires_at"] = TimeText(appraisal.manifest->expires_at);
  }
}

}  // namespace

void PrintText(const Arguments& arguments, const VerifyReport& report, std::ostream& out) {
  const attest::AttestationResult& result = report.appraisal.result;
  out << (report.source == VerifyReport::Source::kServer ? "server    " : "file      ") << Printable(report.from)
      << "\nevidence  " << attest::NameOf(result.kind) << "\ntime      " << TimeText(report.time)
      << (report.time_was_given ? ", as given" : ", by this machine's clock") << "\n";
  if (!report.saved_at.empty()) {
    out << "saved     " << report.saved_at << ", as the file says\n";
    if (report.is_before_saving) {
      out << "WARNING: this evidence is judged as of a time before it was saved, when nobody can have had it: "
             "collateral and "
             "certificates that held then say nothing of it\n";
    }
  }
  if (report.appraisal.manifest.has_value()) {
    out << "software  " << Printable(report.appraisal.manifest->software_version) << "\n";
  }
  out << "\n";
  PrintSteps(result, arguments.explain, out);
  PrintVerdict(report, out);
  if (arguments.explain) {
    PrintClaims(result, out);
  }
  for (const attest::ModelManifest* const model : report.models) {
    PrintModel(*model, out);
  }
  if (report.appraisal.manifest.has_value()) {
    for (const attest::AwaitedModel& model : report.appraisal.manifest->awaited) {
      PrintAwaited(model, out);
    }
  }
}

void PrintJson(const VerifyReport& report, std::ostream& out) {
  const attest::AttestationResult& result = report.appraisal.result;
  const ExitCode code = ExitCodeOf(result);
  Json json = {{report.source == VerifyReport::Source::kServer ? "server" : "file", report.from},
               {"source", NameOf(report.source)},
               {"accepted", result.accepted()},
               {"verdict", NameOf(code)},
               {"exit_code", static_cast<int>(code)},
               {"evidence_kind", attest::NameOf(result.kind)},
               {"verification_time", TimeText(report.time)},
               {"verification_time_was_given", report.time_was_given}};
  if (const AppraisalStep* const failed = FirstFailed(result); failed != nullptr) {
    json["failed_step"] = failed->name;
  }
  if (!report.saved_at.empty()) {
    json["saved_at"] = report.saved_at;
    json["verification_time_is_before_saving"] = report.is_before_saving;
  }
  AddManifest(report.appraisal, json);
  json["steps"] = Json::array();
  for (const AppraisalStep& step : result.steps) {
    json["steps"].push_back(StepJson(step));
  }
  json["claims"] = Json::object();
  for (const attest::Claim& claim : result.claims) {
    json["claims"][claim.name] = claim.value;
  }
  json["models"] = Json::array();
  for (const attest::ModelManifest* const model : report.models) {
    json["models"].push_back(ModelJson(*model));
  }
  json["awaited"] = Json::array();
  if (report.appraisal.manifest.has_value()) {
    for (const attest::AwaitedModel& model : report.appraisal.manifest->awaited) {
      json["awaited"].push_back({{"name", model.name}, {"sealed_digest", HexEncode(model.sealed_digest)}});
    }
  }
  out << JsonText(json, 2) << "\n";
}

}  // namespace shoji::client
