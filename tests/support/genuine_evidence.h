// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Recorded genuine evidence (tests/vectors/attestation), and policies as a client writes them that pin what it
// measures. Compiled with SHOJI_SOURCE_DIR.
#pragma once

#include <string>

#include "lib/attest/evidence.h"
#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/base/file.h"

namespace shoji::testing {

// RFC 3339: when the collateral of the SGX and TDX quotes holds.
inline constexpr char kGenuineTime[] = "2025-07-01T00:00:00Z";

inline std::string GenuinePath(const std::string& name) {
  return std::string(SHOJI_SOURCE_DIR) + "/tests/vectors/attestation/" + name;
}

struct GenuineEvidence {
  attest::EvidenceKind kind;
  std::string file;    // a path
  std::string policy;  // YAML; accepts it
  std::string measurement;

  attest::Evidence Read() const {
    auto data = ReadFile(file, size_t{1} << 20);
    SHOJI_CHECK(data.ok());
    return {kind, *std::move(data)};
  }
  // `policy` with another digit in the measurement.
  std::string PolicyForAnother() const {
    std::string out = policy;
    char& digit = out[out.find(measurement)];
    digit = digit == '0' ? '1' : '0';
    return out;
  }
};

inline GenuineEvidence GenuineSgx() {
  const std::string measurement = "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb";
  return {attest::EvidenceKind::kSgx, GenuinePath("dcapqvl_sgx_quote_v3.bin"),
          "sgx:\n  enclaves:\n    - {name: recorded, mrenclave: " + measurement +
              "}\n  tcb: {accept: [UpToDate, ConfigurationAndSWHardeningNeeded]}\ncollateral: {intel: [\"" +
              GenuinePath("dcapqvl_sgx_quote_v3.collateral.json") + "\"]}\n",
          measurement};
}

inline GenuineEvidence GenuineTdx() {
  const std::string measurement =
      "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7";
  return {
      attest::EvidenceKind::kTdx, GenuinePath("dcapqvl_tdx_quote.bin"),
      "tdx:\n  guests:\n    - name: recorded\n      mrtd: " + measurement +
          "\n      rtmr1: 0084452c01668329d4bc06acdf58a7205c26743304509973949e5619bf81a6a7aea8c323c173019b3093d54e5"
          "79e9378\n      rtmr2: d833feef2cd945148aa38ead2c53e9b7f138190aaaebfc551dccd829fc207aa3ba80b70870d73307336"
          "42e01d48c3132\ncollateral: {intel: [\"" +
          GenuinePath("dcapqvl_tdx_quote.collateral.json") + "\"]}\n",
      measurement};
}

// Holds at any time until 2030-04-03, when the certificate of its key expires: there is no revocation list of AMD's at
// hand, and the policy goes without.
inline GenuineEvidence GenuineSnp() {
  const std::string measurement =
      "7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480cd81841f";
  return {attest::EvidenceKind::kSevSnp, GenuinePath("virtee_report_milan.bin"),
          "sev-snp:\n  guests:\n    - {name: recorded, measurement: " + measurement +
              ", kernel_hashes: true, vmpl: 0}\n  minimum_tcb:\n    Milan: {bootloader: 3, tee: 0, snp: 8, microcode: "
              "115}\n  revocation_list: optional\ncollateral: {amd: [\"" +
              GenuinePath("virtee_vcek_milan.der") + "\"]}\n",
          measurement};
}

}  // namespace shoji::testing
