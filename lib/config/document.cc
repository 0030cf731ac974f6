// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The one file that calls yaml-cpp. It takes the parser's events and not its
// nodes: events carry the line of every key, show duplicates, and let the
// limits act while the document is read.
#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/config/node.h"
#include "lib/config/tree.h"

namespace shoji::config {
namespace {

size_t LineOf(const YAML::Mark& mark) { return mark.line < 0 ? 1 : static_cast<size_t>(mark.line) + 1; }

std::string At(const std::string& name, size_t line) { return name + ":" + std::to_string(line) + ": "; }

// Builds a Tree from the parser's events. After the first error it ignores what
// follows.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Tree& tree) : tree_(tree) {}

  const absl::Status& status() const { return status_; }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (status_.ok()) {
      Remember(anchor, Place(NewItem(Item::Kind::kNull, mark)));
    }
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!status_.ok()) {
      return;
    }
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Fail(LineOf(mark), "an alias must not refer to a value that it is a part of");
      return;
    }
    line_ = LineOf(mark);
    Place(found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // "?" stands for a plain scalar, "!" for a quoted one.
    if (!status_.ok() || !CheckTag(mark, tag == "!" ? "" : tag)) {
      return;
    }
    const bool is_plain = tag != "!";
    const bool is_null = is_plain && (value.empty() || value == "~" || value == "null");
    Item* item = NewItem(is_null ? Item::Kind::kNull : Item::Kind::kScalar, mark);
    item->quotes = is_plain ? Item::Quotes::kNone : Item::Quotes::kQuoted;
    item->text = value;
    Remember(anchor, Place(item));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(Item::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(Item::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  enum class Expect : uint8_t { kKey, kValue };
  struct Level {
    Item* item;
    YAML::anchor_t anchor;
    Expect expect = Expect::kKey;
  };

  void Fail(size_t line, const std::string& what) { status_ = absl::InvalidArgumentError(At(tree_.name, line) + what); }

  bool CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?") {
      return true;
    }
    Fail(LineOf(mark), "tags such as \"" + tag.substr(0, 80) + "\" are not supported; remove it");
    return false;
  }

  Item* NewItem(Item::Kind kind, const YAML::Mark& mark) {
    Item& item = tree_.items.emplace_back();
    item.kind = kind;
    item.line = LineOf(mark);
    line_ = item.line;
    return &item;
  }

  void Remember(YAML::anchor_t anchor, const Item* item) {
    if (anchor != 0 && item != nullptr) {
      anchors_[anchor] = item;
    }
  }

  void Open(Item::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (!status_.ok() || !CheckTag(mark, tag)) {
      return;
    }
    if (stack_.size() >= kMaxDepth) {
      Fail(LineOf(mark), TooDeep());
      return;
    }
    stack_.push_back({NewItem(kind, mark), anchor});
  }

  // A list or map is placed in its parent when it is complete, which is when
  // its expanded size is known.
  void Close() {
    if (!status_.ok()) {
      return;
    }
    const Level level = stack_.back();
    stack_.pop_back();
    line_ = level.item->line;
    Remember(level.anchor, Place(level.item));
  }

  // Puts a complete item where the document is now. Returns it, or nullptr when
  // that failed.
  const Item* Place(const Item* item) {
    if (stack_.empty()) {
      tree_.root = item;
      return item;
    }
    Level& level = stack_.back();
    Item& parent = *level.item;
    if (parent.kind == Item::Kind::kMap && level.expect == Expect::kKey) {
      AddKey(parent, *item);
      level.expect = Expect::kValue;
      return status_.ok() ? item : nullptr;
    }
    level.expect = Expect::kKey;
    parent.num_expanded += item->num_expanded;
    parent.height = std::max(parent.height, item->height + 1);
    if (parent.num_expanded > kMaxExpandedItems) {
      Fail(line_,
           "the document has more than " + std::to_string(kMaxExpandedItems) + " values once its aliases are expanded");
      return nullptr;
    }
    if (stack_.size() + item->height > kMaxDepth) {
      Fail(line_, TooDeep());
      return nullptr;
    }
    if (parent.kind == Item::Kind::kMap) {
      parent.map.back().value = item;
    } else {
      parent.list.push_back(item);
    }
    return item;
  }

  void AddKey(Item& map, const Item& key) {
    if (key.kind != Item::Kind::kScalar) {
      Fail(line_, "a key must be a word, not a list, a map or nothing");
      return;
    }
    if (key.text == "<<") {
      Fail(line_, "merge keys (<<) are not supported; write the members out");
      return;
    }
    const auto [first, inserted] = first_lines_[&map].try_emplace(key.text, line_);
    if (!inserted) {
      Fail(line_, "key '" + key.text + "': stands here twice, first at line " + std::to_string(first->second));
      return;
    }
    map.map.push_back({key.text, line_, nullptr});
  }

  static std::string TooDeep() { return "nested deeper than " + std::to_string(kMaxDepth) + " levels"; }

  Tree& tree_;
  absl::Status status_;
  size_t line_ = 1;  // of the event at hand
  std::vector<Level> stack_;
  std::map<YAML::anchor_t, const Item*> anchors_;
  std::map<const Item*, std::map<std::string, size_t>> first_lines_;
};

absl::Status BuildTree(std::string_view text, Tree& tree) {
  // The document-end marker makes the parser notice a quote that is never closed, which it otherwise closes by itself.
  std::istringstream stream(std::string(text) + "\n...\n");
  Builder builder(tree);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    RETURN_IF_ERROR(builder.status());
    Tree rest;
    Builder ignored(rest);
    if (parser.HandleNextDocument(ignored)) {
      return absl::InvalidArgumentError(tree.name + ": holds more than one YAML document (a second \"---\")");
    }
  } catch (const YAML::Exception& error) {
    RETURN_IF_ERROR(builder.status());
    return absl::InvalidArgumentError(At(tree.name, LineOf(error.mark)) + "not valid YAML: " + error.msg);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(tree.name + ": not valid YAML: " + error.what());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Document> Document::Load(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(const Bytes content, ReadFile(path, max_bytes));
  return Parse({reinterpret_cast<const char*>(content.data()), content.size()}, path, max_bytes);
}

absl::StatusOr<Document> Document::Parse(std::string_view text, const std::string& name, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::ResourceExhaustedError(name + " has " + std::to_string(text.size()) + " bytes, more than the " +
                                        std::to_string(max_bytes) + " that are accepted");
  }
  if (text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(name + ": not valid YAML: holds a NUL byte");
  }
  auto tree = std::make_shared<Tree>();
  tree->name = name;
  RETURN_IF_ERROR(BuildTree(text, *tree));
  if (tree->root == nullptr) {
    tree->root = &tree->items.emplace_back();
  }
  return Document(std::move(tree));
}

std::string ValidText(const std::string& path) { return path + " is valid\n"; }

Node Document::root() const {
  const bool is_empty = tree_->root->kind == Item::Kind::kNull;
  return Node(tree_, tree_->root, "", is_empty ? 1 : tree_->root->line);
}

}  // namespace shoji::config
