// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/marks.h"

#include <cstring>

#include "tests/support/wiretap.h"

namespace shoji::testing {
namespace {

constexpr size_t kPixelWindow = 12;
constexpr size_t kFloatWindow = 16;

Bytes Raw(std::span<const float> values) {
  Bytes out(values.size_bytes());
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

}  // namespace

std::vector<Mark> PictureMarks(ByteSpan pixels, const image::Preprocessing& preprocessing) {
  const size_t channels = preprocessing.num_channels();
  const size_t area = pixels.size() / channels;
  Bytes planes;
  Bytes int8;
  Bytes int8_planes;
  std::vector<float> nchw(pixels.size());
  std::vector<float> nhwc(pixels.size());
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < area; ++i) {
      const uint8_t pixel = pixels[i * channels + c];
      planes.push_back(pixel);
      int8_planes.push_back(static_cast<uint8_t>(pixel ^ 0x80U));
      const float value =
          (static_cast<float>(pixel) * preprocessing.scale - preprocessing.mean[c]) / preprocessing.std[c];
      nchw[c * area + i] = value;
      nhwc[i * channels + c] = value;
    }
  }
  for (const uint8_t pixel : pixels) {
    int8.push_back(static_cast<uint8_t>(pixel ^ 0x80U));
  }
  return {{"8-bit pixels", {pixels.begin(), pixels.end()}, kPixelWindow},
          {"8-bit planes", planes, kPixelWindow},
          {"int8 pixels", int8, kPixelWindow},
          {"int8 planes", int8_planes, kPixelWindow},
          {"float32 NCHW", Raw(nchw), kFloatWindow},
          {"float32 NHWC", Raw(nhwc), kFloatWindow}};
}

Mark ResultMark(std::span<const float> scores) { return {"result", Raw(scores), 2 * sizeof(float)}; }

std::vector<std::string> Found(const std::vector<Mark>& marks, ByteSpan captured) {
  std::vector<std::string> out;
  for (const Mark& mark : marks) {
    if (ContainsAnyPart(captured, mark.bytes, mark.window)) {
      out.push_back(mark.name);
    }
  }
  return out;
}

}  // namespace shoji::testing
