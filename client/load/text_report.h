// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What was measured, for people and for programs. Names that come from a server are escaped.
#pragma once

#include <string>
#include <vector>

#include "client/load/measurement.h"
#include "client/load/options.h"

namespace shoji::client::load {

// What a run was, for its reports.
struct RunInfo {
  std::string server;
  std::string model;
  std::string evidence;  // "simulated", "sgx", ...
  std::string version;
  std::string started;  // RFC 3339
  Options options;
};

// A table of the levels, then errors, costs that are no part of the steady state, phases, and what the generator itself
// took; warnings where that makes the figures doubtful.
std::string TextReport(const RunInfo& run, const std::vector<Measurement>& measurements);
// One document; times in seconds, null where nothing was measured.
std::string JsonReport(const RunInfo& run, const std::vector<Measurement>& measurements);
// One line a level, after a line of names; times in milliseconds, empty where nothing was measured.
std::string CsvReport(const std::vector<Measurement>& measurements);

// "100/s", "4 in flight".
std::string LevelText(const Measurement& measurement);
// "1.23 ms", "45.6 us", "1.2 s".
std::string TimeText(std::chrono::nanoseconds time);
// The same of a quantile and of the longest; "-" where nothing was measured.
std::string QuantileText(const Histogram& times, double q);
std::string MaxText(const Histogram& times);
// Doubts about a level, one a line; empty: none.
std::vector<std::string> DoubtsAbout(const Measurement& measurement);

}  // namespace shoji::client::load
