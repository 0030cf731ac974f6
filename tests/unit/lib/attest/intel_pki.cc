// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/attest/intel_pki.h"

#include <algorithm>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/base/check.h"
#include "lib/digest/sha2.h"
#include "tests/support/hex.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::testing {
namespace {

using attest::intel::TeeType;

constexpr int64_t kValidFrom = 1735689600;   // 2025-01-01
constexpr int64_t kValidUntil = 2051222400;  // 2035-01-01
constexpr int kCa = 1;
constexpr int kPck = 2;
constexpr int kSigner = 3;
constexpr const char* kRootName = "Intel SGX Root CA";
constexpr const char* kPckCaName = "Intel SGX PCK Platform CA";

Bytes RawSignature(EVP_PKEY* key, ByteSpan message) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Bytes der(128);
  size_t size = der.size();
  SHOJI_CHECK(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key) == 1 &&
              EVP_DigestSign(context, der.data(), &size, message.data(), message.size()) == 1);
  EVP_MD_CTX_free(context);
  const unsigned char* position = der.data();
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(size));
  Bytes out(64);
  SHOJI_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(signature), out.data(), 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(signature), out.data() + 32, 32) == 32);
  ECDSA_SIG_free(signature);
  return out;
}

// x || y
Bytes Point(EVP_PKEY* key) {
  Bytes out(65);
  size_t size = 0;
  SHOJI_CHECK(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, out.data(), out.size(), &size) ==
              1);
  if (size != out.size()) {  // compressed
    SHOJI_CHECK(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") == 1);
    return Point(key);
  }
  return {out.begin() + 1, out.end()};
}

template <typename T>
Bytes DerOf(const T* object, int (*encode)(const T*, unsigned char**)) {
  const int size = encode(object, nullptr);
  SHOJI_CHECK(size > 0);
  Bytes out(static_cast<size_t>(size));
  unsigned char* position = out.data();
  encode(object, &position);
  return out;
}

Bytes Pem(const std::string& label, const Bytes& der) {
  Bytes text(4 * (der.size() + 2) / 3 + 5);
  const int size = EVP_EncodeBlock(text.data(), der.data(), static_cast<int>(der.size()));
  return ToBytes("-----BEGIN " + label + "-----\n" + ToString(ByteSpan(text).first(static_cast<size_t>(size))) +
                 "\n-----END " + label + "-----\n");
}

Bytes Tlv(uint8_t tag, const Bytes& content) {
  Bytes out = {tag};
  if (content.size() >= 0x80) {
    out.push_back(0x82);
    out.push_back(static_cast<uint8_t>(content.size() >> 8));
  }
  out.push_back(static_cast<uint8_t>(content.size()));
  Append(out, content);
  return out;
}

// An attribute of Intel's extension, whose identifiers begin 1.2.840.113741.1.13.1.
Bytes Attribute(const std::vector<uint8_t>& suffix, const Bytes& value) {
  Bytes identifier = FromHex("2a864886f84d010d01");
  Append(identifier, suffix);
  Bytes pair = Tlv(0x06, identifier);
  Append(pair, value);
  return Tlv(0x30, pair);
}

// Components 5, PCESVN 11, FMSPC 112233445566, PCEID 0000.
Bytes SgxExtension() {
  Bytes tcb;
  for (uint8_t i = 1; i <= 16; ++i) {
    Append(tcb, Attribute({2, i}, {2, 1, 5}));
  }
  Append(tcb, Attribute({2, 17}, {2, 1, 11}));
  Append(tcb, Attribute({2, 18}, Tlv(0x04, Bytes(16, 5))));
  Bytes all = Attribute({1}, Tlv(0x04, Bytes(16, 9)));
  Append(all, Attribute({2}, Tlv(0x30, tcb)));
  Append(all, Attribute({3}, Tlv(0x04, Bytes(2, 0))));
  Append(all, Attribute({4}, Tlv(0x04, FromHex("112233445566"))));
  Append(all, Attribute({5}, {0x0A, 1, 0}));
  return Tlv(0x30, all);
}

void AddExtension(X509* certificate, const std::string& object_identifier, const Bytes& value) {
  ASN1_OBJECT* object = OBJ_txt2obj(object_identifier.c_str(), 1);
  ASN1_OCTET_STRING* content = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(content, value.data(), static_cast<int>(value.size()));
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, content);
  SHOJI_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(content);
  ASN1_OBJECT_free(object);
}

X509_NAME* NameOf(const std::string& name) {
  X509_NAME* out = X509_NAME_new();
  X509_NAME_add_entry_by_txt(out, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return out;
}

std::string Components(const char* key, uint8_t svn) {
  std::string out = std::string("\"") + key + "\":[";
  for (int i = 0; i < 16; ++i) {
    out += std::string(i == 0 ? "" : ",") + "{\"svn\":" + std::to_string(svn) + "}";
  }
  return out + "]";
}

std::string Verdict(const std::string& status) {
  return R"("tcbDate":"2025-01-01T00:00:00Z","tcbStatus":")" + status + R"(","advisoryIDs":["INTEL-SA-)" + status +
         "\"]";
}

std::string Dates(const IntelOptions& options) {
  return R"("issueDate":"2025-06-20T00:00:00Z","nextUpdate":"2025-07-20T00:00:00Z","tcbEvaluationDataNumber":)" +
         std::to_string(options.evaluation_data_number) + ",";
}

std::string TcbInfoText(const IntelOptions& options) {
  const bool tdx = options.tee == TeeType::kTdx;
  std::string tcb;
  if (options.tcb_info_version == 2) {
    for (int i = 1; i <= 16; ++i) {
      tcb += std::string("\"sgxtcbcomp") + (i < 10 ? "0" : "") + std::to_string(i) +
             "svn\":" + std::to_string(options.level_svn) + ",";
    }
  } else {
    tcb = Components("sgxtcbcomponents", options.level_svn) + ",";
  }
  tcb += "\"pcesvn\":" + std::to_string(options.level_pce_svn);
  std::string out = "{";
  if (options.tcb_info_version == 3) {
    out += std::string(R"("id":")") + (tdx ? "TDX" : "SGX") + "\",";
  }
  out += "\"version\":" + std::to_string(options.tcb_info_version) + "," + Dates(options) +
         R"("fmspc":"112233445566","pceId":"0000","tcbType":0,)";
  if (tdx) {
    tcb += "," + Components("tdxtcbcomponents", 5);
    const std::string module = R"("mrsigner":")" + std::string(96, '0') +
                               R"(","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF")";
    out += R"("tdxModule":{)" + module + R"(},"tdxModuleIdentities":[{"id":"TDX_01",)" + module +
           R"(,"tcbLevels":[{"tcb":{"isvsvn":5},)" + Verdict(options.module_status) + "}]}],";
  }
  return out + R"("tcbLevels":[{"tcb":{)" + tcb + "}," + Verdict(options.tcb_status) + "}]}";
}

std::string QeIdentityText(const IntelOptions& options) {
  return std::string(R"({"id":")") + (options.tee == TeeType::kTdx ? "TD_QE" : "QE") + R"(","version":2,)" +
         Dates(options) +
         R"("miscselect":"00000000","miscselectMask":"FFFFFFFF","attributes":"11000000000000000000000000000000",)" +
         R"("attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","mrsigner":")" + std::string(64, '4') +
         R"(","isvprodid":1,"tcbLevels":[{"tcb":{"isvsvn":)" + std::to_string(options.level_qe_svn) + "}," +
         Verdict(options.qe_status) + "}]}";
}

Bytes QeReport(ByteSpan attestation_key, const Bytes& auth) {
  Bytes out(384);
  out[48] = 0x11;                                     // ATTRIBUTES: INIT, PROVISIONKEY
  std::fill_n(out.begin() + 128, 32, uint8_t{0x44});  // MRSIGNER
  out[256] = 1;                                       // ISVPRODID
  out[258] = 4;                                       // ISVSVN
  Bytes bound(attestation_key.begin(), attestation_key.end());
  Append(bound, auth);
  const digest::Sha256Digest digest = digest::Sha256(bound);
  std::copy(digest.begin(), digest.end(), out.begin() + 320);
  return out;
}

void AppendLittleEndian(Bytes& out, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
}

}  // namespace

const IntelPki& IntelPki::Get() {
  static const IntelPki kPki;
  return kPki;
}

IntelPki::IntelPki()
    : root_(EVP_EC_gen("P-256")),
      other_root_(EVP_EC_gen("P-256")),
      pck_ca_(EVP_EC_gen("P-256")),
      pck_(EVP_EC_gen("P-256")),
      signer_(EVP_EC_gen("P-256")),
      attestation_(EVP_EC_gen("P-256")) {}

IntelPki::~IntelPki() {
  for (EVP_PKEY* key : {root_, other_root_, pck_ca_, pck_, signer_, attestation_}) {
    EVP_PKEY_free(key);
  }
}

Bytes IntelPki::root_key() const { return DerOf(static_cast<const EVP_PKEY*>(root_), i2d_PUBKEY); }

Bytes IntelPki::Certificate(const std::string& name, const std::string& issuer, int64_t serial, EVP_PKEY* key,
                            EVP_PKEY* issuer_key, int kind) const {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial);
  ASN1_TIME_set(X509_getm_notBefore(certificate), kValidFrom);
  ASN1_TIME_set(X509_getm_notAfter(certificate), kValidUntil);
  X509_NAME* subject = NameOf(name);
  X509_NAME* issued_by = NameOf(issuer);
  X509_set_subject_name(certificate, subject);
  X509_set_issuer_name(certificate, issued_by);
  X509_NAME_free(subject);
  X509_NAME_free(issued_by);
  X509_set_pubkey(certificate, key);
  X509_EXTENSION* constraints = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints,
                                                    kind == kCa ? "critical,CA:TRUE" : "critical,CA:FALSE");
  X509_add_ext(certificate, constraints, -1);
  X509_EXTENSION_free(constraints);
  if (kind == kPck) {
    AddExtension(certificate, "1.2.840.113741.1.13.1", SgxExtension());
  }
  SHOJI_CHECK(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
  Bytes out = Pem("CERTIFICATE", DerOf(certificate, i2d_X509));
  X509_free(certificate);
  return out;
}

Bytes IntelPki::Crl(const std::string& issuer, EVP_PKEY* key, const std::vector<int64_t>& serials) const {
  X509_CRL* list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_NAME* name = NameOf(issuer);
  X509_CRL_set_issuer_name(list, name);
  X509_NAME_free(name);
  const auto now = std::chrono::system_clock::to_time_t(kVectorTime);
  ASN1_TIME* from = ASN1_TIME_set(nullptr, now - 86400);
  ASN1_TIME* until = ASN1_TIME_set(nullptr, now + 86400);
  X509_CRL_set1_lastUpdate(list, from);
  X509_CRL_set1_nextUpdate(list, until);
  for (const int64_t serial : serials) {
    X509_REVOKED* revoked = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set_int64(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, from);
    X509_CRL_add0_revoked(list, revoked);
    ASN1_INTEGER_free(number);
  }
  SHOJI_CHECK(X509_CRL_sign(list, key, EVP_sha256()) > 0);
  Bytes out = DerOf(list, i2d_X509_CRL);
  ASN1_TIME_free(from);
  ASN1_TIME_free(until);
  X509_CRL_free(list);
  return out;
}

attest::intel::Collateral IntelPki::Collateral(const IntelOptions& options) const {
  EVP_PKEY* signing_root = options.collateral_of_another_root ? other_root_ : root_;
  Bytes chain = Certificate(options.signer_name, kRootName, kSignerSerial, signer_, signing_root, kSigner);
  Append(chain, Certificate(kRootName, kRootName, 1, signing_root, signing_root, kCa));
  const auto sign = [&](const std::string& text) {
    return attest::intel::SignedText{ToBytes(text), RawSignature(signer_, AsBytes(text)), chain};
  };
  attest::intel::Collateral out;
  out.name = "made here";
  out.tcb_info = sign(TcbInfoText(options));
  out.qe_identity = sign(QeIdentityText(options));
  out.root_ca_crl = Crl(kRootName, signing_root, options.revoked_by_root);
  out.pck_crl = Crl(kPckCaName, pck_ca_, options.revoked_by_pck_ca);
  return out;
}

Bytes IntelPki::Quote(const IntelOptions& options, uint16_t version, const Bytes& body,
                      const std::function<void(Bytes& qe_report)>& change) const {
  Bytes out;
  AppendLittleEndian(out, version, 2);
  AppendLittleEndian(out, 2, 2);
  AppendLittleEndian(out, options.tee == TeeType::kTdx ? 0x81 : 0, 4);
  AppendLittleEndian(out, 0, 4);
  Append(out, FromHex("939a7233f79c4ca9940a0db3957f0607"));
  out.resize(48);
  if (version == 5) {
    AppendLittleEndian(out, body.size() == 384 ? 1 : body.size() == 584 ? 2 : 3, 2);
    AppendLittleEndian(out, body.size(), 4);
  }
  Append(out, body);
  const Bytes key = Point(attestation_);
  const Bytes auth(32, 3);
  Bytes signature = RawSignature(attestation_, out);
  Append(signature, key);
  Bytes qe_report = QeReport(key, auth);
  if (change) {
    change(qe_report);
  }
  Bytes certification = qe_report;
  Append(certification, RawSignature(pck_, qe_report));
  AppendLittleEndian(certification, auth.size(), 2);
  Append(certification, auth);
  Bytes chain = Certificate(options.pck_name, kPckCaName, kPckSerial, pck_, pck_ca_, kPck);
  Append(chain, Certificate(kPckCaName, kRootName, kPckCaSerial, pck_ca_, root_, kCa));
  Append(chain, Certificate(kRootName, kRootName, 1, root_, root_, kCa));
  AppendLittleEndian(certification, 5, 2);
  AppendLittleEndian(certification, chain.size(), 4);
  Append(certification, chain);
  if (version >= 4) {
    AppendLittleEndian(signature, 6, 2);
    AppendLittleEndian(signature, certification.size(), 4);
  }
  Append(signature, certification);
  AppendLittleEndian(out, signature.size(), 4);
  Append(out, signature);
  return out;
}

Bytes IntelPki::WithAnotherAttestationKey(Bytes quote, size_t signed_size) const {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Bytes replaced = RawSignature(key, ByteSpan(quote).first(signed_size));
  Append(replaced, Point(key));
  std::copy(replaced.begin(), replaced.end(), quote.begin() + static_cast<ptrdiff_t>(signed_size) + 4);
  EVP_PKEY_free(key);
  return quote;
}

Bytes EnclaveReportBytes(uint8_t fill) {
  Bytes out(384, fill);
  std::fill_n(out.begin() + 48, 16, uint8_t{0});
  out[48] = 0x05;
  return out;
}

Bytes TdReportBytes(uint8_t fill, size_t size) {
  Bytes out(size, fill);
  std::fill_n(out.begin(), 16, uint8_t{5});
  out[1] = 1;
  std::fill_n(out.begin() + 0x40, 64, uint8_t{0});  // MRSIGNERSEAM, SEAMATTRIBUTES, TDATTRIBUTES
  return out;
}

}  // namespace shoji::testing
