// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/print_report.h"

#include <cstdio>

namespace shoji::tools {

int PrintReport(const absl::StatusOr<std::string>& report) {
  if (!report.ok()) {
    std::fprintf(stderr, "shoji-model: %s\n", std::string(report.status().message()).c_str());
    return 1;
  }
  std::fputs(report->c_str(), stdout);
  return 0;
}

}  // namespace shoji::tools
