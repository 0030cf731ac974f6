// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/rpc/test_pki.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/base/check.h"

namespace shoji::rpc {
namespace {

struct Deleter {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
  void operator()(std::FILE* p) const { std::fclose(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

Owned<std::FILE> Open(const std::string& path, const char* mode) {
  Owned<std::FILE> out(std::fopen(path.c_str(), mode));
  SHOJI_CHECK(out != nullptr);
  return out;
}

void AddExtension(X509* certificate, int nid, const char* value) {
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  SHOJI_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

Owned<X509> NewCertificate(const std::string& name, EVP_PKEY* key) {
  static long serial = 1;
  Owned<X509> out(X509_new());
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 86400);
  X509_set_pubkey(out.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return out;
}

}  // namespace

void MakeCertificate(const std::string& folder, const std::string& name, const std::string& issuer) {
  const std::string stem = folder + "/" + name;
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate = NewCertificate(name, key.get());
  AddExtension(certificate.get(), NID_basic_constraints, issuer.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
  AddExtension(certificate.get(), NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  if (issuer.empty()) {
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
    SHOJI_CHECK(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
  } else {
    const std::string issuer_stem = folder + "/" + issuer;
    const Owned<X509> ca(PEM_read_X509(Open(issuer_stem + ".pem", "r").get(), nullptr, nullptr, nullptr));
    const Owned<EVP_PKEY> ca_key(PEM_read_PrivateKey(Open(issuer_stem + ".key", "r").get(), nullptr, nullptr, nullptr));
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(ca.get()));
    SHOJI_CHECK(X509_sign(certificate.get(), ca_key.get(), EVP_sha256()) > 0);
  }
  SHOJI_CHECK(PEM_write_X509(Open(stem + ".pem", "w").get(), certificate.get()) == 1);
  SHOJI_CHECK(PEM_write_PrivateKey(Open(stem + ".key", "w").get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
              1);
  SHOJI_CHECK(::chmod((stem + ".key").c_str(), 0600) == 0);
}

void WriteText(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

ScratchFolder::ScratchFolder() {
  path_ = ::testing::TempDir() + "/shojiXXXXXX";
  SHOJI_CHECK(::mkdtemp(path_.data()) != nullptr);
}
ScratchFolder::~ScratchFolder() { std::filesystem::remove_all(path_); }

}  // namespace shoji::rpc
