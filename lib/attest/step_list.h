// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/attest/verifier.h"

namespace shoji::attest {

// Collects the steps of an appraisal. Thread-compatible.
class StepList {
 public:
  // Records a step. `found` says what was found, `expected` what would have passed; both stand in the detail of a
  // failed step, and only `found` in that of a passed one. Returns `passed`.
  bool Check(const std::string& name, bool passed, const std::string& found, const std::string& expected,
             const std::string& remedy = "");
  // Passes where `status` is OK; its message is the detail of a failed step.
  bool Check(const std::string& name, const absl::Status& status, const std::string& found,
             const std::string& remedy = "");

  bool all_passed() const { return all_passed_; }
  const std::vector<AppraisalStep>& steps() const { return steps_; }
  std::vector<AppraisalStep> Take() { return std::move(steps_); }

 private:
  std::vector<AppraisalStep> steps_;
  bool all_passed_ = true;
};

// Step "report data": that the evidence binds this manifest and this nonce.
void CheckReportData(const ReportData& found, const ReportData& expected, StepList& steps);

}  // namespace shoji::attest
