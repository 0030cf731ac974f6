// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/result_rule.h"

#include <charconv>
#include <string_view>

#include "absl/status/status.h"
#include "shoji/v1/sealed_model.pb.h"

namespace shoji::attest {
namespace {

constexpr std::string_view kRounded = "rounded:";
constexpr std::string_view kTopK = "top-k:";

absl::StatusOr<ResultRule> WithNumber(ResultForm form, std::string_view digits, const absl::Status& otherwise) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || digits.empty() || end != digits.data() + digits.size()) {
    return otherwise;
  }
  return ResultRule::Create(form, number);
}

}  // namespace

absl::StatusOr<ResultRule> ResultRule::Create(ResultForm form, uint32_t parameter) {
  switch (form) {
    case ResultForm::kScores:
      if (parameter != 0) {
        return absl::InvalidArgumentError("results as scores take no number");
      }
      return ResultRule(form, parameter);
    case ResultForm::kRounded:
      if (parameter > kMaxDecimals) {
        return absl::InvalidArgumentError("results are rounded to 0 to 9 decimals, not " + std::to_string(parameter));
      }
      return ResultRule(form, parameter);
    case ResultForm::kTopK:
      if (parameter == 0) {
        return absl::InvalidArgumentError("top-k needs at least 1 result");
      }
      return ResultRule(form, parameter);
  }
  return absl::InvalidArgumentError("results in a form that this version does not know");
}

absl::StatusOr<ResultRule> ResultRule::Parse(const std::string& text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      "'" + text + "' is no form of results; use scores, rounded:DECIMALS (as rounded:2) or top-k:K (as top-k:5)");
  const std::string_view view = text;
  if (view == "scores") {
    return ResultRule();
  }
  if (view.substr(0, kRounded.size()) == kRounded) {
    return WithNumber(ResultForm::kRounded, view.substr(kRounded.size()), wrong);
  }
  if (view.substr(0, kTopK.size()) == kTopK) {
    return WithNumber(ResultForm::kTopK, view.substr(kTopK.size()), wrong);
  }
  return wrong;
}

std::string ResultRule::ToString() const {
  switch (form_) {
    case ResultForm::kScores:
      break;
    case ResultForm::kRounded:
      return std::string(kRounded) + std::to_string(parameter_);
    case ResultForm::kTopK:
      return std::string(kTopK) + std::to_string(parameter_);
  }
  return "scores";
}

void ToProto(const ResultRule& rule, v1::ResultRule& out) {
  out.set_form(static_cast<v1::ResultRule::Form>(rule.form()));
  out.set_parameter(rule.parameter());
}

absl::StatusOr<ResultRule> FromProto(const v1::ResultRule& in) {
  switch (in.form()) {
    case v1::ResultRule::SCORES:
      return ResultRule::Create(ResultForm::kScores, in.parameter());
    case v1::ResultRule::ROUNDED:
      return ResultRule::Create(ResultForm::kRounded, in.parameter());
    case v1::ResultRule::TOP_K:
      return ResultRule::Create(ResultForm::kTopK, in.parameter());
    default:
      return absl::InvalidArgumentError("results in a form that this version does not know");
  }
}

}  // namespace shoji::attest
