// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/telemetry/trace_context.h"

#include <algorithm>

namespace shoji::telemetry {
namespace {

constexpr size_t kTraceIdAt = 3;
constexpr size_t kTraceIdSize = 32;
constexpr size_t kParentIdAt = 36;
constexpr size_t kParentIdSize = 16;

bool IsLowerHex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c == '0'; });
}

}  // namespace

std::optional<std::string> ParseTraceParent(std::string_view header) {
  if (header.size() < kTraceParentSize) {
    return std::nullopt;
  }
  const std::string_view version = header.substr(0, 2);
  // Version 00 ends here; a later one may go on behind a dash.
  const bool ends = header.size() == kTraceParentSize || (version != "00" && header[kTraceParentSize] == '-');
  const std::string_view head = header.substr(0, kTraceParentSize);
  const std::string_view trace_id = head.substr(kTraceIdAt, kTraceIdSize);
  const std::string_view parent_id = head.substr(kParentIdAt, kParentIdSize);
  if (!ends || version == "ff" || !IsLowerHex(version) || head[2] != '-' || head[kTraceIdAt + kTraceIdSize] != '-' ||
      head[kParentIdAt + kParentIdSize] != '-' || !IsLowerHex(trace_id) || IsZero(trace_id) || !IsLowerHex(parent_id) ||
      IsZero(parent_id) || !IsLowerHex(head.substr(53))) {
    return std::nullopt;
  }
  return "00" + std::string(head.substr(2));
}

std::string_view TraceIdOf(std::string_view traceparent) { return traceparent.substr(kTraceIdAt, kTraceIdSize); }

}  // namespace shoji::telemetry
