// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "lib/config/node.h"

namespace shoji::config {

// The settings of a daemon that only a restart changes, as one reading of its file has them: a reload that finds one
// changed refuses it by name, so that nobody believes it to be in force. Copyable; thread-compatible.
class FixedSettings {
 public:
  // Adds `key` of `top`, "listen" or "limits.queue", which the file may leave out. What is compared is `value`, as it
  // was read: a default that the file comes to write out has not changed.
  void Add(const Fields& top, std::string_view key, std::string value);
  // FAILED_PRECONDITION, with place and key, where `next`, made by the same calls, has another value.
  absl::Status CheckUnchanged(const FixedSettings& next) const;

 private:
  struct Setting {
    std::string key;
    std::string value;
    std::string where;  // "server.yaml:3: key 'limits.queue'", or of the group; empty where the file has neither
  };
  std::vector<Setting> settings_;
};

}  // namespace shoji::config
