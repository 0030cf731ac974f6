// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// AMD SEV-SNP attestation reports, versions 2 to 5 (1184 bytes; AMD publication 56860, "ATTESTATION_REPORT").
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::attest::sev_snp {

inline constexpr size_t kReportBytes = 1184;

// A line of processors: the key that its reports are signed under, and the layout of its TCB_VERSION.
enum class Product : uint8_t { kMilan, kGenoa, kTurin };

inline constexpr Product kAllProducts[] = {Product::kMilan, Product::kGenoa, Product::kTurin};

std::string_view NameOf(Product product);

// The security versions of the firmware's parts. `fmc` exists on Turin only, and is zero elsewhere.
struct TcbVersion {
  uint8_t fmc = 0;
  uint8_t bootloader = 0;
  uint8_t tee = 0;
  uint8_t snp = 0;
  uint8_t microcode = 0;

  bool operator==(const TcbVersion&) const = default;
  bool AllAtLeast(const TcbVersion& minimum) const;
};

using RawTcbVersion = std::array<uint8_t, 8>;
TcbVersion DecodeTcbVersion(Product product, const RawTcbVersion& raw);
// "bootloader 3, tee 0, snp 8, microcode 115"
std::string ToString(const TcbVersion& version, Product product);

enum class SigningKey : uint8_t { kVcek = 0, kVlek = 1 };

std::string_view NameOf(SigningKey key);

struct Report {
  uint32_t version = 0;
  uint32_t guest_svn = 0;
  uint64_t policy = 0;
  std::array<uint8_t, 16> family_id = {};
  std::array<uint8_t, 16> image_id = {};
  uint32_t vmpl = 0;
  RawTcbVersion current_tcb = {};
  uint64_t platform_info = 0;
  uint32_t flags = 0;  // bit 0 AUTHOR_KEY_EN, bit 1 MASK_CHIP_KEY, bits 4:2 SIGNING_KEY
  std::array<uint8_t, 64> report_data = {};
  std::array<uint8_t, 48> measurement = {};
  std::array<uint8_t, 32> host_data = {};
  std::array<uint8_t, 48> id_key_digest = {};
  std::array<uint8_t, 48> author_key_digest = {};
  std::array<uint8_t, 32> report_id = {};
  std::array<uint8_t, 32> report_id_ma = {};
  RawTcbVersion reported_tcb = {};
  std::array<uint8_t, 3> cpuid = {};  // family, model, stepping; version 3 and later
  std::array<uint8_t, 64> chip_id = {};
  RawTcbVersion committed_tcb = {};
  std::array<uint8_t, 3> current_firmware = {};  // build, minor, major
  std::array<uint8_t, 3> committed_firmware = {};
  RawTcbVersion launch_tcb = {};
  uint64_t launch_mitigations = 0;  // version 5
  uint64_t current_mitigations = 0;

  SigningKey signing_key = SigningKey::kVcek;
  Bytes signed_part;                       // what `signature` is over
  std::array<uint8_t, 96> signature = {};  // r || s, big-endian

  bool debug() const { return (policy >> 19 & 1) != 0; }
  bool migratable() const { return (policy >> 18 & 1) != 0; }
  bool smt_allowed() const { return (policy >> 16 & 1) != 0; }
};

// The line that family and model belong to (AMD publication 56860, CPUID_FAM_ID and CPUID_MOD_ID), which reports state
// from version 3 on; nullopt for others.
std::optional<Product> StatedProduct(const Report& report);

// Parses hostile bytes, kReportBytes of them. INVALID_ARGUMENT says which field is wrong.
absl::StatusOr<Report> ParseReport(ByteSpan bytes);

}  // namespace shoji::attest::sev_snp
