// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "lib/base/bytes.h"

namespace shoji::attest::intel {

// The public key (SubjectPublicKeyInfo, DER) of Intel's "Intel SGX Root CA", where every chain must end. It is that of
// https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer, also published as
// src/TrustedRootCA.der by Phala-Network/dcap-qvl (commit 9bffe30b) and as verify/trusted_root.pem by
// google/go-tdx-guest (commit 91f9a52f).
const Bytes& IntelSgxRootKey();

}  // namespace shoji::attest::intel
