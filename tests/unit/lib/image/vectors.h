// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The pictures of tests/vectors/image and what Pillow makes of them; make_goldens.py there wrote both.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/base/file.h"
#include "lib/digest/sha2.h"

namespace shoji::image {

inline Bytes ReadVector(const std::string& name) {
  absl::StatusOr<Bytes> file = ReadFile(SHOJI_SOURCE_DIR "/tests/vectors/image/" + name, 1 << 20);
  SHOJI_CHECK(file.ok());
  return *std::move(file);
}

inline nlohmann::json ReadGoldens(const std::string& section) {
  const Bytes text = ReadVector("goldens.json");
  return nlohmann::json::parse(text.begin(), text.end()).at(section);
}

inline std::string HexSha256(ByteSpan bytes) { return HexEncode(digest::Sha256(bytes)); }

}  // namespace shoji::image
