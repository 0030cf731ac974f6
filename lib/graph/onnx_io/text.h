// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <string_view>

namespace shoji::graph::onnx_io {

// `name` in backquotes, for messages: names come from the file, so control characters are shown as '?' and long ones
// are cut.
std::string Quoted(std::string_view name);

}  // namespace shoji::graph::onnx_io
