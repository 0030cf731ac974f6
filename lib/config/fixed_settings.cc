// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/config/fixed_settings.h"

#include <optional>
#include <utility>

#include "lib/base/check.h"

namespace shoji::config {

void FixedSettings::Add(const Fields& top, std::string_view key, std::string value) {
  const size_t dot = key.find('.');
  const std::optional<Node> group = top.Find(key.substr(0, dot));
  std::string where = group.has_value() ? group->Where() : "";
  if (group.has_value() && dot != std::string_view::npos) {
    // Read before: it is a map of keys that are known.
    const auto entries = group->Entries();
    for (size_t i = 0; entries.ok() && i < entries->size(); ++i) {
      where = (*entries)[i].first == key.substr(dot + 1) ? (*entries)[i].second.Where() : where;
    }
  }
  settings_.push_back({std::string(key), std::move(value), std::move(where)});
}

absl::Status FixedSettings::CheckUnchanged(const FixedSettings& next) const {
  SHOJI_CHECK(settings_.size() == next.settings_.size());
  for (size_t i = 0; i < settings_.size(); ++i) {
    const Setting& was = settings_[i];
    const Setting& is = next.settings_[i];
    if (was.value != is.value) {
      const std::string& where = is.where.empty() ? was.where : is.where;
      return absl::FailedPreconditionError((where.empty() ? "" : where + ": ") + "'" + was.key +
                                           "' has changed, and only a restart changes it");
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::config
