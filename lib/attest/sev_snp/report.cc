// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/report.h"

#include <algorithm>

#include "lib/attest/field_reader.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::sev_snp {
namespace {

constexpr uint32_t kFirstVersion = 2;
constexpr uint32_t kLastVersion = 5;
constexpr uint32_t kEcdsaP384Sha384 = 1;
constexpr uint64_t kPolicyMustBeOne = uint64_t{1} << 17;
constexpr size_t kSignedBytes = 0x2A0;
constexpr size_t kScalarBytes = 48;       // of the curve
constexpr size_t kScalarFieldBytes = 72;  // in the report, little-endian

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError("malformed SEV-SNP report: " + what);
}

bool AllZero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

void ReadBeforeReserved(FieldReader& reader, Report& out, uint32_t& algorithm) {
  out.version = reader.Integer<uint32_t>();
  out.guest_svn = reader.Integer<uint32_t>();
  out.policy = reader.Integer<uint64_t>();
  reader.Take(out.family_id);
  reader.Take(out.image_id);
  out.vmpl = reader.Integer<uint32_t>();
  algorithm = reader.Integer<uint32_t>();
  reader.Take(out.current_tcb);
  out.platform_info = reader.Integer<uint64_t>();
  out.flags = reader.Integer<uint32_t>();
  reader.Span(4);
  reader.Take(out.report_data);
  reader.Take(out.measurement);
  reader.Take(out.host_data);
  reader.Take(out.id_key_digest);
  reader.Take(out.author_key_digest);
  reader.Take(out.report_id);
  reader.Take(out.report_id_ma);
  reader.Take(out.reported_tcb);
  reader.Take(out.cpuid);
}

void ReadAfterReserved(FieldReader& reader, Report& out) {
  reader.Take(out.chip_id);
  reader.Take(out.committed_tcb);
  reader.Take(out.current_firmware);
  reader.Span(1);
  reader.Take(out.committed_firmware);
  reader.Span(1);
  reader.Take(out.launch_tcb);
  out.launch_mitigations = reader.Integer<uint64_t>();
  out.current_mitigations = reader.Integer<uint64_t>();
}

// r and s, little-endian with zeros above the curve's size, into big-endian.
absl::Status ReadSignature(ByteSpan bytes, Report& out) {
  for (size_t i = 0; i < 2; ++i) {
    const ByteSpan scalar = bytes.subspan(i * kScalarFieldBytes, kScalarFieldBytes);
    if (!AllZero(scalar.subspan(kScalarBytes))) {
      return Malformed("its signature is larger than the curve");
    }
    std::reverse_copy(scalar.begin(), scalar.begin() + kScalarBytes,
                      out.signature.begin() + static_cast<ptrdiff_t>(i * kScalarBytes));
  }
  if (!AllZero(bytes.subspan(2 * kScalarFieldBytes))) {
    return Malformed("the bytes after its signature are not zero");
  }
  return absl::OkStatus();
}

absl::Status CheckFixed(const Report& report, uint32_t algorithm) {
  if (report.version < kFirstVersion || report.version > kLastVersion) {
    return Malformed("version is " + std::to_string(report.version) + ", expected 2 to 5");
  }
  if (algorithm != kEcdsaP384Sha384) {
    return Malformed("signature algorithm is " + std::to_string(algorithm) + ", expected 1 (ECDSA P-384 with SHA-384)");
  }
  if ((report.policy & kPolicyMustBeOne) == 0) {
    return Malformed("bit 17 of its policy is not set");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view NameOf(Product product) {
  switch (product) {
    case Product::kMilan:
      return "Milan";
    case Product::kGenoa:
      return "Genoa";
    case Product::kTurin:
      return "Turin";
  }
  return "unknown";
}

std::string_view NameOf(SigningKey key) { return key == SigningKey::kVcek ? "VCEK" : "VLEK"; }

bool TcbVersion::AllAtLeast(const TcbVersion& minimum) const {
  return fmc >= minimum.fmc && bootloader >= minimum.bootloader && tee >= minimum.tee && snp >= minimum.snp &&
         microcode >= minimum.microcode;
}

std::optional<Product> StatedProduct(const Report& report) {
  if (report.version < 3) {
    return std::nullopt;
  }
  const uint8_t family = report.cpuid[0];
  const uint8_t model = report.cpuid[1];
  if (family == 0x19 && model <= 0x0F) {
    return Product::kMilan;
  }
  if (family == 0x19 && ((model >= 0x10 && model <= 0x1F) || (model >= 0xA0 && model <= 0xAF))) {
    return Product::kGenoa;
  }
  if (family == 0x1A && model <= 0x1F) {
    return Product::kTurin;
  }
  return std::nullopt;
}

TcbVersion DecodeTcbVersion(Product product, const RawTcbVersion& raw) {
  if (product == Product::kTurin) {
    return {.fmc = raw[0], .bootloader = raw[1], .tee = raw[2], .snp = raw[3], .microcode = raw[7]};
  }
  return {.fmc = 0, .bootloader = raw[0], .tee = raw[1], .snp = raw[6], .microcode = raw[7]};
}

std::string ToString(const TcbVersion& version, Product product) {
  return (product == Product::kTurin ? "fmc " + std::to_string(version.fmc) + ", " : "") + "bootloader " +
         std::to_string(version.bootloader) + ", tee " + std::to_string(version.tee) + ", snp " +
         std::to_string(version.snp) + ", microcode " + std::to_string(version.microcode);
}

absl::StatusOr<Report> ParseReport(ByteSpan bytes) {
  if (bytes.size() != kReportBytes) {
    return Malformed("it has " + std::to_string(bytes.size()) + " bytes, expected " + std::to_string(kReportBytes));
  }
  FieldReader reader(bytes.first(kSignedBytes));
  Report out;
  uint32_t algorithm = 0;
  ReadBeforeReserved(reader, out, algorithm);
  reader.Span(21);
  ReadAfterReserved(reader, out);
  RETURN_IF_ERROR(CheckFixed(out, algorithm));
  const uint32_t key = out.flags >> 2 & 7;
  if (key > 1) {
    return Malformed("signing key is " + std::to_string(key) + ", expected 0 (VCEK) or 1 (VLEK)");
  }
  out.signing_key = static_cast<SigningKey>(key);
  out.signed_part.assign(bytes.begin(), bytes.begin() + kSignedBytes);
  RETURN_IF_ERROR(ReadSignature(bytes.subspan(kSignedBytes), out));
  return out;
}

}  // namespace shoji::attest::sev_snp
