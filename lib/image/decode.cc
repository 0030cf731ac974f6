// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/decode.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/status/status.h"
#include "lib/image/decoders.h"

namespace shoji::image {
namespace {

constexpr std::array<uint8_t, 8> kPngSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::array<uint8_t, 3> kJpegSignature = {0xff, 0xd8, 0xff};
constexpr std::array<uint8_t, 2> kBmpSignature = {'B', 'M'};

bool StartsWith(ByteSpan file, ByteSpan signature) {
  return file.size() >= signature.size() && std::equal(signature.begin(), signature.end(), file.begin());
}

absl::StatusOr<Image> DecodeAny(ByteSpan file) {
  if (StartsWith(file, kPngSignature)) {
    return DecodePng(file);
  }
  if (StartsWith(file, kJpegSignature)) {
    return DecodeJpeg(file);
  }
  if (StartsWith(file, kBmpSignature)) {
    return DecodeBmp(file);
  }
  return absl::InvalidArgumentError(file.empty() ? "the file is empty"
                                                 : "not a picture that can be read (PNG, JPEG and BMP can)");
}

}  // namespace

absl::StatusOr<Image> Decode(ByteSpan file, std::string_view name) {
  absl::StatusOr<Image> image = DecodeAny(file);
  if (!image.ok()) {
    return absl::InvalidArgumentError(std::string(name) + ": " + std::string(image.status().message()));
  }
  return image;
}

}  // namespace shoji::image
