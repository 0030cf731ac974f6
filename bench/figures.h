// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a benchmark found, for bench/run.sh.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace shoji::bench {

struct Figure {
  std::string name;  // "<subject>.<quantity>", the unit or what it is a ratio to being part of the name
  double value = 0;
  std::string meaning;  // for people, one line
};

// One line a figure, "name value meaning", the value to four digits. INTERNAL when `path` cannot be written.
absl::Status WriteFigures(const std::vector<Figure>& figures, const std::string& path);

}  // namespace shoji::bench
