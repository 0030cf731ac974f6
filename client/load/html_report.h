// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <vector>

#include "client/load/measurement.h"
#include "client/load/text_report.h"

namespace shoji::client::load {

// One self-contained page: tables, and charts as SVG. No script, nothing from a network, and a policy that forbids
// both; light or dark as the reader's system is. Everything that came from a server is escaped.
std::string HtmlReport(const RunInfo& run, const std::vector<Measurement>& measurements);

}  // namespace shoji::client::load
