// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shoji {

// Up to `max` of `candidates` that a writer of `name` may have meant (small edit distance, or one contains the other),
// nearest first.
std::vector<std::string> NearMatches(std::string_view name, const std::vector<std::string>& candidates, size_t max = 3);

// " (did you mean a, b?)", or "" when nothing is near.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace shoji
