// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// BMP through stb_image, which reads past the end of a file as zeros and leaves missing palette entries uninitialized.
// So this file checks the few header fields that decide where the bytes are, and hands on a palette of full length.
#include <strings.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "lib/base/status_macros.h"
#include "lib/image/decoders.h"
#include "lib/image/stb_bmp.h"

namespace shoji::image {
namespace {

constexpr size_t kFileHeaderLen = 14;
constexpr size_t kInfoHeaderLen = 40;

struct Header {
  size_t pixels_at = 0;
  size_t info_len = 0;
  int64_t width = 0;
  int64_t height = 0;  // positive; rows come bottom up unless `top_down`
  bool top_down = false;
  uint32_t bits = 0;
  uint32_t compression = 0;
};

uint32_t LittleEndian(ByteSpan file, size_t at, size_t len) {
  uint32_t value = 0;
  for (size_t i = 0; i < len; ++i) {
    value |= uint32_t{file[at + i]} << (8 * i);
  }
  return value;
}

absl::Status Damaged(const std::string& what) { return absl::InvalidArgumentError("not a whole BMP file: " + what); }

absl::StatusOr<Header> ParseHeader(ByteSpan file) {
  if (file.size() < kFileHeaderLen + 12) {
    return Damaged("the file is cut short");
  }
  Header header;
  header.pixels_at = LittleEndian(file, 10, 4);
  header.info_len = LittleEndian(file, 14, 4);
  const bool os2 = header.info_len == 12;
  if (!os2 && header.info_len != 40 && header.info_len != 56 && header.info_len != 108 && header.info_len != 124) {
    return Damaged("its header has an unknown length");
  }
  if (file.size() < kFileHeaderLen + header.info_len) {
    return Damaged("the file is cut short");
  }
  if (os2) {
    header.width = LittleEndian(file, 18, 2);
    header.height = LittleEndian(file, 20, 2);
    header.bits = LittleEndian(file, 24, 2);
    return header;
  }
  header.width = static_cast<int32_t>(LittleEndian(file, 18, 4));
  header.height = static_cast<int32_t>(LittleEndian(file, 22, 4));
  header.top_down = header.height < 0;
  header.height = header.top_down ? -header.height : header.height;
  header.bits = LittleEndian(file, 28, 2);
  header.compression = LittleEndian(file, 30, 4);
  return header;
}

absl::Status Validate(const Header& header, size_t file_size) {
  if (header.width < 0) {
    return Damaged("its width is negative");
  }
  RETURN_IF_ERROR(CheckSize(static_cast<uint64_t>(header.width), static_cast<uint64_t>(header.height)));
  const bool known_depth = header.bits == 1 || header.bits == 4 || header.bits == 8 || header.bits == 16 ||
                           header.bits == 24 || header.bits == 32;
  if (!known_depth) {
    return Damaged("its number of bits a pixel is not known");
  }
  if (header.compression != 0 && header.compression != 3) {
    return absl::InvalidArgumentError("compressed BMP files are not supported; save it as PNG");
  }
  const uint64_t row_len = (static_cast<uint64_t>(header.width) * header.bits + 31) / 32 * 4;
  const uint64_t pixels_len = row_len * static_cast<uint64_t>(header.height);
  if (header.pixels_at < kFileHeaderLen + header.info_len || header.pixels_at > file_size ||
      file_size - header.pixels_at < pixels_len) {
    return Damaged("the file is cut short");
  }
  return absl::OkStatus();
}

void PutLittleEndian(Bytes& out, uint32_t value, size_t len) {
  for (size_t i = 0; i < len; ++i) {
    out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
}

// The same picture under a plain 40-byte header and a palette with an entry for every index (missing ones black).
Bytes WithFullPalette(ByteSpan file, const Header& header) {
  const size_t entry_len = header.info_len == 12 ? 3 : 4;
  const size_t num_entries = size_t{1} << header.bits;
  const size_t palette_at = kFileHeaderLen + header.info_len;
  const size_t num_present = std::min(num_entries, (header.pixels_at - palette_at) / entry_len);
  const size_t pixels_at = kFileHeaderLen + kInfoHeaderLen + 4 * num_entries;

  Bytes out;
  out.reserve(pixels_at + file.size() - header.pixels_at);
  Append(out, std::string_view("BM"));
  out.resize(10);  // file size and reserved fields, which nobody reads
  PutLittleEndian(out, static_cast<uint32_t>(pixels_at), 4);
  PutLittleEndian(out, kInfoHeaderLen, 4);
  PutLittleEndian(out, static_cast<uint32_t>(header.width), 4);
  PutLittleEndian(out, static_cast<uint32_t>(header.top_down ? -header.height : header.height), 4);
  PutLittleEndian(out, 1, 2);
  PutLittleEndian(out, header.bits, 2);
  out.resize(kFileHeaderLen + kInfoHeaderLen);  // no compression; size, resolution and palette length by default
  for (size_t i = 0; i < num_present; ++i) {
    Append(out, file.subspan(palette_at + i * entry_len, 3));
    out.push_back(0);
  }
  out.resize(pixels_at);
  Append(out, file.subspan(header.pixels_at));
  return out;
}

}  // namespace

absl::StatusOr<Image> DecodeBmp(ByteSpan file) {
  ASSIGN_OR_RETURN(const Header header, ParseHeader(file));
  RETURN_IF_ERROR(Validate(header, file.size()));
  Bytes copy;
  if (header.bits <= 8) {
    copy = WithFullPalette(file, header);
    file = copy;
  }
  Image image(static_cast<size_t>(header.width), static_cast<size_t>(header.height), 3);
  const char* const error = stb_bmp::DecodeRgb(file, image.width(), image.height(), image.mutable_pixels());
  if (!copy.empty()) {
    explicit_bzero(copy.data(), copy.size());
  }
  if (error != nullptr) {
    return Damaged(error);
  }
  return image;
}

}  // namespace shoji::image
