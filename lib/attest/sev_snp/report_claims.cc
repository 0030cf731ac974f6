// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <cstdio>
#include <string>

#include "lib/attest/sev_snp/genuine_report.h"

namespace shoji::attest::sev_snp {
namespace {

std::string Hexadecimal(uint64_t value) {
  char out[32] = "";
  std::snprintf(out, sizeof(out), "0x%llx", static_cast<unsigned long long>(value));
  return out;
}

// "1.52.4" of build, minor and major.
std::string Firmware(const std::array<uint8_t, 3>& version) {
  return std::to_string(version[2]) + "." + std::to_string(version[1]) + "." + std::to_string(version[0]);
}

}  // namespace

std::vector<Claim> GenuineReport::Claims() const {
  std::vector<Claim> out = {
      {"report_version", std::to_string(report.version)},
      {"product", std::string(NameOf(product))},
      {"signing_key", std::string(NameOf(report.signing_key))},
      {"guest_svn", std::to_string(report.guest_svn)},
      {"policy", Hexadecimal(report.policy)},
      {"family_id", HexEncode(report.family_id)},
      {"image_id", HexEncode(report.image_id)},
      {"vmpl", std::to_string(report.vmpl)},
      {"platform_info", Hexadecimal(report.platform_info)},
      {"flags", Hexadecimal(report.flags)},
      {"measurement", HexEncode(report.measurement)},
      {"host_data", HexEncode(report.host_data)},
      {"id_key_digest", HexEncode(report.id_key_digest)},
      {"author_key_digest", HexEncode(report.author_key_digest)},
      {"report_id", HexEncode(report.report_id)},
      {"report_id_ma", HexEncode(report.report_id_ma)},
      {"chip_id", HexEncode(report.chip_id)},
      {"current_tcb", HexEncode(report.current_tcb)},
      {"reported_tcb", HexEncode(report.reported_tcb)},
      {"committed_tcb", HexEncode(report.committed_tcb)},
      {"launch_tcb", HexEncode(report.launch_tcb)},
      {"current_firmware", Firmware(report.current_firmware)},
      {"committed_firmware", Firmware(report.committed_firmware)},
      {"report_data", HexEncode(report.report_data)},
      {"certificate_product", key.product_name},
  };
  if (report.version >= 3) {
    out.push_back({"cpuid", HexEncode(report.cpuid)});
  }
  if (report.version >= 5) {
    out.push_back({"launch_mitigations", Hexadecimal(report.launch_mitigations)});
    out.push_back({"current_mitigations", Hexadecimal(report.current_mitigations)});
  }
  if (key.kind == SigningKey::kVlek) {
    out.push_back({"csp_id", key.csp_id});
  }
  return out;
}

}  // namespace shoji::attest::sev_snp
