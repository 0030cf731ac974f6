// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/model.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "client/appraisal.h"
#include "client/printable.h"
#include "lib/base/checked_math.h"
#include "lib/base/near_match.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

constexpr size_t kMaxTensorBytes = size_t{1} << 30;

absl::StatusOr<size_t> TotalBytes(const std::vector<attest::TensorType>& types, const char* which) {
  size_t total = 0;
  for (const attest::TensorType& type : types) {
    if (type.type != DataType::kFloat32) {
      return absl::UnimplementedError(std::string(which) + " '" + type.name + "' is not float32");
    }
    ASSIGN_OR_RETURN(const size_t bytes, CheckedMul(type.shape.num_elements(), SizeOf(type.type)));
    ASSIGN_OR_RETURN(total, CheckedAdd(total, bytes));
  }
  if (total > kMaxTensorBytes) {
    return absl::InvalidArgumentError(std::string("the model's ") + which + "s are larger than 1 GiB");
  }
  return total;
}

std::vector<std::string> SplitLines(ByteSpan text) {
  std::vector<std::string> lines;
  std::string line;
  for (const uint8_t c : text) {
    if (c == '\n') {
      lines.push_back(std::move(line));
      line.clear();
    } else if (c != '\r') {
      line.push_back(static_cast<char>(c));
    }
  }
  if (!line.empty()) {
    lines.push_back(std::move(line));
  }
  return lines;
}

bool SameType(const attest::TensorType& a, const attest::TensorType& b) {
  return a.name == b.name && a.type == b.type && a.shape == b.shape;
}

// Whether everything that `segment` shows, to whom it shows it, was shown by `accepted` already.
bool Covers(const attest::OpenedSegment& accepted, const attest::OpenedSegment& segment) {
  const auto known_operator = [&](const std::string& name) {
    return std::find(accepted.operators.begin(), accepted.operators.end(), name) != accepted.operators.end();
  };
  const auto known_tensor = [&](const attest::TensorType& type) {
    return std::any_of(accepted.revealed.begin(), accepted.revealed.end(),
                       [&](const attest::TensorType& other) { return SameType(type, other); });
  };
  return accepted.first_node == segment.first_node && accepted.last_node == segment.last_node &&
         std::all_of(segment.operators.begin(), segment.operators.end(), known_operator) &&
         std::all_of(segment.revealed.begin(), segment.revealed.end(), known_tensor);
}

absl::Status UnknownModel(const std::string& name, const std::vector<std::string>& names) {
  std::string near = DidYouMean(name, names);
  if (near.empty()) {
    near = "; `shoji models` lists what is served";
  }
  const absl::Status reason = ErrorOf(Reason::kUnknownModel);
  absl::Status status = absl::NotFoundError("the enclave serves no model '" + name + "'" + near);
  reason.ForEachPayload([&](auto url, const absl::Cord& payload) { status.SetPayload(url, payload); });
  return status;
}

absl::Status CheckPin(const std::optional<digest::Sha256Digest>& pin, const digest::Sha256Digest& got,
                      const std::string& what) {
  if (!pin.has_value() || *pin == got) {
    return absl::OkStatus();
  }
  return RefusalError(what + " is " + HexEncode(got) + ", but " + HexEncode(*pin) + " was asked for");
}

}  // namespace

absl::StatusOr<EvidenceReply> FetchEvidence(Transport& transport, const attest::Nonce& nonce, const std::string& model,
                                            SteadyTime deadline) {
  absl::StatusOr<EvidenceReply> reply = transport.GetEvidence(nonce, model, deadline);
  if (reply.ok() || ReasonOf(reply.status()) != Reason::kUnknownModel) {
    return reply;
  }
  std::vector<std::string> names;
  if (const auto models = transport.ListModels(deadline); models.ok()) {
    for (const ModelDescription& description : *models) {
      names.push_back(description.name);
    }
  }
  return UnknownModel(model, names);
}

absl::StatusOr<const attest::ModelManifest*> FindModel(const attest::Manifest& manifest, const std::string& name) {
  std::vector<std::string> names;
  for (const attest::ModelManifest& model : manifest.models) {
    if (model.name == name) {
      return &model;
    }
    names.push_back(model.name);
  }
  for (const attest::AwaitedModel& model : manifest.awaited) {
    if (model.name == name) {
      return absl::NotFoundError("model '" + name +
                                 "' awaits its owner's key, and is not served before (`shoji release` hands it over)");
    }
  }
  return UnknownModel(name, names);
}

absl::StatusOr<Model> CheckDescription(const attest::ModelManifest& manifest, const ModelDescription& description) {
  if (digest::Sha256(description.preprocessing) != manifest.preprocessing_digest ||
      digest::Sha256(description.labels) != manifest.labels_digest) {
    return absl::FailedPreconditionError("the server describes model '" + manifest.name +
                                         "' otherwise than the attested manifest does");
  }
  Model model;
  model.manifest = manifest;
  if (!description.preprocessing.empty()) {
    ASSIGN_OR_RETURN(model.preprocessing, image::ParsePreprocessing(description.preprocessing));
  }
  model.labels = SplitLines(description.labels);
  ASSIGN_OR_RETURN(model.input_bytes, TotalBytes(manifest.inputs, "input"));
  ASSIGN_OR_RETURN(model.output_bytes, TotalBytes(manifest.outputs, "output"));
  return model;
}

absl::Status CheckExpectations(const attest::ModelManifest& model, const Expectations& expectations) {
  if (model.result_opened && expectations.opened_result == OpenedResult::kRefuse) {
    return RefusalError("the policy of model '" + model.name +
                        "' shows the answer to the accelerator; that is refused unless explicitly allowed "
                        "(--allow-open-result)");
  }
  RETURN_IF_ERROR(CheckPin(expectations.model_digest, model.model_digest, "the digest of model '" + model.name + "'"));
  return CheckPin(expectations.plan_digest, model.plan_digest, "the plan digest of model '" + model.name + "'");
}

std::string WhatIsShown(const attest::ModelManifest& model) {
  std::string out;
  for (const attest::OpenedSegment& segment : model.opened) {
    std::string tensors;
    for (const attest::TensorType& type : segment.revealed) {
      const bool is_input = std::any_of(model.inputs.begin(), model.inputs.end(),
                                        [&](const attest::TensorType& input) { return input.name == type.name; });
      tensors += (tensors.empty() ? "" : ", ") + std::string(is_input ? "THE INPUT ITSELF, " : "") + type.name + " " +
                 type.shape.ToString();
    }
    std::string operators;
    for (const std::string& name : segment.operators) {
      operators += (operators.empty() ? "" : ", ") + name;
    }
    // The operator's own words: none of them may hide the warning that they are part of.
    out += (out.empty() ? "" : "; and ") + Printable(tensors) + " to the accelerators of " +
           (operators.empty() ? "an unnamed operator" : Printable(operators));
  }
  if (model.result_opened) {
    out += ", and THE ANSWER";
  }
  return out;
}

absl::Status CheckOpensNoMore(const attest::ModelManifest& first, const attest::ModelManifest& now) {
  const std::string changed = "the policy of model '" + now.name + "' was weakened since it was first accepted: ";
  if (now.result_opened && !first.result_opened) {
    return RefusalError(changed + "it now shows the answer to the accelerator");
  }
  if (first.all_verified && !now.all_verified) {
    return RefusalError(changed + "answers of accelerators are no longer all checked");
  }
  // The same names and shapes in another network may carry something else.
  if (!now.opened.empty() &&
      (now.model_digest != first.model_digest || now.preprocessing_digest != first.preprocessing_digest)) {
    return RefusalError(changed + "it opens segments, and the model itself or its preprocessing is another");
  }
  for (const attest::OpenedSegment& segment : now.opened) {
    const bool known = std::any_of(first.opened.begin(), first.opened.end(),
                                   [&](const attest::OpenedSegment& accepted) { return Covers(accepted, segment); });
    if (!known) {
      return RefusalError(changed + "it now opens the segment from '" + segment.first_node + "' to '" +
                          segment.last_node + "'");
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::client
