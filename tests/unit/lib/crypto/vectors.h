// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace shoji::testing {

inline nlohmann::json LoadJson(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

// A file of tests/vectors.
inline nlohmann::json LoadVectors(const std::string& name) {
  return LoadJson(std::filesystem::path(SHOJI_SOURCE_DIR) / "tests/vectors" / name);
}

}  // namespace shoji::testing
