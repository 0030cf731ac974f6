// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/hostile_control.h"

#include <sstream>

#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::testing {
namespace {

constexpr size_t kMaxFile = 1 << 16;

}  // namespace

std::string ToText(const HostileOrder& order) {
  const char* kind = order.kind == HostileOrder::Kind::kNone     ? "none"
                     : order.kind == HostileOrder::Kind::kRandom ? "random"
                                                                 : NameOf(order.attack);
  return std::string(kind) + " " + std::to_string(order.one_in) + "\n";
}

absl::StatusOr<HostileOrder> ParseOrder(const std::string& text) {
  std::istringstream in(text);
  std::string kind;
  HostileOrder order;
  in >> kind;
  if (kind == "random") {
    order.kind = HostileOrder::Kind::kRandom;
  } else if (kind != "none") {
    const std::optional<Attack> attack = ParseAttack(kind);
    if (!attack.has_value()) {
      return absl::InvalidArgumentError("'" + kind + "' is neither none, nor random, nor an attack");
    }
    order.kind = HostileOrder::Kind::kOne;
    order.attack = *attack;
  }
  if (!(in >> std::ws).eof() && (!(in >> order.one_in) || order.one_in == 0)) {
    return absl::InvalidArgumentError("after " + kind + " comes a number of executions, from 1");
  }
  return order;
}

std::string ToText(const HostileStatus& status) {
  std::ostringstream out;
  out << "executions " << status.executions << "\nattacks " << status.attacks << "\n";
  if (status.last.has_value()) {
    out << "last " << NameOf(*status.last) << "\n";
  }
  for (const auto& [attack, count] : status.of) {
    out << NameOf(attack) << " " << count << "\n";
  }
  return out.str();
}

absl::StatusOr<HostileStatus> ParseStatus(const std::string& text) {
  std::istringstream in(text);
  HostileStatus status;
  std::string name;
  std::string value;
  while (in >> name >> value) {
    const std::optional<Attack> attack = ParseAttack(name == "last" ? value : name);
    if (name == "last" && attack.has_value()) {
      status.last = attack;
      continue;
    }
    uint64_t count = 0;
    if (!(std::istringstream(value) >> count)) {
      return absl::InvalidArgumentError("no count of " + name);
    }
    if (name == "executions") {
      status.executions = count;
    } else if (name == "attacks") {
      status.attacks = count;
    } else if (attack.has_value()) {
      status.of[*attack] = count;
    } else {
      return absl::InvalidArgumentError("'" + name + "' is no attack");
    }
  }
  return status;
}

absl::Status WriteOrder(const std::string& control_file, const HostileOrder& order) {
  return WriteFileAtomically(control_file, AsBytes(ToText(order)));
}

absl::StatusOr<HostileStatus> ReadStatus(const std::string& status_file) {
  const absl::StatusOr<Bytes> text = ReadFile(status_file, kMaxFile);
  if (absl::IsNotFound(text.status())) {
    return HostileStatus();
  }
  RETURN_IF_ERROR(text.status());
  return ParseStatus(ToString(*text));
}

}  // namespace shoji::testing
