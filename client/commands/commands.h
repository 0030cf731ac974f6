// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <ostream>

#include "client/commands/arguments.h"

namespace shoji::client {

// The commands of `shoji`. Results go to `out`, everything else to `err`; they return the process's exit code.

// Classifies every picture and .npy tensor. One that fails does not stop the others.
int RunInfer(const Arguments& arguments, std::ostream& out, std::ostream& err);
// Lists what the server says it serves, which nothing vouches for.
int RunModels(const Arguments& arguments, std::ostream& out, std::ostream& err);
// Releases a sealed model's key to every enclave that awaits it.
int RunRelease(const Arguments& arguments, std::ostream& out, std::ostream& err);
// Fetches evidence, or reads what was saved or a bare quote, appraises it and prints every step, and what the attested
// policies open.
int RunVerify(const Arguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace shoji::client
