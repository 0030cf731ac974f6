// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any text as Intel collateral: as one object, as a body of Intel's service, as TCB info and as an identity.

#include <cstddef>
#include <cstdint>

#include "lib/attest/intel/collateral.h"
#include "lib/attest/intel/inspected_collateral.h"
#include "lib/attest/intel/qe_identity.h"
#include "lib/attest/intel/root_key.h"
#include "lib/attest/intel/tcb_info.h"
#include "lib/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoji::attest::intel;  // NOLINT(google-build-using-namespace): one function
  const shoji::ByteSpan bytes(data, size);
  if (const auto collateral = ParseCollateralJson(bytes, "input"); collateral.ok()) {
    (void)Inspect(*collateral, IntelSgxRootKey());
  }
  if (const auto body = ParsePcsBody(bytes); body.ok()) {
    // Cut out as it stands: an object within the text.
    SHOJI_CHECK(body->text.size() < size && body->text.front() == '{' && body->text.back() == '}');
    (void)ParseTcbInfo(body->text);
    (void)ParseQeIdentity(body->text);
  }
  if (const auto info = ParseTcbInfo(bytes); info.ok()) {
    SHOJI_CHECK(!info->levels.empty());
    const TcbLevel* best = FindLevel(*info, {}, nullptr);
    SHOJI_CHECK(best == nullptr || best->pce_svn == 0);
    TdReport report;
    report.tee_tcb_svn[1] = 1;
    (void)JudgeTdxModule(*info, report);
  }
  if (const auto identity = ParseQeIdentity(bytes); identity.ok()) {
    (void)CheckQeReport(*identity, {});
    (void)JudgeQe(*identity, {});
  }
  (void)RevocationListToDer(bytes);
  return 0;
}
