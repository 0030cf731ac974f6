// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The partition policy as YAML:
//
//   model: vgg16                        # required; or "*", for whichever model it is given to
//   segments:                           # required, at least one, in graph order; each runs up to the start of the next
//     - from: input                     # or a NODE; or `after: NODE`; exactly one of the two
//       place: blinded                  # enclave | blinded | verified | open
//       verify: true                    # blinded only
//       accelerators: [gpu0]            # default: any of the deployment
//       confidential: false             # enclave only
//       precision: int8                 # float32 | int8; default: int8 for blinded and verified, which take no other
//   masking:
//     source: pads                      # pads | shares
//     pool: {requests: 64, memory: 4GiB, on_empty: enclave}   # enclave | wait | reject
//
// A NODE is a name; or {op: MaxPool, nth: 2}, the second node of that operator type; or {layer: 3}, the third node with
// weights; negative numbers count from the end, the last being -1; or a list of names, a set that separates the graph.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/partition/policy.h"

namespace shoji::policy_file {

// `from: input` is the model's input, even where a node is called so too. Errors are INVALID_ARGUMENT and name file,
// line and key, with near names for unknown keys and words; NOT_FOUND and the like for a file that cannot be read.
absl::StatusOr<partition::PartitionPolicy> LoadPolicy(const std::string& path);
// `name` stands for the file in errors.
absl::StatusOr<partition::PartitionPolicy> ParsePolicy(std::string_view text, const std::string& name);

}  // namespace shoji::policy_file
