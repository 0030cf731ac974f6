// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/reference_values.h"

namespace shoji::attest {

void ReferenceMatcher::Finish() {
  if (!open_) {
    return;
  }
  any_ = true;
  if (!differs_.empty()) {
    mismatches_ += (mismatches_.empty() ? "" : "; ") + std::string("not '") + name_ + "': " + differs_;
  } else if (matched_.empty()) {
    matched_ = "'" + name_ + "'";
  }
  open_ = false;
}

void ReferenceMatcher::Record(const std::string& found, Unpinned unpinned, StepList& steps) {
  Finish();
  if (!any_) {
    steps.Check("measurement", unpinned == Unpinned::kAccepted, found + " (any is accepted)", "a pinned measurement");
    return;
  }
  const std::string what =
      matched_.empty() ? ", which is none of those allowed (" + mismatches_ + ")" : ", " + matched_;
  steps.Check("measurement", !matched_.empty(), found + what, "an allowed measurement",
              "if this is what you built and mean to trust, add it to the policy's reference values");
}

}  // namespace shoji::attest
