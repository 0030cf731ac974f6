// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "client/commands/arguments.h"

namespace shoji::client {

// Of `shoji load`: an objective was not kept.
inline constexpr int kExitObjectiveBroken = 10;

// As given on the command line, besides Arguments.
struct LoadArguments {
  std::string concurrency;  // one of these two, or neither
  std::string rate;
  std::string arrival = "constant";
  uint64_t seed = 1;
  std::string duration = "10s";
  uint64_t requests = 0;
  std::string warmup = "1s";
  size_t connections = 1;
  size_t max_in_flight = 10'000;
  std::string timeout = "10s";
  bool session_per_request = false;
  bool phases = false;
  bool progress = false;
  std::string pictures;  // a folder; empty: generated
  std::string raw_file;
  std::string hgrm_file;
  std::string report_file;
  std::vector<std::string> slos;
};

// Loads a server and reports what it took. 0, 1 when nothing was answered, 2, 3, or kExitObjectiveBroken.
int RunLoad(const Arguments& arguments, const LoadArguments& load, std::ostream& out, std::ostream& err);

}  // namespace shoji::client
