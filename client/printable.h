// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <string_view>

namespace shoji::client {

// `text` with '?' for all that a terminal may obey, or that makes a line read otherwise than it is: control characters,
// marks that reorder text or are not seen, separators of lines, and bytes that are no UTF-8. What servers say must not
// drive a terminal.
std::string Printable(std::string_view text);

}  // namespace shoji::client
