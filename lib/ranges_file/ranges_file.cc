// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/ranges_file/ranges_file.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/ranges_file/packed_rounding.h"

namespace shoji::ranges_file {
namespace {

using quantization::CalibrationMethod;
using quantization::Range;

constexpr std::pair<std::string_view, CalibrationMethod> kMethods[] = {
    {"minmax", CalibrationMethod::kMinMax},
    {"percentile", CalibrationMethod::kPercentile},
    {"mse", CalibrationMethod::kMeanSquaredError},
};
constexpr uint64_t kMaxImages = uint64_t{1} << 40;
constexpr uint64_t kMaxWeights = uint64_t{1} << 31;
constexpr size_t kMaxFileBytes = size_t{1} << 28;

// The value of a lower-case hexadecimal digit, or -1.
int DigitOf(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

absl::StatusOr<digest::Sha256Digest> ReadDigest(const config::Fields& fields) {
  ASSIGN_OR_RETURN(const config::Node node, fields.Require("model"));
  ASSIGN_OR_RETURN(const std::string text, node.String());
  digest::Sha256Digest out = {};
  bool is_good = text.size() == 2 * out.size();
  for (size_t i = 0; is_good && i < out.size(); ++i) {
    const int high = DigitOf(text[2 * i]);
    const int low = DigitOf(text[2 * i + 1]);
    is_good = high >= 0 && low >= 0;
    out[i] = static_cast<uint8_t>(is_good ? high * 16 + low : 0);
  }
  if (!is_good) {
    return node.Error("must be the SHA-256 of the model's file, 64 digits of lower-case hexadecimal");
  }
  return out;
}

absl::StatusOr<Range> ReadEnds(const config::Node& node) {
  // Everything up to here rounds to the largest float32, also that number as written with nine digits.
  constexpr double kMax = 0x1.fffffefp127;
  ASSIGN_OR_RETURN(const std::vector<config::Node> ends, node.List());
  if (ends.size() != 2) {
    return node.Error("must be [min, max], not a list of " + std::to_string(ends.size()));
  }
  ASSIGN_OR_RETURN(const double min, ends[0].Double(-kMax, kMax));
  ASSIGN_OR_RETURN(const double max, ends[1].Double(-kMax, kMax));
  if (min > max) {
    return node.Error("its min is above its max");
  }
  return Range{static_cast<float>(min), static_cast<float>(max)};
}

// Numbers with spaces between them: a list would take a node of YAML for each.
absl::StatusOr<std::vector<float>> ReadNumbers(const config::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, node.String());
  std::vector<float> out;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    float value = 0;
    const std::from_chars_result result = std::from_chars(at, end, value);
    const bool ends_well = result.ptr == end || (*result.ptr == ' ' && result.ptr + 1 != end);
    if (result.ec != std::errc() || !std::isfinite(value) || !ends_well) {
      return node.Error("must be finite numbers with one space between them; the number " +
                        std::to_string(out.size() + 1) + " is not");
    }
    out.push_back(value);
    at = result.ptr == end ? end : result.ptr + 1;
  }
  return out;
}

absl::Status ReadRounding(const config::Fields& fields, Range& range) {
  const std::optional<config::Node> node = fields.Find("rounding");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const uint64_t num_weights, fields.Uint64("weights", 1, kMaxWeights));
  ASSIGN_OR_RETURN(const std::string text, node->String());
  std::optional<std::vector<int8_t>> rounding = UnpackRounding(text, num_weights);
  if (!rounding.has_value()) {
    return node->Error("is not the packed rounding of " + std::to_string(num_weights) + " weights");
  }
  range.rounding = *std::move(rounding);
  return absl::OkStatus();
}

absl::StatusOr<Range> ReadRange(const config::Node& node) {
  if (!node.IsMap()) {
    return ReadEnds(node);
  }
  ASSIGN_OR_RETURN(const config::Fields fields,
                   node.Map({"range", "scales", "correction", "weights", "rounding"}));
  ASSIGN_OR_RETURN(const config::Node ends, fields.Require("range"));
  ASSIGN_OR_RETURN(Range range, ReadEnds(ends));
  if (const std::optional<config::Node> scales = fields.Find("scales")) {
    ASSIGN_OR_RETURN(range.scales, ReadNumbers(*scales));
  }
  if (const std::optional<config::Node> correction = fields.Find("correction")) {
    ASSIGN_OR_RETURN(range.correction, ReadNumbers(*correction));
  }
  RETURN_IF_ERROR(ReadRounding(fields, range));
  if (const absl::Status status = quantization::Validate({{node.key(), range}}); !status.ok()) {
    return node.Annotate(status);
  }
  return range;
}

absl::StatusOr<RangesFile> Read(const config::Document& document) {
  ASSIGN_OR_RETURN(const config::Fields fields, document.root().Map({"model", "method", "images", "ranges"}));
  RangesFile file;
  ASSIGN_OR_RETURN(file.model, ReadDigest(fields));
  ASSIGN_OR_RETURN(file.method, fields.Enum<CalibrationMethod>("method", kMethods));
  ASSIGN_OR_RETURN(file.num_images, fields.Uint64("images", 1, kMaxImages));
  ASSIGN_OR_RETURN(const config::Node ranges, fields.Require("ranges"));
  ASSIGN_OR_RETURN(const auto entries, ranges.Entries());
  if (entries.empty()) {
    return ranges.Error("holds no range");
  }
  for (const auto& [name, node] : entries) {
    ASSIGN_OR_RETURN(Range range, ReadRange(node));
    file.ranges.emplace(name, std::move(range));
  }
  return file;
}

// As a double-quoted scalar.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      std::array<char, 8> escape = {};
      std::snprintf(escape.data(), escape.size(), "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// With the digits that tell any two of float32 apart.
std::string Number(float value) {
  std::array<char, 32> text = {};
  std::snprintf(text.data(), text.size(), "%.9g", static_cast<double>(value));
  return text.data();
}

std::string Numbers(const std::vector<float>& values) {
  std::string out = "\"";
  for (size_t i = 0; i < values.size(); ++i) {
    out += (i == 0 ? "" : " ") + Number(values[i]);
  }
  return out + "\"";
}

std::string ToYaml(const std::string& name, const Range& range) {
  const std::string ends = "[" + Number(range.min) + ", " + Number(range.max) + "]";
  std::string out = "  " + Quoted(name) + ":";
  if (range.scales.empty() && range.correction.empty() && range.rounding.empty()) {
    return out + " " + ends + "\n";
  }
  out += "\n    range: " + ends + "\n";
  if (!range.scales.empty()) {
    out += "    scales: " + Numbers(range.scales) + "\n";
  }
  if (!range.correction.empty()) {
    out += "    correction: " + Numbers(range.correction) + "\n";
  }
  if (!range.rounding.empty()) {
    out += "    weights: " + std::to_string(range.rounding.size()) + "\n";
    out += "    rounding: \"" + PackRounding(range.rounding) + "\"\n";
  }
  return out;
}

}  // namespace

const char* NameOf(CalibrationMethod method) {
  for (const auto& [name, value] : kMethods) {
    if (value == method) {
      return name.data();
    }
  }
  return "?";
}

absl::StatusOr<RangesFile> LoadRanges(const std::string& path) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Load(path, kMaxFileBytes));
  return Read(document);
}

absl::StatusOr<RangesFile> ParseRanges(std::string_view text, const std::string& name) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Parse(text, name, kMaxFileBytes));
  return Read(document);
}

std::string ToYaml(const RangesFile& file) {
  std::string out = "# Activation ranges, as `shoji-model calibrate` found them.\n";
  out += "model: " + Quoted(HexEncode(file.model)) + "\n";
  out += std::string("method: ") + NameOf(file.method) + "\n";
  out += "images: " + std::to_string(file.num_images) + "\n";
  out += "ranges:\n";
  for (const auto& [name, range] : file.ranges) {
    out += ToYaml(name, range);
  }
  return out;
}

absl::Status SaveRanges(const std::string& path, const RangesFile& file) {
  return WriteFileAtomically(path, AsBytes(ToYaml(file)));
}

std::string RangesPathOf(const std::string& model_path) {
  constexpr std::string_view kExtension = ".onnx";
  std::string_view stem = model_path;
  if (stem.size() > kExtension.size() && stem.substr(stem.size() - kExtension.size()) == kExtension) {
    stem.remove_suffix(kExtension.size());
  }
  return std::string(stem) + ".ranges.yaml";
}

}  // namespace shoji::ranges_file
