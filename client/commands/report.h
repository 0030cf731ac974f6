// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/session.h"

namespace shoji::client {

struct RankedClass {
  size_t index = 0;
  std::string label;                  // "class 7" where the model has no labels
  float score = 0;                    // as the model gave it
  std::optional<double> probability;  // where all scores are known
};

// The `top` largest of `scores`, largest first (of equals, the smaller index first). Their probability is the score
// itself where the scores are probabilities already (none negative, sum 1), else the softmax.
std::vector<RankedClass> Rank(std::span<const float> scores, const std::vector<std::string>& labels, size_t top);

// One picture's answer, and one picture's error, as printed. JSON is one object a line, and holds every output in full.
std::string AnswerText(const std::string& picture, const Answer& answer, size_t top);
std::string AnswerJson(const std::string& picture, const Answer& answer, size_t top);
std::string ErrorJson(const std::string& picture, const absl::Status& status);

}  // namespace shoji::client
