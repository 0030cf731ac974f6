// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/attest/amd_pki.h"

#include <algorithm>
#include <utility>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/base/check.h"
#include "tests/support/hex.h"

namespace shoji::testing {
namespace {

using attest::sev_snp::SigningKey;
using attest::sev_snp::TcbVersion;

constexpr int64_t kValidFrom = 1735689600;   // 2025-01-01
constexpr int64_t kValidUntil = 2051222400;  // 2035-01-01
constexpr size_t kSignedBytes = 0x2A0;

template <typename T>
Bytes DerOf(const T* object, int (*encode)(const T*, unsigned char**)) {
  const int size = encode(object, nullptr);
  SHOJI_CHECK(size > 0);
  Bytes out(static_cast<size_t>(size));
  unsigned char* position = out.data();
  encode(object, &position);
  return out;
}

// RSA-PSS with SHA-384 and a salt of 48 bytes, as AMD signs.
EVP_MD_CTX* PssContext(EVP_PKEY* key) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  SHOJI_CHECK(EVP_DigestSignInit(context, &parameters, EVP_sha384(), nullptr, key) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md(parameters, EVP_sha384()) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, 48) == 1);
  return context;
}

X509_NAME* NameOf(const std::string& common_name) {
  X509_NAME* name = X509_NAME_new();
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                             -1, 0);
  return name;
}

X509* Unsigned(const std::string& name, const std::string& issuer, int64_t serial, EVP_PKEY* key) {
  X509* out = X509_new();
  X509_set_version(out, 2);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(out), serial);
  ASN1_TIME_set(X509_getm_notBefore(out), kValidFrom);
  ASN1_TIME_set(X509_getm_notAfter(out), kValidUntil);
  X509_NAME* subject = NameOf(name);
  X509_NAME* issued_by = NameOf(issuer);
  X509_set_subject_name(out, subject);
  X509_set_issuer_name(out, issued_by);
  X509_NAME_free(subject);
  X509_NAME_free(issued_by);
  X509_set_pubkey(out, key);
  return out;
}

void AddExtension(X509* certificate, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  SHOJI_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void AddRaw(X509* certificate, const std::string& suffix, const Bytes& value) {
  ASN1_OBJECT* object = OBJ_txt2obj(("1.3.6.1.4.1.3704.1." + suffix).c_str(), 1);
  ASN1_OCTET_STRING* content = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(content, value.data(), static_cast<int>(value.size()));
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, content);
  SHOJI_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(content);
  ASN1_OBJECT_free(object);
}

Bytes DerInteger(uint8_t value) { return value < 0x80 ? Bytes{2, 1, value} : Bytes{2, 2, 0, value}; }

Bytes DerText(const std::string& text) {
  Bytes out = {0x16, static_cast<uint8_t>(text.size())};
  Append(out, text);
  return out;
}

void SignWith(X509* certificate, EVP_PKEY* key) {
  EVP_MD_CTX* context = PssContext(key);
  SHOJI_CHECK(X509_sign_ctx(certificate, context) > 0);
  EVP_MD_CTX_free(context);
}

void PutLittleEndian(Bytes& out, size_t offset, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    out[offset + i] = static_cast<uint8_t>(value >> (8 * i));
  }
}

}  // namespace

const AmdPki& AmdPki::Turin() {
  static const AmdPki kPki;
  return kPki;
}

AmdPki::AmdPki()
    : ark_key_(EVP_RSA_gen(2048)),
      ask_key_(EVP_RSA_gen(2048)),
      vek_key_(EVP_EC_gen("P-384")),
      ark_(nullptr),
      ask_(nullptr) {
  ark_ = Unsigned("ARK-Turin", "ARK-Turin", 1, ark_key_);
  AddExtension(ark_, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(ark_, NID_key_usage, "critical,keyCertSign,cRLSign");
  SignWith(ark_, ark_key_);
  ask_ = Unsigned("SEV-Turin", "ARK-Turin", kAskSerial, ask_key_);
  AddExtension(ask_, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(ask_, NID_key_usage, "critical,keyCertSign,cRLSign");
  SignWith(ask_, ark_key_);
}

AmdPki::~AmdPki() {
  X509_free(ark_);
  X509_free(ask_);
  EVP_PKEY_free(ark_key_);
  EVP_PKEY_free(ask_key_);
  EVP_PKEY_free(vek_key_);
}

Bytes AmdPki::ark() const { return DerOf(ark_, i2d_X509); }
Bytes AmdPki::ask() const { return DerOf(ask_, i2d_X509); }

attest::sev_snp::Root AmdPki::root() const {
  const auto certificate = attest::x509::Certificate::FromDer(ark());
  SHOJI_CHECK(certificate.ok());
  return {attest::sev_snp::Product::kTurin, *certificate};
}

Bytes AmdPki::Vek(const VekOptions& options) const {
  const bool vcek = options.kind == SigningKey::kVcek;
  X509* certificate = Unsigned(vcek ? "SEV-VCEK" : "SEV-VLEK", "SEV-Turin", kVekSerial, vek_key_);
  AddRaw(certificate, "1", DerInteger(1));
  AddRaw(certificate, "2", DerText(options.product_name));
  AddRaw(certificate, "3.1", DerInteger(options.tcb.bootloader));
  AddRaw(certificate, "3.2", DerInteger(options.tcb.tee));
  AddRaw(certificate, "3.3", DerInteger(options.tcb.snp));
  AddRaw(certificate, "3.8", DerInteger(options.tcb.microcode));
  AddRaw(certificate, "3.9", DerInteger(options.tcb.fmc));
  AddRaw(certificate, vcek ? "4" : "5", vcek ? options.hardware_id : DerText("CN=cloud.example"));
  SignWith(certificate, ask_key_);
  Bytes out = DerOf(certificate, i2d_X509);
  X509_free(certificate);
  return out;
}

Bytes AmdPki::RevocationList(bool by_ark, SystemTime from, SystemTime until,
                             const std::vector<int64_t>& serials) const {
  const auto asn1_time = [](SystemTime time) {
    return ASN1_TIME_set(nullptr, std::chrono::system_clock::to_time_t(time));
  };
  X509_CRL* list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(by_ark ? ark_ : ask_));
  ASN1_TIME* updated = asn1_time(from);
  ASN1_TIME* next = asn1_time(until);
  X509_CRL_set1_lastUpdate(list, updated);
  X509_CRL_set1_nextUpdate(list, next);
  for (const int64_t serial : serials) {
    X509_REVOKED* revoked = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set_int64(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, updated);
    X509_CRL_add0_revoked(list, revoked);
    ASN1_INTEGER_free(number);
  }
  EVP_MD_CTX* context = PssContext(by_ark ? ark_key_ : ask_key_);
  SHOJI_CHECK(X509_CRL_sign_ctx(list, context) > 0);
  EVP_MD_CTX_free(context);
  Bytes out = DerOf(list, i2d_X509_CRL);
  ASN1_TIME_free(updated);
  ASN1_TIME_free(next);
  X509_CRL_free(list);
  return out;
}

void AmdPki::Sign(Bytes& report) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  SHOJI_CHECK(EVP_DigestSignInit(context, nullptr, EVP_sha384(), nullptr, vek_key_) == 1);
  Bytes der(256);
  size_t size = der.size();
  SHOJI_CHECK(EVP_DigestSign(context, der.data(), &size, report.data(), kSignedBytes) == 1);
  EVP_MD_CTX_free(context);
  const unsigned char* position = der.data();
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(size));
  SHOJI_CHECK(BN_bn2lebinpad(ECDSA_SIG_get0_r(signature), report.data() + kSignedBytes, 72) == 72);
  SHOJI_CHECK(BN_bn2lebinpad(ECDSA_SIG_get0_s(signature), report.data() + kSignedBytes + 72, 72) == 72);
  ECDSA_SIG_free(signature);
}

Bytes TurinReport(const TcbVersion& tcb, const Bytes& chip_id, const Bytes& report_data) {
  Bytes out(attest::sev_snp::kReportBytes);
  PutLittleEndian(out, 0x000, 5, 4);
  PutLittleEndian(out, 0x008, 0x30000, 8);
  PutLittleEndian(out, 0x034, 1, 4);
  std::copy(report_data.begin(), report_data.end(), out.begin() + 0x050);
  std::fill_n(out.begin() + 0x090, 48, uint8_t{0x4D});
  for (const ptrdiff_t offset : {0x038, 0x180, 0x1E0, 0x1F0}) {
    const Bytes raw = {tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode};
    std::copy(raw.begin(), raw.end(), out.begin() + offset);
  }
  const Bytes cpuid = {0x1A, 0x02, 0x01};
  std::copy(cpuid.begin(), cpuid.end(), out.begin() + 0x188);
  std::copy(chip_id.begin(), chip_id.end(), out.begin() + 0x1A0);
  PutLittleEndian(out, 0x1F8, 0x5, 8);
  PutLittleEndian(out, 0x200, 0x7, 8);
  return out;
}

Bytes WithTable(Bytes report, const std::vector<std::pair<std::string, Bytes>>& entries) {
  Bytes table;
  Bytes contents;
  const size_t header = 24 * (entries.size() + 1);
  for (const auto& [guid, content] : entries) {
    Append(table, FromHex(guid));
    Bytes numbers(8);
    PutLittleEndian(numbers, 0, header + contents.size(), 4);
    PutLittleEndian(numbers, 4, content.size(), 4);
    Append(table, numbers);
    Append(contents, content);
  }
  table.resize(header);
  Append(report, table);
  Append(report, contents);
  return report;
}

Bytes WithCertificate(Bytes report, SigningKey kind, const Bytes& der) {
  return WithTable(std::move(report), {{kind == SigningKey::kVcek ? kVcekGuid : kVlekGuid, der}});
}

}  // namespace shoji::testing
