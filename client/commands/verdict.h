// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an appraisal comes to, as an exit code: decided by its first failed step, by name, in one table.
#pragma once

#include <string>
#include <string_view>

#include "lib/attest/verifier.h"

namespace shoji::client {

// Of every command; those from kExitNotGenuine on are of `shoji verify` alone, where kExitRefused is left for what has
// no code of its own. `infer` and `release` end with kExitRefused whatever step refused.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,
  kExitRefused = 3,
  kExitNotGenuine = 4,
  kExitNotAllowed = 5,
  kExitCollateral = 6,
  kExitNotBound = 7,
  kExitUnbound = 8,
  kExitUnreachable = 9,
};

// "not-genuine": for JSON, and for people.
std::string_view NameOf(ExitCode code);
std::string_view MeaningOf(ExitCode code);

// What a failed step of this name means; kExitRefused for a name that is not in the table. A step of one model may end
// in " of <model>", which does not count.
ExitCode ExitCodeOfStep(std::string_view step);
// kExitOk when `result` is accepted.
ExitCode ExitCodeOf(const attest::AttestationResult& result);
// The first failed step; null where there is none.
const attest::AppraisalStep* FirstFailed(const attest::AttestationResult& result);

// What would make a failed step pass: its own remedy, or what is true of all steps of its kind.
std::string RemedyFor(const attest::AppraisalStep& step);

// One line a code, for --help.
std::string ExitCodesHelp();

}  // namespace shoji::client
