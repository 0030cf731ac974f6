// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A sealed model, byte by byte (docs/protocol.md, section 11). Integers are big-endian:
//
//   file   = magic[8] header_length u32 header header_tag[32] chunk*
//   chunk  = AES-256-GCM(content_key, nonce XOR i, aad, 1 MiB of plaintext; the last chunk may hold less) || tag[16]
//   aad    = "shoji sealed chunk v1" || i u64 || last u8       i counts from 0, `last` is 1 for the last chunk, else 0
//
// keys.h derives header_tag, content_key and nonce. The plaintext is the header's parts, one after the other; how long it
// is, and so how many chunks there are and where the file ends, stands in the header.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/sealed_model/keys.h"

namespace shoji::sealed_model {

inline constexpr std::array<uint8_t, 8> kMagic = {'S', 'H', 'O', 'J', 'I', 'S', 'M', '1'};
inline constexpr size_t kPrefixSize = kMagic.size() + sizeof(uint32_t);
inline constexpr uint64_t kChunkSize = uint64_t{1} << 20;

constexpr uint64_t NumChunks(uint64_t plaintext_size) { return (plaintext_size + kChunkSize - 1) / kChunkSize; }
// Of the plaintext of chunk `index`.
constexpr uint64_t ChunkSizeAt(uint64_t index, uint64_t plaintext_size) {
  return std::min(kChunkSize, plaintext_size - index * kChunkSize);
}
constexpr uint64_t SealedSize(uint64_t header_size, uint64_t plaintext_size) {
  return kPrefixSize + header_size + sizeof(HeaderTag) + plaintext_size +
         NumChunks(plaintext_size) * crypto::kAeadTagSize;
}

inline Bytes ChunkAad(uint64_t index, uint64_t num_chunks) {
  Bytes out;
  Append(out, "shoji sealed chunk v1");
  AppendUint64(out, index);
  out.push_back(index + 1 == num_chunks ? 1 : 0);
  return out;
}

}  // namespace shoji::sealed_model
