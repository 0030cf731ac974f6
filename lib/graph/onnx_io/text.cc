// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {

std::string Quoted(std::string_view name) {
  constexpr size_t kMaxShown = 120;
  std::string out = "`";
  for (const char c : name.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  out += name.size() > kMaxShown ? "...`" : "`";
  return out;
}

}  // namespace shoji::graph::onnx_io
