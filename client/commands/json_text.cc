// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/json_text.h"

#include <nlohmann/json.hpp>

namespace shoji::client {

std::string JsonText(const nlohmann::ordered_json& json, int indent) {
  const std::string text =
      json.dump(indent, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace);
  std::string out;
  for (const char c : text) {
    // DEL is ASCII, and stands only inside strings.
    if (c == '\x7f') {
      out += "\\u007f";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace shoji::client
