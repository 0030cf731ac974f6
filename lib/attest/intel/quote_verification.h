// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The steps that quotes of SGX and TDX share: from the bytes to "made by a quoting enclave of Intel's, on a platform
// whose TCB Intel judges so".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/attest/intel/inspected_collateral.h"
#include "lib/attest/intel/pck_certificate.h"
#include "lib/attest/intel/quote.h"
#include "lib/attest/intel/tcb_status.h"
#include "lib/attest/step_list.h"
#include "lib/base/clock.h"

namespace shoji::attest::intel {

// What a genuine quote says, and how Intel judges it. Parts are absent where a step that would give them failed.
struct QuoteClaims {
  Quote quote;
  std::vector<x509::Certificate> pck_chain;  // leaf first
  PckPlatform platform;
  std::optional<TcbVerdict> tcb;
  std::optional<TcbVerdict> qe_tcb;
  std::optional<TcbVerdict> tdx_module;  // TDX with a module version of its own
  std::optional<SystemTime> collateral_time;
  std::optional<uint32_t> evaluation_data_number;  // the lower of the two signed texts'

  std::vector<std::string> Advisories() const;  // of all judgements, each once, sorted
};

// Whether `bytes` are a quote for `tee`, signed up to `root_key`: steps "structure", "pck chain", "pck certificate",
// "qe report signature", "attestation key" and "quote signature". nullopt when one fails: nothing it says is genuine.
std::optional<QuoteClaims> VerifyQuoteSignatures(ByteSpan bytes, TeeType tee, const Bytes& root_key, StepList& steps);

// Whether that holds at `now`, and Intel's judgement: steps "certificate validity", "collateral", "root revocation
// list", "pck revocation list", "revocation", "qe identity signature", "qe identity validity", "qe identity", "qe tcb
// level", "tcb info signature", "tcb info validity", "tcb info platform", "tdx module" (TDX only) and "tcb level". Uses
// the one of `collaterals` that fits. Fills in `claims`.
void AppraisePlatform(std::span<const InspectedCollateral> collaterals, SystemTime now, QuoteClaims& claims,
                      StepList& steps);

}  // namespace shoji::attest::intel
