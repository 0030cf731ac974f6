// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The appraisal policy of a client as YAML:
//
//   sgx:                                  # each kind that is there is accepted; at least one
//     enclaves:                           # any of these; all fields of one must match
//       - {name: shoji-1.0, mrenclave: 33d8..bb}
//       - {name: ours, mrsigner: 815f..e6, isv_prod_id: 1, minimum_isv_svn: 2}
//     tcb: {accept: [UpToDate, SWHardeningNeeded], minimum_evaluation: 17}    # default: UpToDate alone
//     debug: deny                         # the only choice
//     unpinned: refused                   # or accepted: a policy that pins less than it should is used
//   tdx:
//     guests:
//       - {name: vm-1.0, mrtd: .., rtmr0: .., rtmr1: .., rtmr2: .., rtmr3: .., mrconfigid: .., mrowner: ..,
//          mrownerconfig: ..}
//     attributes: {mask: 0000001000000000, value: 0000001000000000}    # TDATTRIBUTES as `verify --explain` prints them
//     xfam: e702060000000000              # or mask and value; default of both: anything
//     tcb: ..                             # as for sgx; also debug and unpinned
//   sev-snp:
//     guests:
//       - {name: vm-1.0, measurement: .., kernel_hashes: true, vmpl: 0, host_data: .., id_key_digest: ..,
//          author_key_digest: ..}
//     minimum_tcb:                        # the processors that are accepted
//       Milan: {bootloader: 3, tee: 0, snp: 8, microcode: 115}
//       Turin: {fmc: 1, bootloader: 1, tee: 0, snp: 2, microcode: 70}
//     minimum_launch_tcb: ..              # of the same processors; default: any
//     minimum_committed_tcb: ..
//     csp_id: CN=cloud.example            # a VLEK of this provider's is asked for; default: a VCEK, or any VLEK
//     revocation_list: required           # or optional: evidence is appraised where none is given
//     debug: deny
//   collateral:
//     intel: [intel]                      # files and folders, relative to this file
//     amd: [amd]
//     intel_url: https://api.trustedservices.intel.com    # where what is missing or stale is fetched; default: nowhere
//     intel_root_crl_url: https://..      # default: Intel's own, or beside the rest of what another service serves
//     amd_url: https://kdsintf.amd.com
//     cache_directory: cache              # where it is kept, and looked for before anything is fetched
//     cache_files: 1000                   # at most; the ones written longest ago go first. This is the default
//     cache_size: 64MiB
//     ca_file: pccs-ca.pem                # who signs the services' certificates; default: whom this machine trusts
//     timeout: 10s                        # of one request
//     maximum_age: 720h                   # default: until its own next update
//   models:                               # default: any model; else only these
//     - name: vgg16
//       model_digests: [..]               # default: any
//       plan_digests: [..]
//       nothing_opened_before: block3_conv1
//       verification: required            # or optional
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/attest/appraisal/appraisal_policy.h"

namespace shoji::appraisal_file {

// Errors are INVALID_ARGUMENT and name file, line and key; also for a policy that pins less than it should and does not
// say `unpinned: accepted`. NOT_FOUND and the like for a file that cannot be read.
absl::StatusOr<attest::AppraisalPolicy> LoadAppraisalPolicy(const std::string& path);
// `name` stands for the file in errors; relative paths are taken from its folder.
absl::StatusOr<attest::AppraisalPolicy> ParseAppraisalPolicy(std::string_view text, const std::string& name);

}  // namespace shoji::appraisal_file
