// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <optional>

#include "lib/base/status_macros.h"

namespace shoji::client::load {
namespace {

constexpr double kMaxLevel = 10'000'000;
constexpr size_t kMaxLevels = 1000;

std::optional<double> Number(std::string_view text) {
  double out = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out, std::chars_format::fixed);
  if (error != std::errc() || rest != text.data() + text.size() || text.empty() || text[0] == '-') {
    return std::nullopt;
  }
  return out;
}

absl::Status WrongSweep(std::string_view text, bool whole) {
  return absl::InvalidArgumentError("'" + std::string(text) + "' is neither " +
                                    (whole ? "a positive whole number" : "a positive number") +
                                    ", ten million at most, nor a sweep first:last:step of such, first <= last");
}

// Seconds: "50ms", "1.5s", "200us".
std::optional<double> Time(std::string_view text) {
  for (const auto& [unit, seconds] : {std::pair{"us", 1e-6}, std::pair{"ms", 1e-3}, std::pair{"s", 1.0}}) {
    if (text.ends_with(unit)) {
      const std::optional<double> number = Number(text.substr(0, text.size() - std::string_view(unit).size()));
      if (number.has_value()) {
        return *number * seconds;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::vector<double>> ParseSweep(std::string_view text, bool whole) {
  std::vector<double> parts;
  for (std::string_view rest = text;;) {
    const size_t colon = rest.find(':');
    const std::optional<double> part = Number(rest.substr(0, colon));
    if (!part.has_value() || *part <= 0 || *part > kMaxLevel || (whole && *part != std::floor(*part))) {
      return WrongSweep(text, whole);
    }
    parts.push_back(*part);
    if (colon == std::string_view::npos) {
      break;
    }
    rest = rest.substr(colon + 1);
  }
  if (parts.size() == 1) {
    return parts;
  }
  if (parts.size() != 3 || parts[0] > parts[1]) {
    return WrongSweep(text, whole);
  }
  const double count = std::floor((parts[1] - parts[0]) / parts[2] + 1e-9) + 1;
  if (count > static_cast<double>(kMaxLevels)) {
    return absl::InvalidArgumentError("'" + std::string(text) + "' has more than " + std::to_string(kMaxLevels) +
                                      " levels");
  }
  std::vector<double> levels;
  for (size_t i = 0; static_cast<double>(i) < count; ++i) {
    levels.push_back(parts[0] + static_cast<double>(i) * parts[2]);
  }
  return levels;
}

absl::StatusOr<Slo> ParseSlo(std::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      "'" + std::string(text) + "' is no bound such as p99=50ms, p99.9=1s, max=2s, errors=0.1% or rate=1000");
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return wrong;
  }
  const std::string_view name = text.substr(0, equals);
  const std::string_view value = text.substr(equals + 1);
  Slo slo;
  slo.text = std::string(text);
  std::optional<double> bound;
  if (name == "errors" && value.ends_with('%')) {
    slo.what = Slo::What::kErrors;
    bound = Number(value.substr(0, value.size() - 1));
    if (bound.has_value()) {
      *bound /= 100;
    }
  } else if (name == "rate") {
    slo.what = Slo::What::kRate;
    bound = Number(value);
  } else if (name == "max") {
    slo.what = Slo::What::kMax;
    bound = Time(value);
  } else if (name.starts_with('p')) {
    const auto* const quantile =
        std::find_if(std::begin(kQuantiles), std::end(kQuantiles), [&](const Quantile& q) { return name == q.name; });
    if (quantile == std::end(kQuantiles)) {
      return absl::InvalidArgumentError("'" + std::string(text) +
                                        "': the report states p50, p90, p95, p99, p99.9 and " +
                                        "max; bound one of these, as in p99=50ms");
    }
    slo.quantile = quantile->value;
    bound = Time(value);
  }
  if (!bound.has_value()) {
    return wrong;
  }
  slo.bound = *bound;
  return slo;
}

}  // namespace shoji::client::load
