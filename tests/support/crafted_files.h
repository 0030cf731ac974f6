// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Input files that a test makes for itself: pictures and tensors byte by byte, certificates with openssl.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/bytes.h"
#include "tests/support/process.h"

namespace shoji::testing {

inline uint32_t Crc32(ByteSpan data) {
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : data) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
  }
  return ~crc;
}

inline void AppendPngChunk(Bytes& file, const std::string& type, ByteSpan data) {
  Bytes chunk;
  Append(chunk, type);
  Append(chunk, data);
  AppendUint32(file, static_cast<uint32_t>(data.size()));
  Append(file, chunk);
  AppendUint32(file, Crc32(chunk));
}

// A PNG file whose sound header states these dimensions, without any pixel.
inline Bytes PngOfSize(uint32_t width, uint32_t height) {
  Bytes header;
  AppendUint32(header, width);
  AppendUint32(header, height);
  for (const uint8_t field : std::to_array<uint8_t>({8, 2, 0, 0, 0})) {  // 8-bit RGB
    header.push_back(field);
  }
  Bytes file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  AppendPngChunk(file, "IHDR", header);
  AppendPngChunk(file, "IDAT", {});
  AppendPngChunk(file, "IEND", {});
  return file;
}

// A square picture as an uncompressed BMP file, from its gray pixels, row by row from the top.
inline Bytes GrayBmp(uint32_t side, ByteSpan pixels) {
  const uint32_t line = (3 * side + 3) / 4 * 4;
  Bytes file = {'B', 'M'};
  const auto add = [&file](std::initializer_list<uint32_t> values) {
    for (const uint32_t value : values) {
      for (int shift = 0; shift < 32; shift += 8) {
        file.push_back(static_cast<uint8_t>(value >> shift));
      }
    }
  };
  constexpr uint32_t kHeaders = 54;
  constexpr uint32_t kOnePlaneOf24Bits = 1 | 24U << 16;
  add({kHeaders + line * side, 0, kHeaders, 40, side, side, kOnePlaneOf24Bits, 0, line * side, 0, 0, 0, 0});
  for (size_t y = side; y-- > 0;) {
    for (size_t x = 0; x < side; ++x) {
      file.insert(file.end(), 3, pixels[y * side + x]);
    }
    file.resize(file.size() + line - 3 * side);
  }
  return file;
}

// What numpy.save writes, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
inline Bytes Npy(const std::string& descr, const std::string& shape, ByteSpan data) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.append(64 - (10 + header.size() + 1) % 64, ' ');
  header.push_back('\n');
  Bytes file = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
  file.push_back(static_cast<uint8_t>(header.size() & 0xff));
  file.push_back(static_cast<uint8_t>(header.size() >> 8));
  Append(file, header);
  Append(file, data);
  return file;
}

// Writes NAME.pem and NAME.key, for 127.0.0.1 and localhost, signed by `issuer` of the same folder; by itself when
// empty.
inline CommandResult MakeCertificate(const TempDir& dir, const std::string& name, const std::string& issuer) {
  std::vector<std::string> argv = {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-nodes"};
  for (const auto& [option, value] : {std::pair<std::string, std::string>{"-pkeyopt", "ec_paramgen_curve:prime256v1"},
                                      {"-subj", "/CN=" + name},
                                      {"-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"},
                                      {"-days", "2"},
                                      {"-keyout", dir.File(name + ".key")},
                                      {"-out", dir.File(name + ".pem")}}) {
    argv.insert(argv.end(), {option, value});
  }
  if (!issuer.empty()) {
    argv.insert(argv.end(), {"-CA", dir.File(issuer + ".pem"), "-CAkey", dir.File(issuer + ".key")});
  }
  return RunCommand(argv);
}

}  // namespace shoji::testing
