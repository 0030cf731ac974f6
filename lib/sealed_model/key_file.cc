// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/file.h"
#include "lib/base/regular_file.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/secret_bytes.h"

namespace shoji::sealed_model {
namespace {

constexpr std::string_view kPrefix = "shoji-model-key-v1 ";
constexpr std::string_view kDigits = "0123456789abcdef";
constexpr size_t kLineSize = kPrefix.size() + 2 * OwnerKey::kSize;
constexpr size_t kMaxKeyFileBytes = 4096;

// Wipes a buffer on the ordinary heap when it goes.
class Wiped {
 public:
  explicit Wiped(Bytes bytes) : bytes_(std::move(bytes)) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() {
    if (!bytes_.empty()) {
      ::explicit_bzero(bytes_.data(), bytes_.size());
    }
  }
  ByteSpan get() const { return bytes_; }

 private:
  Bytes bytes_;
};

std::optional<uint8_t> Nibble(uint8_t digit) {
  const size_t at = kDigits.find(static_cast<char>(digit));
  return at == std::string_view::npos ? std::nullopt : std::optional<uint8_t>(static_cast<uint8_t>(at));
}

absl::StatusOr<OwnerKey> Parse(ByteSpan text, const std::string& path) {
  const absl::Status wrong =
      absl::InvalidArgumentError(path + " holds no key of a model; `shoji-model seal --new-key " + path +
                                 "` makes one where there is no file yet");
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
    text = text.first(text.size() - 1);
  }
  const ByteSpan prefix = AsBytes(kPrefix);
  if (text.size() != kLineSize || !std::equal(prefix.begin(), prefix.end(), text.begin())) {
    return wrong;
  }
  OwnerKey key;
  for (size_t i = 0; i < OwnerKey::kSize; ++i) {
    const std::optional<uint8_t> high = Nibble(text[prefix.size() + 2 * i]);
    const std::optional<uint8_t> low = Nibble(text[prefix.size() + 2 * i + 1]);
    if (!high.has_value() || !low.has_value()) {
      return wrong;
    }
    key.ExposeMutable()[i] = static_cast<uint8_t>(*high << 4U | *low);
  }
  return key;
}

absl::Status WriteAll(int fd, ByteSpan content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno != EINTR) {
      return ErrnoError(errno, "cannot write " + path);
    }
    content = content.subspan(n < 0 ? 0 : static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OwnerKey> MakeKeyFile(const std::string& path) {
  const FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    return errno == EEXIST ? absl::AlreadyExistsError(path + " exists; a key is never overwritten")
                           : ErrnoError(errno, "cannot create " + path);
  }
  OwnerKey key = NewOwnerKey();
  crypto::SecretBytes line(kLineSize + 1);
  const std::span<uint8_t> out = line.ExposeMutable();
  std::copy(kPrefix.begin(), kPrefix.end(), out.begin());
  for (size_t i = 0; i < OwnerKey::kSize; ++i) {
    out[kPrefix.size() + 2 * i] = static_cast<uint8_t>(kDigits[key.Expose()[i] >> 4U]);
    out[kPrefix.size() + 2 * i + 1] = static_cast<uint8_t>(kDigits[key.Expose()[i] & 15U]);
  }
  out.back() = '\n';
  absl::Status written = WriteAll(fd.get(), line.Expose(), path);
  if (written.ok() && ::fsync(fd.get()) != 0) {  // what it is to seal may be sealed, and the original gone, before the
                                                 // machine writes
    written = ErrnoError(errno, "cannot write " + path);
  }
  if (!written.ok()) {
    ::unlink(path.c_str());
    return written;
  }
  return key;
}

absl::StatusOr<OwnerKey> ReadKeyFile(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError(path + " can be read by others than its owner; run `chmod 600 " + path + "`");
  }
  ASSIGN_OR_RETURN(Bytes text, ReadFile(path, kMaxKeyFileBytes));
  const Wiped wiped(std::move(text));
  return Parse(wiped.get(), path);
}

}  // namespace shoji::sealed_model
