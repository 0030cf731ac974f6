// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace shoji::v1 {
class ResultRule;
}  // namespace shoji::v1

namespace shoji::attest {

// The values are those of shoji.v1.ResultRule.Form.
enum class ResultForm : uint8_t {
  kScores = 1,   // as the model makes them
  kRounded = 2,  // to a number of decimals
  kTopK = 3,     // the largest few of each output
};

// In what form results of a model may leave the enclave, as its owner demands. A value, checked where it is made.
class ResultRule {
 public:
  static constexpr uint32_t kMaxDecimals = 9;

  ResultRule() = default;  // scores
  // INVALID_ARGUMENT: a parameter for kScores, more than kMaxDecimals, or a k of 0.
  static absl::StatusOr<ResultRule> Create(ResultForm form, uint32_t parameter);
  // "scores", "rounded:2", "top-k:5"; INVALID_ARGUMENT says what is possible.
  static absl::StatusOr<ResultRule> Parse(const std::string& text);

  ResultForm form() const { return form_; }
  uint32_t parameter() const { return parameter_; }  // decimals, or k; 0 for scores
  // As Parse reads it.
  std::string ToString() const;
  bool operator==(const ResultRule&) const = default;

 private:
  ResultRule(ResultForm form, uint32_t parameter) : form_(form), parameter_(parameter) {}

  ResultForm form_ = ResultForm::kScores;
  uint32_t parameter_ = 0;
};

void ToProto(const ResultRule& rule, v1::ResultRule& out);
// Hostile input.
absl::StatusOr<ResultRule> FromProto(const v1::ResultRule& in);

}  // namespace shoji::attest
