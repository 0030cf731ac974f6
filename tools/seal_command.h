// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace shoji::tools {

// Adds `seal`, which encrypts a model for its owner, and `inspect`, which tells what a sealed model demands and, with
// the key, whether it is whole. They leave their exit code in `exit_code`.
void AddSealCommands(CLI::App& app, int& exit_code);

}  // namespace shoji::tools
