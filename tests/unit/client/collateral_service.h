// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The recorded collateral of tests/vectors/attestation, served as Intel's and AMD's services serve theirs.
#pragma once

#include <string>
#include <vector>

#include "lib/attest/intel/collateral.h"
#include "lib/base/check.h"
#include "lib/base/file.h"
#include "tests/support/genuine_evidence.h"
#include "tests/support/http_server.h"

namespace shoji::testing {

// What is asked for of one Intel platform, in the order in which it is asked for.
struct IntelTargets {
  std::string tcb_info;
  std::string qe_identity;
  std::string root_crl;
  std::string pck_crl;

  std::vector<std::string> all() const { return {tcb_info, qe_identity, root_crl, pck_crl}; }
};
inline IntelTargets SgxTargets() {
  return {"/sgx/certification/v4/tcb?fmspc=00a067110000", "/sgx/certification/v4/qe/identity",
          "/sgx/certification/v4/rootcacrl", "/sgx/certification/v4/pckcrl?ca=processor&encoding=der"};
}
inline IntelTargets TdxTargets() {
  return {"/tdx/certification/v4/tcb?fmspc=b0c06f000000", "/tdx/certification/v4/qe/identity",
          "/sgx/certification/v4/rootcacrl", "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"};
}
inline constexpr char kMilanVcekTarget[] =
    "/vcek/v1/Milan/"
    "d49554ec717f4e5b0fe6b143bcf0405bd7ae304727edf46603f2a76aef6a3abc15d7af38db757039029f0efacfd08e2443248"
    "84738c72b082e2f87a44d541eb6?blSPL=3&teeSPL=0&snpSPL=8&ucodeSPL=115";

inline Bytes ReadVector(const std::string& name) {
  auto bytes = ReadFile(GenuinePath(name), size_t{1} << 20);
  SHOJI_CHECK(bytes.ok());
  return *std::move(bytes);
}

inline attest::intel::Collateral RecordedCollateral(const std::string& name) {
  auto out = attest::intel::ParseCollateralJson(ReadVector(name), name);
  SHOJI_CHECK(out.ok());
  return *std::move(out);
}
inline attest::intel::Collateral SgxCollateral() { return RecordedCollateral("dcapqvl_sgx_quote_v3.collateral.json"); }
inline attest::intel::Collateral TdxCollateral() { return RecordedCollateral("dcapqvl_tdx_quote.collateral.json"); }

// RFC 3986, of everything but letters and digits.
inline std::string PercentEncode(ByteSpan text) {
  std::string out;
  for (const uint8_t c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += plain ? std::string(1, static_cast<char>(c)) : "%" + HexEncode({&c, 1});
  }
  return out;
}

inline HttpAnswer SignedAnswer(const std::string& member, const std::string& header,
                               const attest::intel::SignedText& text) {
  return {.body = ToBytes("{\"" + member + "\":" + ToString(text.text) + ",\"signature\":\"" +
                          HexEncode(text.signature) + "\"}"),
          .header = header + ": " + PercentEncode(text.issuer_chain) + "\r\n"};
}

inline void ServeIntel(HttpServer& server, const IntelTargets& targets, const attest::intel::Collateral& collateral) {
  server.Serve(targets.tcb_info, SignedAnswer("tcbInfo", "TCB-Info-Issuer-Chain", collateral.tcb_info));
  server.Serve(targets.qe_identity,
               SignedAnswer("enclaveIdentity", "SGX-Enclave-Identity-Issuer-Chain", collateral.qe_identity));
  server.Serve(targets.pck_crl,
               {.body = collateral.pck_crl,
                .header = "SGX-PCK-CRL-Issuer-Chain: " + PercentEncode(collateral.pck_crl_issuer_chain) + "\r\n"});
  server.Serve(targets.root_crl, {.body = ToBytes(HexEncode(collateral.root_ca_crl))});  // as caches give it
}

}  // namespace shoji::testing
