// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/rpc/address.h"

namespace shoji::testing {

// What GET `path` answers, head and body.
absl::StatusOr<std::string> HttpGet(const rpc::Address& address, std::string_view path);
// The page of metrics at `address`.
absl::StatusOr<std::string> Scrape(const rpc::Address& address);

// Where a process says in its log that it serves metrics.
absl::StatusOr<rpc::Address> MetricsAddressIn(const std::string& log);

// The value of a series as the page writes it, `shoji_x_total` or `shoji_x_total{a="b"}`; nullopt: it is not there.
std::optional<double> SeriesIn(std::string_view page, std::string_view series);

}  // namespace shoji::testing
