// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What to look for in captured bytes: a picture and a result in every form they take on their way.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/image/preprocessing.h"

namespace shoji::testing {

struct Mark {
  std::string name;
  Bytes bytes;
  size_t window = 0;  // so many bytes in a row are a find
};

// `pixels` (height x width x channels, 8 bit) as they are, by planes, as int8, and normalized in both layouts.
std::vector<Mark> PictureMarks(ByteSpan pixels, const image::Preprocessing& preprocessing);
// Raw float32 scores.
Mark ResultMark(std::span<const float> scores);

// The names of those of `marks` of which a part occurs in `captured`.
std::vector<std::string> Found(const std::vector<Mark>& marks, ByteSpan captured);

}  // namespace shoji::testing
