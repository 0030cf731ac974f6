// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji-model: what an operator or a model's owner runs offline. Exit codes: 0 done, 1 refused or failed, 2 wrong
// usage.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "tools/calibrate_command.h"
#include "tools/cut_command.h"
#include "tools/plan_command.h"
#include "tools/seal_command.h"

namespace {

constexpr int kUsageError = 2;

int Run(int argc, char** argv) {
  CLI::App app("Looks at models and partition policies without serving them.");
  app.name("shoji-model");
  app.require_subcommand(1);
  int exit_code = 0;
  shoji::tools::AddPlanCommand(app, exit_code);
  shoji::tools::AddCalibrateCommand(app, exit_code);
  shoji::tools::AddCutCommand(app, exit_code);
  shoji::tools::AddSealCommands(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kUsageError;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "shoji-model: %s\n", e.what());
    return 1;
  }
}
