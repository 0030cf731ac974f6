// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <vector>

#include "lib/attest/sev_snp/report.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::sev_snp {

// Where chains of one line of processors end.
struct Root {
  Product product = Product::kMilan;
  x509::Certificate ark;  // AMD root key, self-signed; its public key is what is trusted
};

// AMD's own. Outside of tests, the roots to trust.
const std::vector<Root>& AmdRoots();

// AMD's ASK and ASVK certificates of all lines, for evidence that comes with none. They are verified like any other.
const std::vector<x509::Certificate>& AmdIntermediates();

}  // namespace shoji::attest::sev_snp
