// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace shoji::client {

// `json` in printable ASCII, so that no terminal obeys what a server says; what is no UTF-8 is replaced. `indent` of
// -1: on one line.
std::string JsonText(const nlohmann::ordered_json& json, int indent);

}  // namespace shoji::client
