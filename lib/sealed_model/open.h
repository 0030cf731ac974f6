// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"
#include "lib/base/bytes.h"
#include "lib/base/regular_file.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/digest/sha2.h"
#include "lib/sealed_model/header.h"
#include "lib/sealed_model/keys.h"

namespace shoji::sealed_model {

// A sealed file as anybody can read it. Errors name the file and say what is wrong with it; `path` may be the
// adversary's. Thread-compatible.
class SealedFile {
 public:
  // Whether the file at `path` starts as a sealed model does. Errors as RegularFile::Open.
  static absl::StatusOr<bool> IsSealed(const std::string& path);

  // Reads the header and digests the whole file, in constant memory. INVALID_ARGUMENT: no sealed model, a malformed
  // header; FAILED_PRECONDITION: made by a newer version; DATA_LOSS: truncated, or bytes after its end.
  static absl::StatusOr<SealedFile> Open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const Header& header() const { return header_; }  // not authenticated until CheckKey
  const digest::Sha256Digest& digest() const { return digest_; }  // SHA-256 of the file
  const HeaderTag& header_tag() const { return header_tag_; }

  // The file's key, from its owner's. PERMISSION_DENIED: `key` is another one (names both); DATA_LOSS: the header was
  // altered.
  absl::StatusOr<FileKey> KeyFrom(const OwnerKey& key) const;
  // PERMISSION_DENIED unless `key` is the key of this file and the header is as it was sealed.
  absl::Status CheckKey(const FileKey& key) const;

 private:
  friend class PlaintextReader;
  explicit SealedFile(RegularFile file) : file_(std::move(file)) {}
  absl::Status ReadFront();
  absl::Status CheckSize() const;
  absl::Status DigestAll();

  RegularFile file_;
  Header header_;
  digest::Sha256Digest header_digest_ = {};
  HeaderTag header_tag_ = {};
  uint64_t chunks_begin_ = 0;
  digest::Sha256Digest digest_ = {};
};

// The plaintext of a sealed file, from front to back or any piece of it; nothing is given out before its chunk has
// authenticated. Holds the file open; one chunk is in memory. Thread-compatible.
class PlaintextReader final : public ByteSource {
 public:
  // Errors: those of SealedFile::CheckKey.
  static absl::StatusOr<std::unique_ptr<PlaintextReader>> Create(SealedFile file, const FileKey& key);

  const SealedFile& file() const { return file_; }
  uint64_t size() const override { return file_.header().plaintext_size(); }
  // DATA_LOSS: a chunk was altered, or stands where another belongs (names both places). OUT_OF_RANGE past the end.
  absl::Status Read(std::span<uint8_t> out) override;
  // The same anywhere; where Read goes on does not change.
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out);

 private:
  PlaintextReader(SealedFile file, ContentKey key)
      : file_(std::move(file)), opener_(std::move(key.key), std::move(key.nonce)) {}
  absl::Status OpenChunk(uint64_t index);
  absl::Status ExplainChunk(uint64_t index, ByteSpan sealed) const;

  const SealedFile file_;
  const crypto::AeadOpener opener_;
  uint64_t position_ = 0;  // of Read
  std::optional<uint64_t> chunk_index_;
  crypto::PlaintextBytes chunk_;
};

// The next `size` bytes of another source, which outlives it: one part of a sealed file.
class PartSource final : public ByteSource {
 public:
  PartSource(ByteSource& from, uint64_t size) : from_(from), size_(size), left_(size) {}

  uint64_t size() const override { return size_; }
  absl::Status Read(std::span<uint8_t> out) override;

 private:
  ByteSource& from_;
  const uint64_t size_;
  uint64_t left_;
};

// One part of a sealed file, any piece of it. `reader` outlives it.
class PartPieces final : public PositionedSource {
 public:
  // Requires that the header has a part at `index`.
  PartPieces(PlaintextReader& reader, size_t index);

  const std::string& path() const override { return path_; }
  uint64_t size() const override { return size_; }
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) override;

 private:
  PlaintextReader& reader_;
  std::string path_;
  uint64_t begin_ = 0;
  uint64_t size_ = 0;
};

// Reads what is left of `reader` and forgets it: whether every chunk is whole.
absl::Status CheckAllChunks(PlaintextReader& reader);

}  // namespace shoji::sealed_model
