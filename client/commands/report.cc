// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "client/commands/arguments.h"
#include "client/commands/json_text.h"
#include "lib/base/reason.h"

namespace shoji::client {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) { return JsonText(json, -1) + "\n"; }

bool AreProbabilities(std::span<const float> scores) {
  double sum = 0;
  for (const float score : scores) {
    if (!(score >= 0)) {
      return false;
    }
    sum += score;
  }
  return scores.size() > 1 && std::abs(sum - 1) < 1e-3;
}

// What exp(score) is divided by, relative to exp(largest).
double SoftmaxDenominator(std::span<const float> scores, float largest) {
  double sum = 0;
  for (const float score : scores) {
    sum += std::exp(static_cast<double>(score) - static_cast<double>(largest));
  }
  return sum;
}

// How many of the ranked classes the model's owner lets a client know; the others are not their own scores.
size_t KnownOf(size_t top, const Answer& answer) {
  const auto& sealed = answer.model->manifest.sealed;
  const bool limited = sealed.has_value() && sealed->results.form() == attest::ResultForm::kTopK;
  return limited ? std::min<size_t>(top, sealed->results.parameter()) : top;
}

// By answers that their owner limits, what stands in the place of the other scores says nothing.
std::vector<RankedClass> RankedOf(const Answer& answer, size_t top) {
  std::vector<RankedClass> ranked =
      Rank(answer.outputs.front().values<float>(), answer.model->labels, KnownOf(top, answer));
  const auto& sealed = answer.model->manifest.sealed;
  if (sealed.has_value() && sealed->results.form() != attest::ResultForm::kScores) {
    for (RankedClass& entry : ranked) {
      entry.probability.reset();
    }
  }
  return ranked;
}

}  // namespace

std::vector<RankedClass> Rank(std::span<const float> scores, const std::vector<std::string>& labels, size_t top) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto better = [&](size_t a, size_t b) {
    // A NaN comes last, which keeps this an order.
    if (std::isnan(scores[a]) || std::isnan(scores[b])) {
      return std::isnan(scores[b]) && (!std::isnan(scores[a]) || a < b);
    }
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  top = std::min(top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(), better);

  std::vector<RankedClass> out;
  const bool are_probabilities = AreProbabilities(scores);
  const float largest = top == 0 ? 0 : scores[order[0]];
  const double denominator = are_probabilities ? 1 : SoftmaxDenominator(scores, largest);
  for (size_t i = 0; i < top; ++i) {
    RankedClass& entry = out.emplace_back();
    entry.index = order[i];
    entry.label = labels.size() == scores.size() ? Printable(labels[order[i]]) : "class " + std::to_string(order[i]);
    entry.score = scores[order[i]];
    const auto score = static_cast<double>(entry.score);
    entry.probability = are_probabilities ? score : std::exp(score - static_cast<double>(largest)) / denominator;
  }
  return out;
}

std::string AnswerText(const std::string& picture, const Answer& answer, size_t top) {
  const std::vector<RankedClass> ranked = RankedOf(answer, top);
  size_t width = 0;
  for (const RankedClass& entry : ranked) {
    width = std::max(width, entry.label.size());
  }
  std::string out = Printable(picture) + "\n";
  for (size_t i = 0; i < ranked.size(); ++i) {
    char score[40];
    std::snprintf(score, sizeof(score), "  score %.6g", static_cast<double>(ranked[i].score));
    char probability[40] = "";
    if (ranked[i].probability.has_value()) {
      std::snprintf(probability, sizeof(probability), "  probability %.4f", *ranked[i].probability);
    }
    std::string place = std::to_string(i + 1);
    place.insert(0, place.size() < 4 ? 4 - place.size() : 0, ' ');
    out +=
        place + "  " + ranked[i].label + std::string(width - ranked[i].label.size(), ' ') + probability + score + "\n";
  }
  const auto& sealed = answer.model->manifest.sealed;
  if (sealed.has_value() && sealed->results.form() != attest::ResultForm::kScores) {
    out += "      results as the model's owner lets them leave: " + sealed->results.ToString() + "\n";
  }
  return out;
}

std::string AnswerJson(const std::string& picture, const Answer& answer, size_t top) {
  Json json;
  json["picture"] = picture;
  json["model"] = answer.model->manifest.name;
  json["top"] = Json::array();
  for (const RankedClass& entry : RankedOf(answer, top)) {
    Json ranked = {{"index", entry.index}, {"label", entry.label}, {"score", entry.score}};
    if (entry.probability.has_value()) {
      ranked["probability"] = *entry.probability;
    }
    json["top"].push_back(std::move(ranked));
  }
  json["outputs"] = Json::array();
  for (size_t i = 0; i < answer.outputs.size(); ++i) {
    const Tensor& output = answer.outputs[i];
    const std::span<const float> values = output.values<float>();
    json["outputs"].push_back({{"name", answer.model->manifest.outputs[i].name},
                               {"shape", output.shape().dims()},
                               {"values", std::vector<float>(values.begin(), values.end())}});
  }
  return Dump(json);
}

std::string ErrorJson(const std::string& picture, const absl::Status& status) {
  Json json;
  json["picture"] = picture;
  json["error"] = {{"code", std::string(absl::StatusCodeToString(status.code()))},
                   {"reason", NameOf(ReasonOf(status))},
                   {"message", std::string(status.message())}};
  return Dump(json);
}

}  // namespace shoji::client
