// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "client/appraisal.h"
#include "client/commands/arguments.h"
#include "lib/attest/manifest.h"
#include "lib/base/clock.h"

namespace shoji::client {

// What `shoji verify` found, as printed.
struct VerifyReport {
  enum class Source : uint8_t { kServer, kSavedEvidence, kBareQuote };
  Source source = Source::kServer;
  std::string from;  // the server's address, or the file
  // At which everything was judged, and whether the caller chose it.
  SystemTime time;
  bool time_was_given = false;
  std::string saved_at = {};      // as saved evidence says
  bool is_before_saving = false;  // `time`, where that is to be believed
  Appraisal appraisal;
  std::vector<const attest::ModelManifest*> models = {};  // of appraisal.manifest
};

// Every step, pass or FAIL; with `--explain` also what would make failed ones pass, and what the evidence says. JSON
// always holds all of it.
void PrintText(const Arguments& arguments, const VerifyReport& report, std::ostream& out);
void PrintJson(const VerifyReport& report, std::ostream& out);

}  // namespace shoji::client
