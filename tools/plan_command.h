// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace shoji::tools {

// Adds `plan --policy P --model M [--ranges R]`: resolves the policy for the model, without serving, and prints what
// runs where, what crosses and what each party sees; with the model's ranges also each int8 layer's ring, traffic, pad
// and error bound. A policy that an enclave would refuse is refused here with the same message. Sets `exit_code` when
// it has run; both arguments outlive the parse.
void AddPlanCommand(CLI::App& app, int& exit_code);

}  // namespace shoji::tools
