// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/pck_certificate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lib/attest/x509/der.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

constexpr const char* kCommonName = "Intel SGX PCK Certificate";
constexpr std::string_view kSgxExtension = "1.2.840.113741.1.13.1";
constexpr int kNumComponents = 16;

// The identifier of an attribute of the extension, ".4" for the FMSPC.
std::string Attribute(std::string_view suffix) { return std::string(kSgxExtension) + std::string(suffix); }

// Object identifier -> value of a SEQUENCE OF SEQUENCE { identifier, value }.
using Attributes = std::map<std::string, x509::DerElement>;

absl::StatusOr<Attributes> ReadAttributes(ByteSpan sequence) {
  Attributes out;
  x509::DerReader reader(sequence);
  while (!reader.empty()) {
    ASSIGN_OR_RETURN(const ByteSpan pair, reader.Next(x509::kDerSequence));
    x509::DerReader fields(pair);
    ASSIGN_OR_RETURN(const ByteSpan identifier, fields.Next(x509::kDerObjectIdentifier));
    ASSIGN_OR_RETURN(std::string name, x509::DerObjectIdentifier(identifier));
    ASSIGN_OR_RETURN(const x509::DerElement value, fields.Next());
    if (!fields.empty() || !out.emplace(std::move(name), value).second) {
      return absl::InvalidArgumentError("an attribute of the SGX extension is malformed or repeated");
    }
  }
  return out;
}

absl::StatusOr<ByteSpan> Find(const Attributes& attributes, const std::string& name, uint8_t tag) {
  const auto it = attributes.find(name);
  if (it == attributes.end() || it->second.tag != tag) {
    return absl::InvalidArgumentError("the SGX extension has no proper attribute " + name);
  }
  return it->second.content;
}

template <size_t N>
absl::Status TakeOctets(const Attributes& attributes, const std::string& name, std::array<uint8_t, N>& out) {
  ASSIGN_OR_RETURN(const ByteSpan content, Find(attributes, name, x509::kDerOctetString));
  if (content.size() != N) {
    return absl::InvalidArgumentError("attribute " + name + " of the SGX extension has " +
                                      std::to_string(content.size()) + " bytes, expected " + std::to_string(N));
  }
  std::copy(content.begin(), content.end(), out.begin());
  return absl::OkStatus();
}

absl::Status ReadTcb(const Attributes& attributes, PckPlatform& out) {
  ASSIGN_OR_RETURN(const ByteSpan sequence, Find(attributes, Attribute(".2"), x509::kDerSequence));
  ASSIGN_OR_RETURN(const Attributes tcb, ReadAttributes(sequence));
  const std::string prefix = Attribute(".2.");
  for (int i = 0; i < kNumComponents; ++i) {
    ASSIGN_OR_RETURN(const ByteSpan value, Find(tcb, prefix + std::to_string(i + 1), x509::kDerInteger));
    ASSIGN_OR_RETURN(const uint32_t svn, x509::DerUnsigned(value, UINT8_MAX));
    out.tcb_components[static_cast<size_t>(i)] = static_cast<uint8_t>(svn);
  }
  ASSIGN_OR_RETURN(const ByteSpan value, Find(tcb, prefix + "17", x509::kDerInteger));
  ASSIGN_OR_RETURN(const uint32_t pce_svn, x509::DerUnsigned(value, UINT16_MAX));
  out.pce_svn = static_cast<uint16_t>(pce_svn);
  return TakeOctets(tcb, prefix + "18", out.cpu_svn);
}

}  // namespace

absl::StatusOr<PckPlatform> ReadPckCertificate(const x509::Certificate& certificate) {
  if (certificate.CommonName() != kCommonName) {
    return absl::InvalidArgumentError("found a certificate of \"" + certificate.CommonName() +
                                      "\"; expected one of \"" + kCommonName + "\"");
  }
  const std::optional<Bytes> extension = certificate.Extension(std::string(kSgxExtension));
  if (!extension.has_value()) {
    return absl::InvalidArgumentError("the PCK certificate has no SGX extension " + std::string(kSgxExtension));
  }
  x509::DerReader reader(*extension);
  ASSIGN_OR_RETURN(const ByteSpan sequence, reader.Next(x509::kDerSequence));
  if (!reader.empty()) {
    return absl::InvalidArgumentError("the SGX extension of the PCK certificate is malformed");
  }
  ASSIGN_OR_RETURN(const Attributes attributes, ReadAttributes(sequence));
  PckPlatform out;
  RETURN_IF_ERROR(TakeOctets(attributes, Attribute(".1"), out.ppid));
  RETURN_IF_ERROR(ReadTcb(attributes, out));
  RETURN_IF_ERROR(TakeOctets(attributes, Attribute(".3"), out.pce_id));
  RETURN_IF_ERROR(TakeOctets(attributes, Attribute(".4"), out.fmspc));
  return out;
}

}  // namespace shoji::attest::intel
