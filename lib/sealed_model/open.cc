// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/open.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/crypto/constant_time.h"
#include "lib/sealed_model/layout.h"

namespace shoji::sealed_model {
namespace {

// How far ExplainChunk looks for where a chunk belongs, in both directions.
constexpr uint64_t kMaxSearched = 2048;

absl::Status In(const std::string& path, absl::StatusCode code, const std::string& what) {
  return {code, path + ": " + what};
}

// "chunk 3 of 12"
std::string Place(uint64_t index, uint64_t num_chunks) {
  return "chunk " + std::to_string(index + 1) + " of " + std::to_string(num_chunks);
}

}  // namespace

absl::StatusOr<bool> SealedFile::IsSealed(const std::string& path) {
  ASSIGN_OR_RETURN(const RegularFile file, RegularFile::Open(path));
  std::array<uint8_t, kMagic.size()> start = {};
  if (file.size() < start.size()) {
    return false;
  }
  RETURN_IF_ERROR(file.ReadAt(0, start));
  return start == kMagic;
}

absl::StatusOr<SealedFile> SealedFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(RegularFile file, RegularFile::Open(path));
  SealedFile out(std::move(file));
  RETURN_IF_ERROR(out.ReadFront());
  RETURN_IF_ERROR(out.CheckSize());
  RETURN_IF_ERROR(out.DigestAll());
  return out;
}

absl::Status SealedFile::ReadFront() {
  std::array<uint8_t, kPrefixSize> prefix = {};
  const bool has_prefix = file_.size() >= prefix.size();
  if (has_prefix) {
    RETURN_IF_ERROR(file_.ReadAt(0, prefix));
  }
  if (!has_prefix || !std::equal(kMagic.begin(), kMagic.end(), prefix.begin())) {
    return In(path(), absl::StatusCode::kInvalidArgument, "is not a sealed model; `shoji-model seal` makes one");
  }
  uint32_t header_size = 0;
  for (size_t i = kMagic.size(); i < prefix.size(); ++i) {
    header_size = header_size << 8U | prefix[i];
  }
  if (header_size > kMaxHeaderBytes) {
    return In(path(), absl::StatusCode::kInvalidArgument, "the sealed model's header is malformed: larger than 1 MiB");
  }
  chunks_begin_ = uint64_t{kPrefixSize} + header_size + sizeof(HeaderTag);
  if (file_.size() < chunks_begin_) {
    return In(path(), absl::StatusCode::kDataLoss, "is truncated: it ends within its header");
  }
  Bytes front(kPrefixSize + header_size);
  RETURN_IF_ERROR(file_.ReadAt(0, front));
  RETURN_IF_ERROR(file_.ReadAt(front.size(), header_tag_));
  header_digest_ = digest::Sha256(front);
  absl::StatusOr<Header> header = ParseHeader(ByteSpan(front).subspan(kPrefixSize));
  if (!header.ok()) {
    return In(path(), header.status().code(), std::string(header.status().message()));
  }
  header_ = *std::move(header);
  return absl::OkStatus();
}

absl::Status SealedFile::CheckSize() const {
  const uint64_t expected = SealedSize(chunks_begin_ - kPrefixSize - sizeof(HeaderTag), header_.plaintext_size());
  const std::string sizes = std::to_string(file_.size()) + " bytes instead of " + std::to_string(expected);
  if (file_.size() < expected) {
    return In(path(), absl::StatusCode::kDataLoss, "is truncated: it has " + sizes);
  }
  if (file_.size() > expected) {
    return In(path(), absl::StatusCode::kDataLoss, "has bytes after its end: " + sizes);
  }
  return absl::OkStatus();
}

absl::Status SealedFile::DigestAll() {
  digest::Sha256Stream digest;
  Bytes buffer(static_cast<size_t>(std::min<uint64_t>(kChunkSize, file_.size())));
  for (uint64_t at = 0; at < file_.size();) {
    const auto now = static_cast<size_t>(std::min<uint64_t>(buffer.size(), file_.size() - at));
    const std::span<uint8_t> piece = std::span(buffer).first(now);
    RETURN_IF_ERROR(file_.ReadAt(at, piece));
    digest.Update(piece);
    at += now;
  }
  digest_ = digest.Finish();
  return absl::OkStatus();
}

absl::StatusOr<FileKey> SealedFile::KeyFrom(const OwnerKey& key) const {
  if (const OwnerKeyId id = IdOf(key); id != header_.owner_key_id) {
    return In(path(), absl::StatusCode::kPermissionDenied,
              "wrong key: it was sealed with key " + HexEncode(header_.owner_key_id) + ", this is key " +
                  HexEncode(id));
  }
  FileKey file_key = FileKeyOf(key, header_.salt, header_digest_);
  if (!CheckKey(file_key).ok()) {
    return In(path(), absl::StatusCode::kDataLoss, "its header was altered: the key is the right one, but it does not "
                                                   "authenticate the header");
  }
  return file_key;
}

absl::Status SealedFile::CheckKey(const FileKey& key) const {
  if (!crypto::ConstantTimeEquals(HeaderTagOf(key), header_tag_)) {
    return In(path(), absl::StatusCode::kPermissionDenied,
              "wrong key: it does not authenticate the header (the key is another model's, or the header was altered)");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<PlaintextReader>> PlaintextReader::Create(SealedFile file, const FileKey& key) {
  RETURN_IF_ERROR(file.CheckKey(key));
  return std::unique_ptr<PlaintextReader>(new PlaintextReader(std::move(file), ContentKeyOf(key)));
}

absl::Status PlaintextReader::OpenChunk(uint64_t index) {
  if (chunk_index_ == index) {
    return absl::OkStatus();
  }
  const uint64_t num_chunks = NumChunks(size());
  Bytes sealed(static_cast<size_t>(ChunkSizeAt(index, size()) + crypto::kAeadTagSize));
  RETURN_IF_ERROR(file_.file_.ReadAt(file_.chunks_begin_ + index * (kChunkSize + crypto::kAeadTagSize), sealed));
  absl::StatusOr<crypto::PlaintextBytes> chunk = opener_.OpenAt(index, ChunkAad(index, num_chunks), sealed);
  if (!chunk.ok()) {
    return ExplainChunk(index, sealed);
  }
  chunk_ = *std::move(chunk);
  chunk_index_ = index;
  return absl::OkStatus();
}

// Why the chunk at `index` does not open: it may be whole and stand in another's place. That it opens elsewhere says so
// for certain, and tells whoever moved it nothing new.
absl::Status PlaintextReader::ExplainChunk(uint64_t index, ByteSpan sealed) const {
  const uint64_t num_chunks = NumChunks(size());
  const uint64_t first = index > kMaxSearched ? index - kMaxSearched : 0;
  const uint64_t end = std::min(num_chunks, index + kMaxSearched);
  for (uint64_t other = first; other < end; ++other) {
    const bool same_size = ChunkSizeAt(other, size()) == ChunkSizeAt(index, size());
    if (other != index && same_size && opener_.OpenAt(other, ChunkAad(other, num_chunks), sealed).ok()) {
      return In(file_.path(), absl::StatusCode::kDataLoss,
                "its chunks are out of order: " + Place(index, num_chunks) + " is what was sealed as chunk " +
                    std::to_string(other + 1));
    }
  }
  return In(file_.path(), absl::StatusCode::kDataLoss,
            Place(index, num_chunks) + " was altered: it does not authenticate");
}

absl::Status PlaintextReader::Read(std::span<uint8_t> out) {
  RETURN_IF_ERROR(ReadAt(position_, out));
  position_ += out.size();
  return absl::OkStatus();
}

absl::Status PlaintextReader::ReadAt(uint64_t offset, std::span<uint8_t> out) {
  if (offset > size() || out.size() > size() - offset) {
    return In(file_.path(), absl::StatusCode::kOutOfRange, "its plaintext has no more bytes");
  }
  while (!out.empty()) {
    RETURN_IF_ERROR(OpenChunk(offset / kChunkSize));
    const ByteSpan left = chunk_.Expose().subspan(static_cast<size_t>(offset % kChunkSize));
    const size_t now = std::min(out.size(), left.size());
    std::copy_n(left.begin(), now, out.begin());
    offset += now;
    out = out.subspan(now);
  }
  return absl::OkStatus();
}

absl::Status PartSource::Read(std::span<uint8_t> out) {
  if (out.size() > left_) {
    return absl::OutOfRangeError("a part of the sealed model has no more bytes");
  }
  RETURN_IF_ERROR(from_.Read(out));
  left_ -= out.size();
  return absl::OkStatus();
}

PartPieces::PartPieces(PlaintextReader& reader, size_t index) : reader_(reader) {
  const std::vector<Part>& parts = reader.file().header().parts;
  for (size_t i = 0; i < index; ++i) {
    begin_ += parts[i].size;
  }
  size_ = parts[index].size;
  path_ = reader.file().path() + ", external data `" + parts[index].name + "`";
}

absl::Status PartPieces::ReadAt(uint64_t offset, std::span<uint8_t> out) {
  if (offset > size_ || out.size() > size_ - offset) {
    return absl::OutOfRangeError(path_ + " has no more bytes");
  }
  return reader_.ReadAt(begin_ + offset, out);
}

absl::Status CheckAllChunks(PlaintextReader& reader) {
  crypto::PlaintextBytes buffer(static_cast<size_t>(std::min(kChunkSize, reader.size())));
  for (uint64_t left = reader.size(); left > 0;) {
    const uint64_t now = std::min<uint64_t>(buffer.size(), left);
    RETURN_IF_ERROR(reader.Read(buffer.ExposeMutable().first(static_cast<size_t>(now))));
    left -= now;
  }
  return absl::OkStatus();
}

}  // namespace shoji::sealed_model
