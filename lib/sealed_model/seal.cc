// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/seal.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/regular_file.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/crypto/random.h"
#include "lib/sealed_model/layout.h"

namespace shoji::sealed_model {
namespace {

// A file beside `path` that takes its place when all is written, or goes. It digests what it is given.
class Output {
 public:
  static absl::StatusOr<std::unique_ptr<Output>> Create(const std::string& path) {
    const std::string part = path + ".part";
    ::unlink(part.c_str());  // of an attempt that was cut off; O_EXCL follows no link that somebody laid
    FileDescriptor fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (fd.get() < 0) {
      return ErrnoError(errno, "cannot create " + part);
    }
    return std::unique_ptr<Output>(new Output(std::move(fd), path, part));
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() {
    if (!part_.empty()) {
      ::unlink(part_.c_str());
    }
  }

  absl::Status Write(ByteSpan content) {
    digest_.Update(content);
    size_ += content.size();
    while (!content.empty()) {
      const ssize_t n = ::write(fd_.get(), content.data(), content.size());
      if (n < 0 && errno != EINTR) {
        return ErrnoError(errno, "cannot write " + part_);
      }
      content = content.subspan(n < 0 ? 0 : static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  absl::Status Commit() {
    if (::fsync(fd_.get()) != 0 || std::rename(part_.c_str(), path_.c_str()) != 0) {
      return ErrnoError(errno, "cannot write " + path_);
    }
    part_.clear();
    return absl::OkStatus();
  }

  digest::Sha256Digest Digest() { return digest_.Finish(); }
  uint64_t size() const { return size_; }

 private:
  Output(FileDescriptor fd, std::string path, std::string part)
      : fd_(std::move(fd)), path_(std::move(path)), part_(std::move(part)) {}

  const FileDescriptor fd_;
  const std::string path_;
  std::string part_;  // empty: in place
  digest::Sha256Stream digest_;
  uint64_t size_ = 0;
};

// The parts as one stream.
class Joined {
 public:
  explicit Joined(std::span<const Content> contents) : contents_(contents) {}

  absl::Status Read(std::span<uint8_t> out) {
    while (!out.empty()) {
      if (read_ == contents_[current_].source.size()) {
        ++current_;
        read_ = 0;
        continue;
      }
      const auto now = std::min<uint64_t>(out.size(), contents_[current_].source.size() - read_);
      RETURN_IF_ERROR(contents_[current_].source.Read(out.first(static_cast<size_t>(now))));
      read_ += now;
      out = out.subspan(static_cast<size_t>(now));
    }
    return absl::OkStatus();
  }

 private:
  const std::span<const Content> contents_;
  size_t current_ = 0;
  uint64_t read_ = 0;
};

absl::Status WriteChunks(const FileKey& key, uint64_t plaintext_size, std::span<const Content> contents,
                         Output& output) {
  const uint64_t num_chunks = NumChunks(plaintext_size);
  ContentKey content = ContentKeyOf(key);
  crypto::AeadSealer sealer(std::move(content.key), std::move(content.nonce), num_chunks);
  Joined plaintext(contents);
  crypto::PlaintextBytes buffer(static_cast<size_t>(ChunkSizeAt(0, plaintext_size)));
  for (uint64_t i = 0; i < num_chunks; ++i) {
    const std::span<uint8_t> chunk = buffer.ExposeMutable().first(static_cast<size_t>(ChunkSizeAt(i, plaintext_size)));
    RETURN_IF_ERROR(plaintext.Read(chunk));
    ASSIGN_OR_RETURN(crypto::AeadSealer::Sequence sequence, sealer.TakeSequence());
    ASSIGN_OR_RETURN(const Bytes sealed, sealer.Seal(std::move(sequence), ChunkAad(i, num_chunks), chunk));
    RETURN_IF_ERROR(output.Write(sealed));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Receipt> Seal(const Terms& terms, const OwnerKey& key, std::span<const Content> contents,
                             const std::string& path) {
  Receipt receipt;
  receipt.header.terms = terms;
  receipt.header.owner_key_id = IdOf(key);
  receipt.header.salt = crypto::RandomArray<sizeof(Salt)>();
  for (const Content& content : contents) {
    receipt.header.parts.push_back({content.kind, content.source.size(), content.name});
  }
  RETURN_IF_ERROR(CheckHeader(receipt.header));
  const Bytes header = EncodeHeader(receipt.header);
  if (header.size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError("the names of its confidential nodes and files are longer than 1 MiB together");
  }
  Bytes front(kMagic.begin(), kMagic.end());
  AppendLengthPrefixed(front, ByteSpan(header));
  const FileKey file_key = FileKeyOf(key, receipt.header.salt, digest::Sha256(front));
  Append(front, HeaderTagOf(file_key));
  ASSIGN_OR_RETURN(const std::unique_ptr<Output> output, Output::Create(path));
  RETURN_IF_ERROR(output->Write(front));
  RETURN_IF_ERROR(WriteChunks(file_key, receipt.header.plaintext_size(), contents, *output));
  RETURN_IF_ERROR(output->Commit());
  receipt.digest = output->Digest();
  receipt.size = output->size();
  return receipt;
}

absl::StatusOr<Receipt> SealModel(const Terms& terms, const OwnerKey& key, ByteSpan onnx, const std::string& path) {
  SpanSource source(onnx);
  const std::array<Content, 1> contents = {Content{PartKind::kModel, source}};
  return Seal(terms, key, contents, path);
}

}  // namespace shoji::sealed_model
