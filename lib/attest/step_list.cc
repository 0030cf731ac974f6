// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/step_list.h"

namespace shoji::attest {

bool StepList::Check(const std::string& name, bool passed, const std::string& found, const std::string& expected,
                     const std::string& remedy) {
  steps_.push_back({name, passed, passed ? found : "found " + found + "; expected " + expected, passed ? "" : remedy});
  all_passed_ = all_passed_ && passed;
  return passed;
}

bool StepList::Check(const std::string& name, const absl::Status& status, const std::string& found,
                     const std::string& remedy) {
  steps_.push_back({name, status.ok(), status.ok() ? found : std::string(status.message()), status.ok() ? "" : remedy});
  all_passed_ = all_passed_ && status.ok();
  return status.ok();
}

void CheckReportData(const ReportData& found, const ReportData& expected, StepList& steps) {
  steps.Check("report data", found == expected,
              found == expected ? "binds this manifest and this nonce"
                                : HexEncode(found) + ", made for another manifest or another nonce",
              HexEncode(expected));
}

}  // namespace shoji::attest
