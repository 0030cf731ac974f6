// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/endorsement_key.h"

#include "lib/attest/x509/der.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::sev_snp {
namespace {

constexpr size_t kChipIdBytes = 64;
constexpr size_t kShortChipIdBytes = 8;
constexpr uint8_t kDerIa5String = 0x16;

absl::StatusOr<Bytes> Extension(const x509::Certificate& certificate, const std::string& suffix) {
  std::optional<Bytes> out = certificate.Extension("1.3.6.1.4.1.3704.1." + suffix);
  if (!out.has_value()) {
    return absl::InvalidArgumentError(certificate.CommonName() + " has no extension 1.3.6.1.4.1.3704.1." + suffix);
  }
  return *std::move(out);
}

absl::StatusOr<uint8_t> Svn(const x509::Certificate& certificate, const std::string& suffix) {
  ASSIGN_OR_RETURN(const Bytes bytes, Extension(certificate, suffix));
  x509::DerReader reader(bytes);
  ASSIGN_OR_RETURN(const ByteSpan content, reader.Next(x509::kDerInteger));
  ASSIGN_OR_RETURN(const uint32_t svn, x509::DerUnsigned(content, UINT8_MAX));
  if (!reader.empty()) {
    return absl::InvalidArgumentError("extension 1.3.6.1.4.1.3704.1." + suffix + " is malformed");
  }
  return static_cast<uint8_t>(svn);
}

// An IA5String, or the bare text.
absl::StatusOr<std::string> Text(const x509::Certificate& certificate, const std::string& suffix) {
  ASSIGN_OR_RETURN(const Bytes bytes, Extension(certificate, suffix));
  x509::DerReader reader(bytes);
  const absl::StatusOr<ByteSpan> content = reader.Next(kDerIa5String);
  std::string out = shoji::ToString(content.ok() && reader.empty() ? *content : ByteSpan(bytes));
  for (const char c : out) {
    if (c < ' ' || c > '~') {
      return absl::InvalidArgumentError("extension 1.3.6.1.4.1.3704.1." + suffix + " is no text");
    }
  }
  return out;
}

absl::StatusOr<Bytes> HardwareId(const x509::Certificate& certificate) {
  ASSIGN_OR_RETURN(const Bytes bytes, Extension(certificate, "4"));
  for (const size_t size : {kChipIdBytes, kShortChipIdBytes}) {
    if (bytes.size() == size) {
      return bytes;
    }
    if (bytes.size() == size + 2 && bytes[0] == x509::kDerOctetString && bytes[1] == size) {
      return Bytes(bytes.begin() + 2, bytes.end());
    }
  }
  return absl::InvalidArgumentError("the hardware identifier of the VCEK has " + std::to_string(bytes.size()) +
                                    " bytes");
}

}  // namespace

absl::StatusOr<EndorsementKey> ReadEndorsementKey(const x509::Certificate& certificate) {
  EndorsementKey out;
  const std::string name = certificate.CommonName();
  if (name != "SEV-VCEK" && name != "SEV-VLEK") {
    return absl::InvalidArgumentError("found a certificate of \"" + name + "\"; expected SEV-VCEK or SEV-VLEK");
  }
  out.kind = name == "SEV-VCEK" ? SigningKey::kVcek : SigningKey::kVlek;
  ASSIGN_OR_RETURN(out.product_name, Text(certificate, "2"));
  ASSIGN_OR_RETURN(out.tcb.bootloader, Svn(certificate, "3.1"));
  ASSIGN_OR_RETURN(out.tcb.tee, Svn(certificate, "3.2"));
  ASSIGN_OR_RETURN(out.tcb.snp, Svn(certificate, "3.3"));
  ASSIGN_OR_RETURN(out.tcb.microcode, Svn(certificate, "3.8"));
  if (certificate.Extension("1.3.6.1.4.1.3704.1.3.9").has_value()) {
    ASSIGN_OR_RETURN(out.tcb.fmc, Svn(certificate, "3.9"));
  }
  if (out.kind == SigningKey::kVcek) {
    ASSIGN_OR_RETURN(out.hardware_id, HardwareId(certificate));
  } else {
    ASSIGN_OR_RETURN(out.csp_id, Text(certificate, "5"));
  }
  return out;
}

}  // namespace shoji::attest::sev_snp
