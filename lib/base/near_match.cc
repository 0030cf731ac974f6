// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/near_match.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace shoji {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> NearMatches(std::string_view name, const std::vector<std::string>& candidates, size_t max) {
  std::vector<std::pair<size_t, std::string>> ranked;
  const size_t tolerance = std::max<size_t>(2, name.size() / 3);
  for (const std::string& candidate : candidates) {
    size_t distance = EditDistance(name.substr(0, 256), std::string_view(candidate).substr(0, 256));
    if (!name.empty() && candidate.find(name) != std::string::npos) {
      distance = std::min(distance, tolerance);
    }
    if (distance <= tolerance) {
      ranked.emplace_back(distance, candidate);
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (size_t i = 0; i < ranked.size() && i < max; ++i) {
    out.push_back(ranked[i].second);
  }
  return out;
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::vector<std::string> near = NearMatches(name, candidates);
  if (near.empty()) {
    return "";
  }
  std::string out = " (did you mean ";
  for (size_t i = 0; i < near.size(); ++i) {
    out += (i == 0 ? "" : ", ") + near[i];
  }
  return out + "?)";
}

}  // namespace shoji
