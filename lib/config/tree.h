// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a document becomes once yaml-cpp has read it. Private to lib/config.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace shoji::config {

struct Item;

struct MapEntry {
  std::string key;
  size_t key_line = 0;
  const Item* value = nullptr;
};

struct Item {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  enum class Quotes : uint8_t { kNone, kQuoted };

  Kind kind = Kind::kNull;
  Quotes quotes = Quotes::kNone;
  size_t line = 0;          // from 1
  size_t num_expanded = 1;  // this item and all below it, aliases expanded
  size_t height = 1;        // levels from here down, aliases expanded
  std::string text;         // scalar
  std::vector<const Item*> list;
  std::vector<MapEntry> map;  // in document order
};

// Aliases share their target, so the items form a DAG; an alias to an enclosing
// item is refused, so it has no cycle.
struct Tree {
  std::string name;
  std::deque<Item> items;  // stable addresses
  const Item* root = nullptr;
};

}  // namespace shoji::config
