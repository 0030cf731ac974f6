// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <turbojpeg.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "lib/base/status_macros.h"
#include "lib/image/decoders.h"

namespace shoji::image {
namespace {

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Decompressor = std::unique_ptr<void, Destroy>;

absl::Status Damaged(const Decompressor& jpeg) {
  return absl::InvalidArgumentError(std::string("not a whole JPEG file: ") + tjGetErrorStr2(jpeg.get()));
}

// a * b / 255, rounded, for a and b from 0 to 255.
uint32_t MulDiv255(uint32_t a, uint32_t b) {
  const uint32_t t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Adobe stores CMYK inverted, and there is no other kind in practice: 255 means no ink.
void AdobeCmykToRgb(ByteSpan cmyk, std::span<uint8_t> rgb) {
  for (size_t i = 0; i < rgb.size() / 3; ++i) {
    const uint32_t white = cmyk[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const uint32_t ink = 255U - cmyk[4 * i + c];
      rgb[3 * i + c] = static_cast<uint8_t>(white - MulDiv255(ink, white));
    }
  }
}

// The decoder's defaults are what everyone's pixels are: the accurate integer DCT and smooth chroma upsampling. A
// warning means damaged data and stops it; the scan limit keeps a small progressive file from taking minutes.
constexpr int kFlags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;

absl::Status Decompress(const Decompressor& jpeg, ByteSpan file, TJPF format, const Image& size, uint8_t* out) {
  if (tjDecompress2(jpeg.get(), file.data(), file.size(), out, static_cast<int>(size.width()), 0,
                    static_cast<int>(size.height()), format, kFlags) != 0) {
    return Damaged(jpeg);
  }
  return absl::OkStatus();
}

struct Header {
  int width = 0;
  int height = 0;
  int colorspace = -1;
};

absl::StatusOr<Header> ReadHeader(const Decompressor& jpeg, ByteSpan file) {
  Header header;
  int subsampling = 0;
  // It also fails, with the rest filled in, for a rare chroma subsampling that it has no name for but can decode.
  const int result = tjDecompressHeader3(jpeg.get(), file.data(), file.size(), &header.width, &header.height,
                                         &subsampling, &header.colorspace);
  if (header.width < 0 || header.height < 0 || (result != 0 && (header.width == 0 || header.colorspace < 0))) {
    return Damaged(jpeg);
  }
  RETURN_IF_ERROR(CheckSize(static_cast<uint64_t>(header.width), static_cast<uint64_t>(header.height)));
  return header;
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(ByteSpan file) {
  const Decompressor jpeg(tjInitDecompress());
  if (jpeg == nullptr) {
    return absl::InternalError("libjpeg-turbo does not start");
  }
  ASSIGN_OR_RETURN(const Header header, ReadHeader(jpeg, file));
  Image image(static_cast<size_t>(header.width), static_cast<size_t>(header.height), 3);
  if (header.colorspace == TJCS_CMYK || header.colorspace == TJCS_YCCK) {
    Tensor cmyk(DataType::kUint8, Shape({header.height, header.width, 4}));
    const absl::Status status = Decompress(jpeg, file, TJPF_CMYK, image, cmyk.mutable_bytes().data());
    if (status.ok()) {
      AdobeCmykToRgb(cmyk.bytes(), image.mutable_pixels());
    }
    cmyk.Wipe();
    RETURN_IF_ERROR(status);
  } else {
    RETURN_IF_ERROR(Decompress(jpeg, file, TJPF_RGB, image, image.mutable_pixels().data()));
  }
  return image;
}

}  // namespace shoji::image
