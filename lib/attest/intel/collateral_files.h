// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/intel/collateral.h"

namespace shoji::attest::intel {

// Reads collateral from `path`, which is one of
//   a file       one JSON object with everything (ParseCollateralJson)
//   a folder     with tcb_info.json and qe_identity.json, each either as signed, with tcb_info.sig and qe_identity.sig
//                (64 bytes, or 128 hexadecimal digits) beside it, or a body of Intel's service that holds its
//                signature; tcb_info_issuer_chain.pem, qe_identity_issuer_chain.pem, root_ca_crl.der, pck_crl.der (DER,
//                PEM or hexadecimal, whatever the name), and optionally pck_crl_issuer_chain.pem
//   a folder     of such files (*.json) and folders: a cache for several platforms
// NOT_FOUND when there is none; other errors name the file.
absl::StatusOr<std::vector<Collateral>> LoadCollateral(const std::string& path);

}  // namespace shoji::attest::intel
