// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/figures.h"

#include <cstdio>
#include <fstream>

namespace shoji::bench {

absl::Status WriteFigures(const std::vector<Figure>& figures, const std::string& path) {
  std::ofstream out(path);
  for (const Figure& figure : figures) {
    char value[32] = {};
    std::snprintf(value, sizeof(value), "%.4g", figure.value);
    out << figure.name << " " << value << " " << figure.meaning << "\n";
  }
  out.flush();
  return out ? absl::OkStatus() : absl::InternalError("cannot write " + path);
}

}  // namespace shoji::bench
