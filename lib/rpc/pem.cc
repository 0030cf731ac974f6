// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// gRPC reports a bad certificate or key only as a failed handshake, so the files are checked here, before it sees them.
#include "lib/rpc/pem.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "absl/status/status.h"
#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::rpc {
namespace {

constexpr size_t kMaxPemBytes = size_t{1} << 20;

struct Deleter {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

absl::StatusOr<std::string> ReadText(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes content, ReadFile(path, kMaxPemBytes));
  return ToString(content);
}

Owned<BIO> View(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Owned<X509> FirstCertificate(const std::string& pem) {
  Owned<X509> out(PEM_read_bio_X509(View(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return out;
}

// An encrypted key would make OpenSSL ask on the terminal; a daemon has none.
int RefusePassphrase(char* /*buffer*/, int /*size*/, int /*rwflag*/, void* /*data*/) { return -1; }

// DER SubjectPublicKeyInfo; empty for null and for what has no such form.
Bytes EncodePublicKey(EVP_PKEY* key) {
  const int length = key == nullptr ? 0 : i2d_PUBKEY(key, nullptr);
  Bytes out(length > 0 ? static_cast<size_t>(length) : 0);
  if (unsigned char* to = out.data(); !out.empty() && i2d_PUBKEY(key, &to) != length) {
    out.clear();
  }
  ERR_clear_error();
  return out;
}

absl::Status CheckKeyPermissions(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError("cannot open " + path + ": " + std::strerror(errno));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError("the private key " + path +
                                       " is open to group or others; restrict it with: chmod 600 " + path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> LoadPemCertificates(const std::string& path) {
  ASSIGN_OR_RETURN(std::string pem, ReadText(path));
  if (FirstCertificate(pem) == nullptr) {
    return absl::InvalidArgumentError(path + " holds no PEM certificate");
  }
  return pem;
}

absl::StatusOr<PemIdentity> LoadPemIdentity(const std::string& certificate_file, const std::string& private_key_file) {
  PemIdentity out;
  ASSIGN_OR_RETURN(out.certificate_chain, LoadPemCertificates(certificate_file));
  RETURN_IF_ERROR(CheckKeyPermissions(private_key_file));
  ASSIGN_OR_RETURN(out.private_key, ReadText(private_key_file));
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(View(out.private_key).get(), nullptr, RefusePassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(private_key_file + " holds no unencrypted PEM private key");
  }
  const Owned<X509> certificate = FirstCertificate(out.certificate_chain);
  const bool is_match = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!is_match) {
    return absl::InvalidArgumentError("the private key " + private_key_file + " does not belong to the certificate " +
                                      certificate_file);
  }
  return out;
}

Bytes PublicKeyOf(const std::string& certificate_pem) {
  const Owned<X509> certificate = FirstCertificate(certificate_pem);
  return certificate == nullptr ? Bytes() : EncodePublicKey(X509_get0_pubkey(certificate.get()));
}

absl::StatusOr<Bytes> LoadPemPublicKey(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadText(path));
  Bytes out = PublicKeyOf(pem);
  if (out.empty()) {
    const Owned<EVP_PKEY> key(PEM_read_bio_PUBKEY(View(pem).get(), nullptr, RefusePassphrase, nullptr));
    ERR_clear_error();
    out = EncodePublicKey(key.get());
  }
  if (out.empty()) {
    return absl::InvalidArgumentError(path + " holds neither a PEM certificate nor a PEM public key");
  }
  return out;
}

}  // namespace shoji::rpc
