// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A strict reader of YAML configuration. A document is hostile until it is
// read: its size, depth and alias expansion are bounded, duplicate keys, tags
// and merge keys are refused, and each value is asked for by type. Every error
// is INVALID_ARGUMENT (a file that cannot be read: as ReadFile) and names file,
// line and key:
//   server.yaml:7: key 'limits.queue': must be an integer from 0 to 100000, not
//   "many"
//
//   ASSIGN_OR_RETURN(const Document document, Document::Load("server.yaml"));
//   ASSIGN_OR_RETURN(const Fields top, document.root().Map({"listen",
//   "limits"}));   // any other key is an error ASSIGN_OR_RETURN(const
//   std::string listen, top.String("listen"));                // required
//   ASSIGN_OR_RETURN(const auto wait, top.DurationOr("wait",
//   std::chrono::seconds(5)));
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoji::config {

inline constexpr size_t kMaxDocumentBytes = size_t{1} << 20;
inline constexpr size_t kMaxDepth = 32;
// Values of the document after every alias is replaced by what it stands for.
inline constexpr size_t kMaxExpandedItems = 100'000;

struct Tree;  // lib/config/tree.h, private to this folder
struct Item;
class Fields;
class Node;

// One row of an enumeration's spelling: {"enclave", Placement::kEnclave}.
template <typename T>
using EnumTable = std::span<const std::pair<std::string_view, T>>;

// A parsed document. Copies are cheap and share it. Thread-compatible.
class Document {
 public:
  // RESOURCE_EXHAUSTED beyond `max_bytes`, which files of data may raise.
  static absl::StatusOr<Document> Load(const std::string& path, size_t max_bytes = kMaxDocumentBytes);
  // `name` stands for the file in errors; relative paths in the text are
  // resolved against its folder.
  static absl::StatusOr<Document> Parse(std::string_view text, const std::string& name,
                                        size_t max_bytes = kMaxDocumentBytes);

  Node root() const;

 private:
  explicit Document(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const Tree> tree_;
};

// What a daemon prints of a file that it is asked to check and finds nothing wrong with; one line.
std::string ValidText(const std::string& path);

// One value of a document and the key that leads to it. Copyable; keeps the
// document alive. Thread-compatible.
class Node {
 public:
  bool IsNull() const;
  bool IsScalar() const;
  bool IsList() const;
  bool IsMap() const;

  // The keys that lead here: "enclaves[0].name"; empty at the root.
  const std::string& key() const { return key_; }
  // "server.yaml:3: key 'limits.queue'"
  std::string Where() const;
  // INVALID_ARGUMENT "<Where()>: <what>".
  absl::Status Error(std::string_view what) const;
  // `status` with Where() before its message: for values that are checked
  // elsewhere.
  absl::Status Annotate(const absl::Status& status) const;

  // Any scalar but null, as written (quotes removed); not empty.
  absl::StatusOr<std::string> String() const;
  // true or false; quoted words, yes, no, on and off are refused.
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<int64_t> Int64(int64_t min = std::numeric_limits<int64_t>::min(),
                                int64_t max = std::numeric_limits<int64_t>::max()) const;
  absl::StatusOr<uint64_t> Uint64(uint64_t min = 0, uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  // Finite.
  absl::StatusOr<double> Double(double min = std::numeric_limits<double>::lowest(),
                                double max = std::numeric_limits<double>::max()) const;
  // A whole number and a unit: "250us", "500ms", "10s", "2m", "1h". Never
  // negative.
  absl::StatusOr<std::chrono::nanoseconds> Duration(
      std::chrono::nanoseconds min = std::chrono::nanoseconds::zero(),
      std::chrono::nanoseconds max = std::chrono::nanoseconds::max()) const;
  // A whole number and a unit: "512B", "64KiB", "64MiB", "4GiB". A bare number
  // is refused, except 0.
  absl::StatusOr<uint64_t> ByteSize(uint64_t min = 0, uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  // A path; one that is relative is taken from the document's folder.
  absl::StatusOr<std::string> Path() const;
  template <typename T>
  absl::StatusOr<T> Enum(EnumTable<T> table) const {
    std::vector<std::string> names;
    for (const auto& row : table) {
      names.emplace_back(row.first);
    }
    absl::StatusOr<size_t> index = EnumIndex(names);
    if (!index.ok()) {
      return index.status();
    }
    return table[*index].second;
  }

  absl::StatusOr<std::vector<Node>> List() const;
  absl::StatusOr<std::vector<std::string>> StringList() const;
  // A map whose keys are all in `allowed`.
  absl::StatusOr<Fields> Map(std::initializer_list<std::string_view> allowed) const;
  // A map with keys of the writer's choice, in document order.
  absl::StatusOr<std::vector<std::pair<std::string, Node>>> Entries() const;

  // The folder of the document, for resolving what is not simply a path; "."
  // when its name has no folder.
  std::string Folder() const;

 private:
  friend class Document;
  friend class Fields;
  Node(std::shared_ptr<const Tree> tree, const Item* item, std::string key, size_t line)
      : tree_(std::move(tree)), item_(item), key_(std::move(key)), line_(line) {}

  absl::Status Mismatch(std::string_view expected) const;
  absl::StatusOr<size_t> EnumIndex(const std::vector<std::string>& names) const;

  std::shared_ptr<const Tree> tree_;
  const Item* item_;
  std::string key_;
  size_t line_;
};

// The members of a map whose keys are known. `X(key)` is required, `XOr(key,
// value)` has a default. Thread-compatible.
class Fields {
 public:
  bool Has(std::string_view key) const { return Find(key).has_value(); }
  // nullopt when absent. A key with nothing behind it is present and null.
  std::optional<Node> Find(std::string_view key) const;
  absl::StatusOr<Node> Require(std::string_view key) const;
  // The map itself.
  const Node& node() const { return node_; }

  absl::StatusOr<std::string> String(std::string_view key) const;
  absl::StatusOr<std::string> StringOr(std::string_view key, std::string value) const;
  absl::StatusOr<std::string> Path(std::string_view key) const;
  // The default is taken as it is, not resolved.
  absl::StatusOr<std::string> PathOr(std::string_view key, std::string value) const;
  absl::StatusOr<bool> Bool(std::string_view key) const;
  absl::StatusOr<bool> BoolOr(std::string_view key, bool value) const;
  absl::StatusOr<int64_t> Int64(std::string_view key, int64_t min, int64_t max) const;
  absl::StatusOr<int64_t> Int64Or(std::string_view key, int64_t value, int64_t min, int64_t max) const;
  absl::StatusOr<uint64_t> Uint64(std::string_view key, uint64_t min, uint64_t max) const;
  absl::StatusOr<uint64_t> Uint64Or(std::string_view key, uint64_t value, uint64_t min, uint64_t max) const;
  absl::StatusOr<double> DoubleOr(std::string_view key, double value, double min, double max) const;
  absl::StatusOr<std::chrono::nanoseconds> Duration(std::string_view key) const;
  absl::StatusOr<std::chrono::nanoseconds> DurationOr(
      std::string_view key, std::chrono::nanoseconds value,
      std::chrono::nanoseconds min = std::chrono::nanoseconds::zero(),
      std::chrono::nanoseconds max = std::chrono::nanoseconds::max()) const;
  absl::StatusOr<uint64_t> ByteSize(std::string_view key) const;
  absl::StatusOr<uint64_t> ByteSizeOr(std::string_view key, uint64_t value, uint64_t min = 0,
                                      uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  // Absent: an empty list.
  absl::StatusOr<std::vector<Node>> ListOrEmpty(std::string_view key) const;
  absl::StatusOr<std::vector<Node>> List(std::string_view key) const;

  template <typename T>
  absl::StatusOr<T> Enum(std::string_view key, EnumTable<T> table) const {
    absl::StatusOr<Node> value = Require(key);
    if (!value.ok()) {
      return value.status();
    }
    return value->Enum(table);
  }
  template <typename T>
  absl::StatusOr<T> EnumOr(std::string_view key, T value, EnumTable<T> table) const {
    const std::optional<Node> found = Find(key);
    if (!found.has_value()) {
      return value;
    }
    return found->Enum(table);
  }

 private:
  friend class Node;
  explicit Fields(Node node) : node_(std::move(node)) {}
  Node node_;
};

}  // namespace shoji::config
