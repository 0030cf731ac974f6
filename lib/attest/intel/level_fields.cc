// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/level_fields.h"

#include <optional>
#include <utility>

namespace shoji::attest::intel {

absl::StatusOr<TcbVerdict> ReadVerdict(const Json& level) {
  TcbVerdict out;
  ASSIGN_OR_RETURN(const std::string name, StringMember(level, "tcbStatus"));
  const std::optional<TcbStatus> status = TcbStatusNamed(name);
  if (!status.has_value()) {
    return absl::InvalidArgumentError("the TCB status '" + name + "' is not known");
  }
  out.status = *status;
  ASSIGN_OR_RETURN(out.date, TimeMember(level, "tcbDate"));
  ASSIGN_OR_RETURN(out.advisories, OptionalStringArray(level, "advisoryIDs"));
  return out;
}

absl::StatusOr<std::vector<IsvLevel>> ReadIsvLevels(const Json& json) {
  ASSIGN_OR_RETURN(const Json* levels, ArrayMember(json, "tcbLevels"));
  std::vector<IsvLevel> out;
  for (const Json& level : *levels) {
    IsvLevel read;
    ASSIGN_OR_RETURN(const Json* tcb, ObjectMember(level, "tcb"));
    ASSIGN_OR_RETURN(const uint32_t isv_svn, UnsignedMember(*tcb, "isvsvn", UINT16_MAX));
    read.isv_svn = static_cast<uint16_t>(isv_svn);
    ASSIGN_OR_RETURN(read.verdict, ReadVerdict(level));
    out.push_back(std::move(read));
  }
  return out;
}

const IsvLevel* FindIsvLevel(const std::vector<IsvLevel>& levels, uint16_t isv_svn) {
  const auto found =
      std::find_if(levels.begin(), levels.end(), [isv_svn](const IsvLevel& level) { return level.isv_svn <= isv_svn; });
  return found == levels.end() ? nullptr : &*found;
}

absl::StatusOr<x509::Validity> ReadDates(const Json& json) {
  x509::Validity out;
  ASSIGN_OR_RETURN(out.from, TimeMember(json, "issueDate"));
  ASSIGN_OR_RETURN(out.until, TimeMember(json, "nextUpdate"));
  return out;
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&lower](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace shoji::attest::intel
