// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/crypto/keys.h"

namespace shoji::enclave {

namespace row_kernels {
struct RowToMask;
}

// AES-256-CTR instructions, chosen at run time; both give the same bytes.
enum class KeystreamKind : uint8_t { kOpenSsl, kVaes };
bool IsSupported(KeystreamKind kind);
KeystreamKind BestKeystream();

// The key of one pad: drawn for it and for nothing else, so that no two pads are related. It is the source of r for all
// layers of one request: layer `layer` takes the AES-256-CTR keystream (NIST SP 800-38A) whose counter block is
// u64(layer) u64(block number), big-endian. r is exactly uniform over the ring, because each limb byte is a keystream
// byte. Move-only; wiped. Thread-compatible; Generate is const and thread-safe.
class PadKey {
 public:
  // From the process's private random generator.
  static PadKey Draw();
  // For tests: a key that is known.
  static PadKey FromBytes(std::span<const uint8_t, 32> key, KeystreamKind kind);

  PadKey(PadKey&&) noexcept = default;
  PadKey& operator=(PadKey&&) noexcept = default;

  KeystreamKind kind() const { return kind_; }
  // Bytes [offset, offset + out.size()) of the layer's keystream. `offset` is a multiple of kAlignment.
  static constexpr uint64_t kAlignment = 64;
  void Generate(uint64_t layer, uint64_t offset, std::span<uint8_t> out) const;
  // For LayerCodec: the keystream with a row added, in one pass. Only with kVaes.
  void GenerateAndAdd(uint64_t layer, uint64_t offset, const row_kernels::RowToMask& row, uint8_t* out) const;

 private:
  static constexpr uint64_t kBlockSize = 16;
  using Key = crypto::FixedSecret<struct PadKeyTag, 32>;
  PadKey(Key key, KeystreamKind kind);

  Key key_;
  KeystreamKind kind_;
};

}  // namespace shoji::enclave
