// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/policy.h"

namespace shoji::partition {

const char* NameOf(Placement placement) {
  switch (placement) {
    case Placement::kEnclave:
      return "enclave";
    case Placement::kBlinded:
      return "blinded";
    case Placement::kVerified:
      return "verified";
    case Placement::kOpen:
      return "open";
  }
  return "?";
}

const char* NameOf(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return "float32";
    case Precision::kInt8:
      return "int8";
  }
  return "?";
}

const char* NameOf(MaskSource source) {
  switch (source) {
    case MaskSource::kPads:
      return "pads";
    case MaskSource::kShares:
      return "shares";
  }
  return "?";
}

}  // namespace shoji::partition
