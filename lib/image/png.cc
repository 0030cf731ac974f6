// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// PNG through libpng's row interface. Its simplified interface would be shorter, but that one applies gAMA chunks and
// rounds 16-bit samples, and models are trained on pixels that went through neither.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/status_macros.h"
#include "lib/image/decoders.h"

namespace shoji::image {
namespace {

// What libpng's callbacks see. libpng reports an error by longjmp, so everything that a destructor must release lives
// outside the function that calls setjmp.
struct Reader {
  ByteSpan rest;
  char error[120] = "";
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<png_bytep> rows;
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->error, sizeof(reader->error), "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp /*png*/, png_const_charp /*message*/) {}

void OnRead(png_structp png, png_bytep out, size_t size) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (size > reader->rest.size()) {
    png_error(png, "the file is cut short");
  }
  std::memcpy(out, reader->rest.data(), size);
  reader->rest = reader->rest.subspan(size);
}

class ReaderOwner {
 public:
  ReaderOwner() = default;
  ReaderOwner(const ReaderOwner&) = delete;
  ReaderOwner& operator=(const ReaderOwner&) = delete;
  ~ReaderOwner() { png_destroy_read_struct(&reader.png, &reader.info, nullptr); }

  Reader reader;
};

enum class Step { kHeader, kPixels };

void ReadHeader(Reader& reader) {
  png_set_user_limits(reader.png, kMaxSide, kMaxSide);
  png_set_chunk_cache_max(reader.png, 100);
  png_set_chunk_malloc_max(reader.png, 8 << 20);
  png_set_read_fn(reader.png, &reader, OnRead);
  png_read_info(reader.png, reader.info);
  const int color = png_get_color_type(reader.png, reader.info);
  png_set_strip_16(reader.png);
  png_set_packing(reader.png);
  if (color == PNG_COLOR_TYPE_PALETTE) {
    png_set_palette_to_rgb(reader.png);
  }
  if (color == PNG_COLOR_TYPE_GRAY) {
    png_set_expand_gray_1_2_4_to_8(reader.png);
  }
  if (color == PNG_COLOR_TYPE_GRAY || color == PNG_COLOR_TYPE_GRAY_ALPHA) {
    png_set_gray_to_rgb(reader.png);
  }
  png_set_strip_alpha(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
}

// False when libpng found an error, which is then in `reader.error`.
bool Run(Reader& reader, Step step) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) {
    return false;
  }
  if (step == Step::kHeader) {
    ReadHeader(reader);
  } else {
    png_read_image(reader.png, reader.rows.data());
    png_read_end(reader.png, nullptr);
  }
  return true;
}

absl::Status Damaged(const Reader& reader) {
  return absl::InvalidArgumentError(std::string("not a whole PNG file: ") + reader.error);
}

uint32_t BigEndian32(ByteSpan bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

}  // namespace

absl::StatusOr<Image> DecodePng(ByteSpan file) {
  // IHDR comes first by definition, so the size stands at a fixed place; libpng checks the rest of it.
  if (file.size() < 33) {
    return absl::InvalidArgumentError("not a whole PNG file: the file is cut short");
  }
  const uint32_t width = BigEndian32(file.subspan(16, 4));
  const uint32_t height = BigEndian32(file.subspan(20, 4));
  RETURN_IF_ERROR(CheckSize(width, height));

  ReaderOwner owner;
  Reader& reader = owner.reader;
  reader.rest = file;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, OnError, OnWarning);
  reader.info = reader.png == nullptr ? nullptr : png_create_info_struct(reader.png);
  if (reader.info == nullptr) {
    return absl::InternalError("libpng does not start");
  }
  if (!Run(reader, Step::kHeader)) {
    return Damaged(reader);
  }
  Image image(width, height, 3);
  if (png_get_image_width(reader.png, reader.info) != width ||
      png_get_image_height(reader.png, reader.info) != height ||
      png_get_rowbytes(reader.png, reader.info) != image.row_bytes()) {
    return absl::InvalidArgumentError("not a whole PNG file: its header contradicts itself");
  }
  for (size_t y = 0; y < height; ++y) {
    reader.rows.push_back(image.mutable_row(y));
  }
  if (!Run(reader, Step::kPixels)) {
    return Damaged(reader);
  }
  return image;
}

}  // namespace shoji::image
