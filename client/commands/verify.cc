// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/time/time.h"
#include "client/commands/commands.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/random.h"

namespace shoji::client {
namespace {

using Json = nlohmann::ordered_json;
using attest::AppraisalStep;

std::string TypeText(const attest::TensorType& type) {
  return type.name + " " + std::string(NameOf(type.type)) + " " + type.shape.ToString();
}

std::string UtcText(SystemTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

// The steps that a session takes beyond the evidence, for one model.
void AppendModelSteps(const attest::ModelManifest& model, const std::vector<ModelDescription>& descriptions,
                      const Expectations& expectations, std::vector<AppraisalStep>& steps) {
  const auto found = std::find_if(descriptions.begin(), descriptions.end(),
                                  [&](const ModelDescription& d) { return d.name == model.name; });
  const absl::Status described = found == descriptions.end()
                                     ? absl::NotFoundError("the server does not describe the model")
                                     : CheckDescription(model, *found).status();
  steps.push_back({"description of " + model.name, described.ok(),
                   described.ok() ? "preprocessing and labels are those that the enclave loaded"
                                  : std::string(described.message())});
  const absl::Status expected = CheckExpectations(model, expectations);
  const std::string what = model.result_opened ? "the accelerator sees the answer, explicitly allowed"
                                               : "the answer stays between the enclave and this client";
  steps.push_back({"policy of " + model.name, expected.ok(), expected.ok() ? what : std::string(expected.message())});
}

struct Report {
  Appraisal appraisal;
  std::vector<const attest::ModelManifest*> models;  // of appraisal.manifest
};

absl::StatusOr<Report> Fetch(const Arguments& arguments, Transport& transport, const Appraiser& appraiser,
                             const Expectations& expectations) {
  const RealClock clock;
  ASSIGN_OR_RETURN(const auto timeout, ParseDuration(arguments.deadline));
  const SteadyTime deadline = clock.SteadyNow() + timeout;
  const auto nonce = crypto::RandomArray<32>();
  ASSIGN_OR_RETURN(const EvidenceReply reply, FetchEvidence(transport, nonce, arguments.model, deadline));
  Report report;
  report.appraisal = appraiser.Appraise(reply.manifest, reply.evidence, nonce, clock.SystemNow());
  if (!report.appraisal.manifest.has_value()) {
    return report;
  }
  for (const attest::ModelManifest& model : report.appraisal.manifest->models) {
    if (arguments.model.empty() || arguments.model == model.name) {
      report.models.push_back(&model);
    }
  }
  std::vector<AppraisalStep>& steps = report.appraisal.result.steps;
  if (!report.appraisal.result.accepted()) {
    return report;
  }
  if (!arguments.model.empty() && report.models.empty()) {
    const auto missing = FindModel(*report.appraisal.manifest, arguments.model);
    steps.push_back({"model", false, std::string(missing.status().message())});
    return report;
  }
  ASSIGN_OR_RETURN(const auto descriptions, transport.ListModels(deadline));
  for (const attest::ModelManifest* const model : report.models) {
    AppendModelSteps(*model, descriptions, expectations, steps);
  }
  return report;
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

void PrintText(const Arguments& arguments, const Report& report, std::ostream& out) {
  const attest::AttestationResult& result = report.appraisal.result;
  out << "server    " << arguments.server << "\nevidence  " << attest::NameOf(result.kind) << "\n";
  if (report.appraisal.manifest.has_value()) {
    out << "software  " << Printable(report.appraisal.manifest->software_version) << "\n";
  }
  out << "\n";
  for (const AppraisalStep& step : result.steps) {
    out << (step.passed ? "pass  " : "FAIL  ") << Printable(step.name) << ": " << Printable(step.detail) << "\n";
  }
  out << "\n" << (result.accepted() ? "ACCEPTED" : "REFUSED: nothing would be sent to this enclave") << "\n";
  for (const attest::ModelManifest* const model : report.models) {
    PrintModel(*model, out);
  }
  if (report.appraisal.manifest.has_value()) {
    for (const attest::AwaitedModel& model : report.appraisal.manifest->awaited) {
      PrintAwaited(model, out);
    }
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

void PrintJson(const Arguments& arguments, const Report& report, std::ostream& out) {
  const attest::AttestationResult& result = report.appraisal.result;
  Json json = {{"server", arguments.server},
               {"accepted", result.accepted()},
               {"evidence_kind", attest::NameOf(result.kind)},
               {"manifest_digest", HexEncode(report.appraisal.manifest_digest)}};
  if (report.appraisal.manifest.has_value()) {
    json["software_version"] = report.appraisal.manifest->software_version;
    json["expires_at"] = UtcText(report.appraisal.manifest->expires_at);
  }
  json["steps"] = Json::array();
  for (const AppraisalStep& step : result.steps) {
    json["steps"].push_back({{"name", step.name}, {"passed", step.passed}, {"detail", step.detail}});
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
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

int Fail(const absl::Status& status, std::ostream& err, int code) {
  err << "shoji: " << Describe(status) << "\n";
  return code;
}

}  // namespace

int RunVerify(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  const RealClock clock;
  const auto policy = MakeAppraisalPolicy(arguments);
  const auto expectations = policy.ok() ? MakeExpectations(arguments) : policy.status();
  const auto timeout = expectations.ok() ? ParseDuration(arguments.deadline) : expectations.status();
  const auto transport = timeout.ok() ? MakeTransport(arguments, clock) : timeout.status();
  const auto appraiser = transport.ok() ? Appraiser::Create(*policy) : transport.status();
  if (!appraiser.ok()) {
    return Fail(appraiser.status(), err, kExitUsage);
  }
  const auto report = Fetch(arguments, **transport, **appraiser, *expectations);
  if (!report.ok()) {
    return Fail(report.status(), err, kExitFailure);
  }
  if (arguments.output == OutputFormat::kJson) {
    PrintJson(arguments, *report, out);
  } else {
    PrintText(arguments, *report, out);
  }
  return report->appraisal.result.accepted() ? kExitOk : kExitRefused;
}

}  // namespace shoji::client
