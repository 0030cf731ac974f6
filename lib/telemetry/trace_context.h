// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// W3C Trace Context (Recommendation of 2021-11-23), as it travels in the metadata of calls: chosen by the client,
// outside of everything that is sealed, passed on as it came, and logged.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shoji::telemetry {

// The key in gRPC metadata, and the only size that version 00 has.
inline constexpr char kTraceParentKey[] = "traceparent";
inline constexpr size_t kTraceParentSize = 55;

// `header` when it is a valid traceparent ("00-<32 hex>-<16 hex>-<2 hex>", lower case, neither id all zero); nullopt
// when it is anything else, which then is not passed on. A later version is read as far as 00 defines it.
std::optional<std::string> ParseTraceParent(std::string_view header);

// The trace id of a valid traceparent: 32 hexadecimal digits.
std::string_view TraceIdOf(std::string_view traceparent);

}  // namespace shoji::telemetry
