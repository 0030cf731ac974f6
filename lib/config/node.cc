// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/config/node.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "lib/base/near_match.h"
#include "lib/base/status_macros.h"
#include "lib/config/tree.h"

namespace shoji::config {
namespace {

template <typename T>
struct Unit {
  std::string_view name;
  T factor;
};
constexpr std::array<Unit<int64_t>, 5> kDurationUnits = {{
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};
constexpr std::array<Unit<uint64_t>, 5> kByteUnits = {{
    {"B", 1},
    {"KiB", uint64_t{1} << 10},
    {"MiB", uint64_t{1} << 20},
    {"GiB", uint64_t{1} << 30},
    {"TiB", uint64_t{1} << 40},
}};

// The whole of `text` as a decimal number.
template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return out;
}

template <typename T, size_t N>
std::optional<T> ParseWithUnit(std::string_view text, const std::array<Unit<T>, N>& units) {
  const size_t num_digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<T> count = ParseNumber<T>(text.substr(0, num_digits));
  if (!count.has_value()) {
    return std::nullopt;
  }
  for (const Unit<T>& unit : units) {
    T out{};
    if (unit.name == text.substr(num_digits) && !__builtin_mul_overflow(*count, unit.factor, &out)) {
      return out;
    }
  }
  return std::nullopt;
}

template <typename T>
std::string Range(T min, T max) {
  const bool has_min = std::is_unsigned_v<T> || min != std::numeric_limits<T>::lowest();
  const bool has_max = max != std::numeric_limits<T>::max();
  if (has_min && has_max) {
    return " from " + std::to_string(min) + " to " + std::to_string(max);
  }
  if (has_min) {
    return " of at least " + std::to_string(min);
  }
  return has_max ? " of at most " + std::to_string(max) : "";
}

// The largest unit that states `value` without a fraction.
template <typename T, size_t N>
std::string WithUnit(T value, const std::array<Unit<T>, N>& units) {
  for (size_t i = N; i-- > 0;) {
    if (value != 0 && value % units[i].factor == 0) {
      return std::to_string(value / units[i].factor) + std::string(units[i].name);
    }
  }
  return std::to_string(value / units[0].factor) + std::string(units[0].name);
}

// Text from the document, short and printable enough for one line of a message.
std::string Quote(std::string_view text) {
  constexpr size_t kMaxLength = 60;
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxLength)) {
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    out.push_back(is_control ? '?' : c);
  }
  return out + (text.size() > kMaxLength ? "...\"" : "\"");
}

}  // namespace

bool Node::IsNull() const { return item_->kind == Item::Kind::kNull; }
bool Node::IsScalar() const { return item_->kind == Item::Kind::kScalar; }
bool Node::IsList() const { return item_->kind == Item::Kind::kList; }
bool Node::IsMap() const { return item_->kind == Item::Kind::kMap; }

std::string Node::Where() const {
  const std::string place = tree_->name + ":" + std::to_string(line_);
  return key_.empty() ? place : place + ": key '" + key_ + "'";
}

absl::Status Node::Error(std::string_view what) const {
  return absl::InvalidArgumentError(Where() + ": " + std::string(what));
}

absl::Status Node::Annotate(const absl::Status& status) const {
  return status.ok() ? status : absl::Status(status.code(), Where() + ": " + std::string(status.message()));
}

absl::Status Node::Mismatch(std::string_view expected) const {
  std::string found;
  switch (item_->kind) {
    case Item::Kind::kNull:
      found = "nothing";
      break;
    case Item::Kind::kList:
      found = "a list";
      break;
    case Item::Kind::kMap:
      found = "a map";
      break;
    case Item::Kind::kScalar:
      found = item_->quotes == Item::Quotes::kQuoted ? "the quoted text " + Quote(item_->text) : Quote(item_->text);
      break;
  }
  return Error("must be " + std::string(expected) + ", not " + found);
}

absl::StatusOr<std::string> Node::String() const {
  if (!IsScalar() || item_->text.empty()) {
    return Mismatch("text");
  }
  return item_->text;
}

absl::StatusOr<bool> Node::Bool() const {
  if (IsScalar() && item_->quotes == Item::Quotes::kNone) {
    if (item_->text == "true") {
      return true;
    }
    if (item_->text == "false") {
      return false;
    }
  }
  return Mismatch("true or false");
}

absl::StatusOr<int64_t> Node::Int64(int64_t min, int64_t max) const {
  if (IsScalar() && item_->quotes == Item::Quotes::kNone) {
    const std::optional<int64_t> value = ParseNumber<int64_t>(item_->text);
    if (value.has_value() && *value >= min && *value <= max) {
      return *value;
    }
  }
  return Mismatch("an integer" + Range(min, max));
}

absl::StatusOr<uint64_t> Node::Uint64(uint64_t min, uint64_t max) const {
  if (IsScalar() && item_->quotes == Item::Quotes::kNone) {
    const std::optional<uint64_t> value = ParseNumber<uint64_t>(item_->text);
    if (value.has_value() && *value >= min && *value <= max) {
      return *value;
    }
  }
  return Mismatch("an integer" + Range(min, max));
}

absl::StatusOr<double> Node::Double(double min, double max) const {
  if (IsScalar() && item_->quotes == Item::Quotes::kNone) {
    const std::optional<double> value = ParseNumber<double>(item_->text);
    if (value.has_value() && std::isfinite(*value) && *value >= min && *value <= max) {
      return *value;
    }
  }
  return Mismatch("a number" + Range(min, max));
}

absl::StatusOr<std::chrono::nanoseconds> Node::Duration(std::chrono::nanoseconds min,
                                                        std::chrono::nanoseconds max) const {
  if (IsScalar()) {
    const std::optional<int64_t> value = ParseWithUnit(item_->text, kDurationUnits);
    if (value.has_value() && *value >= min.count() && *value <= max.count()) {
      return std::chrono::nanoseconds(*value);
    }
  }
  const bool is_brief = max < std::chrono::milliseconds(500);
  std::string expected = is_brief ? "a duration such as 0s, 300us or 5ms" : "a duration such as 500ms, 10s, 2m or 1h";
  if (min.count() > 0) {
    expected += ", at least " + WithUnit<int64_t>(min.count(), kDurationUnits);
  }
  if (max != std::chrono::nanoseconds::max()) {
    expected += ", at most " + WithUnit<int64_t>(max.count(), kDurationUnits);
  }
  return Mismatch(expected);
}

absl::StatusOr<uint64_t> Node::ByteSize(uint64_t min, uint64_t max) const {
  if (IsScalar()) {
    const std::optional<uint64_t> value =
        item_->text == "0" ? std::optional<uint64_t>(0) : ParseWithUnit(item_->text, kByteUnits);
    if (value.has_value() && *value >= min && *value <= max) {
      return *value;
    }
  }
  std::string expected = "a size such as 512B, 64KiB, 16MiB or 4GiB";
  if (min > 0) {
    expected += ", at least " + WithUnit<uint64_t>(min, kByteUnits);
  }
  if (max != std::numeric_limits<uint64_t>::max()) {
    expected += ", at most " + WithUnit<uint64_t>(max, kByteUnits);
  }
  return Mismatch(expected);
}

std::string Node::Folder() const {
  const std::string folder = std::filesystem::path(tree_->name).parent_path().string();
  return folder.empty() ? "." : folder;
}

absl::StatusOr<std::string> Node::Path() const {
  if (!IsScalar() || item_->text.empty()) {
    return Mismatch("a path");
  }
  const std::filesystem::path path(item_->text);
  return path.is_absolute() ? path.string() : (std::filesystem::path(Folder()) / path).lexically_normal().string();
}

absl::StatusOr<size_t> Node::EnumIndex(const std::vector<std::string>& names) const {
  if (IsScalar()) {
    const auto found = std::find(names.begin(), names.end(), item_->text);
    if (found != names.end()) {
      return static_cast<size_t>(found - names.begin());
    }
  }
  std::string expected = "one of ";
  for (size_t i = 0; i < names.size(); ++i) {
    expected += (i == 0 ? "" : ", ") + names[i];
  }
  const absl::Status mismatch = Mismatch(expected);
  return absl::InvalidArgumentError(std::string(mismatch.message()) +
                                    (IsScalar() ? DidYouMean(item_->text, names) : std::string()));
}

absl::StatusOr<std::vector<Node>> Node::List() const {
  if (!IsList()) {
    return Mismatch("a list");
  }
  std::vector<Node> out;
  out.reserve(item_->list.size());
  for (const Item* item : item_->list) {
    out.push_back(Node(tree_, item, key_ + "[" + std::to_string(out.size()) + "]", item->line));
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> Node::StringList() const {
  ASSIGN_OR_RETURN(const std::vector<Node> nodes, List());
  std::vector<std::string> out;
  out.reserve(nodes.size());
  for (const Node& node : nodes) {
    ASSIGN_OR_RETURN(std::string text, node.String());
    out.push_back(std::move(text));
  }
  return out;
}

absl::StatusOr<std::vector<std::pair<std::string, Node>>> Node::Entries() const {
  if (!IsMap()) {
    return Mismatch("a map");
  }
  std::vector<std::pair<std::string, Node>> out;
  out.reserve(item_->map.size());
  for (const MapEntry& entry : item_->map) {
    const std::string key = key_.empty() ? entry.key : key_ + "." + entry.key;
    out.emplace_back(entry.key, Node(tree_, entry.value, key, entry.key_line));
  }
  return out;
}

absl::StatusOr<Fields> Node::Map(std::initializer_list<std::string_view> allowed) const {
  if (!IsMap()) {
    return Mismatch("a map");
  }
  for (const MapEntry& entry : item_->map) {
    if (std::find(allowed.begin(), allowed.end(), entry.key) == allowed.end()) {
      const std::string prefix = key_.empty() ? "" : key_ + ".";
      const Node unknown(tree_, entry.value, prefix + Quote(entry.key).substr(1, Quote(entry.key).size() - 2),
                         entry.key_line);
      return unknown.Error("unknown key" + DidYouMean(entry.key, {allowed.begin(), allowed.end()}));
    }
  }
  return Fields(*this);
}

std::optional<Node> Fields::Find(std::string_view key) const {
  for (const MapEntry& entry : node_.item_->map) {
    if (entry.key == key) {
      const std::string path = node_.key_.empty() ? entry.key : node_.key_ + "." + entry.key;
      return Node(node_.tree_, entry.value, path, entry.key_line);
    }
  }
  return std::nullopt;
}

absl::StatusOr<Node> Fields::Require(std::string_view key) const {
  std::optional<Node> found = Find(key);
  if (!found.has_value()) {
    return node_.Error("the key '" + std::string(key) + "' is missing");
  }
  return *std::move(found);
}

absl::StatusOr<std::string> Fields::String(std::string_view key) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.String();
}
absl::StatusOr<std::string> Fields::StringOr(std::string_view key, std::string value) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->String() : absl::StatusOr<std::string>(std::move(value));
}
absl::StatusOr<std::string> Fields::Path(std::string_view key) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.Path();
}
absl::StatusOr<std::string> Fields::PathOr(std::string_view key, std::string value) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->Path() : absl::StatusOr<std::string>(std::move(value));
}
absl::StatusOr<bool> Fields::Bool(std::string_view key) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.Bool();
}
absl::StatusOr<bool> Fields::BoolOr(std::string_view key, bool value) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->Bool() : absl::StatusOr<bool>(value);
}
absl::StatusOr<int64_t> Fields::Int64(std::string_view key, int64_t min, int64_t max) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.Int64(min, max);
}
absl::StatusOr<int64_t> Fields::Int64Or(std::string_view key, int64_t value, int64_t min, int64_t max) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->Int64(min, max) : absl::StatusOr<int64_t>(value);
}
absl::StatusOr<uint64_t> Fields::Uint64(std::string_view key, uint64_t min, uint64_t max) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.Uint64(min, max);
}
absl::StatusOr<uint64_t> Fields::Uint64Or(std::string_view key, uint64_t value, uint64_t min, uint64_t max) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->Uint64(min, max) : absl::StatusOr<uint64_t>(value);
}
absl::StatusOr<double> Fields::DoubleOr(std::string_view key, double value, double min, double max) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->Double(min, max) : absl::StatusOr<double>(value);
}
absl::StatusOr<std::chrono::nanoseconds> Fields::Duration(std::string_view key) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.Duration();
}
absl::StatusOr<std::chrono::nanoseconds> Fields::DurationOr(std::string_view key, std::chrono::nanoseconds value,
                                                            std::chrono::nanoseconds min,
                                                            std::chrono::nanoseconds max) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->Duration(min, max) : absl::StatusOr<std::chrono::nanoseconds>(value);
}
absl::StatusOr<uint64_t> Fields::ByteSize(std::string_view key) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.ByteSize();
}
absl::StatusOr<uint64_t> Fields::ByteSizeOr(std::string_view key, uint64_t value, uint64_t min, uint64_t max) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->ByteSize(min, max) : absl::StatusOr<uint64_t>(value);
}
absl::StatusOr<std::vector<Node>> Fields::ListOrEmpty(std::string_view key) const {
  const std::optional<Node> node = Find(key);
  return node.has_value() ? node->List() : absl::StatusOr<std::vector<Node>>(std::vector<Node>());
}
absl::StatusOr<std::vector<Node>> Fields::List(std::string_view key) const {
  ASSIGN_OR_RETURN(const Node node, Require(key));
  return node.List();
}

}  // namespace shoji::config
