// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/collateral.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/attest/hex.h"
#include "lib/attest/intel/json_fields.h"
#include "lib/attest/x509/pem.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

constexpr size_t kSignatureBytes = 64;
constexpr uint8_t kDerSequence = 0x30;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && IsSpace(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

// The length of the JSON value at the front of `text`, which is part of a text that parsed: up to the `,`, `}` or `]`
// that ends it outside strings and brackets.
size_t ValueLength(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      i += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
      return i;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return text.size();
}

// The bytes of member `key` of the object in `text`, which parsed; empty when there is none or more than one.
std::string_view RawMember(std::string_view text, std::string_view key) {
  const std::string quoted = "\"" + std::string(key) + "\"";
  std::string_view out;
  bool found = false;
  text = Trim(text).substr(1);
  while (!text.empty() && text.front() != '}') {
    const size_t end_of_key = text.find('"', text.find('"') + 1);
    const size_t colon = end_of_key == std::string_view::npos ? end_of_key : text.find(':', end_of_key);
    if (colon == std::string_view::npos) {
      return "";
    }
    const std::string_view name = Trim(text.substr(0, end_of_key + 1));
    text.remove_prefix(colon + 1);
    const size_t length = ValueLength(text);
    if (name == quoted) {
      if (found) {
        return "";
      }
      found = true;
      out = Trim(text.substr(0, length));
    }
    text.remove_prefix(std::min(text.size(), text.substr(length).starts_with(',') ? length + 1 : length));
    text = Trim(text);
  }
  return out;
}

absl::StatusOr<SignedText> ReadSigned(const Json& json, const std::string& key) {
  SignedText out;
  ASSIGN_OR_RETURN(const std::string text, StringMember(json, key.c_str()));
  ASSIGN_OR_RETURN(out.signature, HexMember(json, (key + "_signature").c_str(), kSignatureBytes));
  ASSIGN_OR_RETURN(const std::string chain, StringMember(json, (key + "_issuer_chain").c_str()));
  out.text = ToBytes(text);
  out.issuer_chain = ToBytes(chain);
  return out;
}

absl::StatusOr<Bytes> ReadCrl(const Json& json, const char* key) {
  ASSIGN_OR_RETURN(const std::string text, StringMember(json, key));
  return RevocationListToDer(AsBytes(text));
}

}  // namespace

absl::StatusOr<Collateral> ParseCollateralJson(ByteSpan json, const std::string& name) {
  ASSIGN_OR_RETURN(const Json object, ParseJsonObject(json));
  Collateral out;
  out.name = name;
  ASSIGN_OR_RETURN(out.tcb_info, ReadSigned(object, "tcb_info"));
  ASSIGN_OR_RETURN(out.qe_identity, ReadSigned(object, "qe_identity"));
  ASSIGN_OR_RETURN(out.root_ca_crl, ReadCrl(object, "root_ca_crl"));
  ASSIGN_OR_RETURN(out.pck_crl, ReadCrl(object, "pck_crl"));
  if (object.contains("pck_crl_issuer_chain")) {
    ASSIGN_OR_RETURN(const std::string chain, StringMember(object, "pck_crl_issuer_chain"));
    out.pck_crl_issuer_chain = ToBytes(chain);
  }
  return out;
}

std::string EncodeCollateralJson(const Collateral& collateral) {
  const Json object = {
      {"tcb_info", ToString(collateral.tcb_info.text)},
      {"tcb_info_signature", HexEncode(collateral.tcb_info.signature)},
      {"tcb_info_issuer_chain", ToString(collateral.tcb_info.issuer_chain)},
      {"qe_identity", ToString(collateral.qe_identity.text)},
      {"qe_identity_signature", HexEncode(collateral.qe_identity.signature)},
      {"qe_identity_issuer_chain", ToString(collateral.qe_identity.issuer_chain)},
      {"root_ca_crl", HexEncode(collateral.root_ca_crl)},
      {"pck_crl", HexEncode(collateral.pck_crl)},
      {"pck_crl_issuer_chain", ToString(collateral.pck_crl_issuer_chain)},
  };
  // Text that is not UTF-8 was never signed; replaced, it does not verify either.
  return object.dump(1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<SignedText> ParsePcsBody(ByteSpan json) {
  ASSIGN_OR_RETURN(const Json object, ParseJsonObject(json));
  SignedText out;
  ASSIGN_OR_RETURN(out.signature, HexMember(object, "signature", kSignatureBytes));
  const char* key = object.contains("tcbInfo") ? "tcbInfo" : "enclaveIdentity";
  RETURN_IF_ERROR(ObjectMember(object, key).status());
  const std::string_view raw = RawMember({reinterpret_cast<const char*>(json.data()), json.size()}, key);
  if (raw.empty()) {
    return absl::InvalidArgumentError("member '" + std::string(key) + "' is not there exactly once");
  }
  out.text = ToBytes(raw);
  return out;
}

absl::StatusOr<Bytes> RevocationListToDer(ByteSpan bytes) {
  if (bytes.empty()) {
    return absl::InvalidArgumentError("an empty revocation list");
  }
  if (bytes.front() == kDerSequence && bytes.size() > 1 && bytes[1] >= 0x80) {
    return Bytes(bytes.begin(), bytes.end());
  }
  if (x509::LooksLikePem(bytes)) {
    ASSIGN_OR_RETURN(std::vector<Bytes> blocks, x509::DecodePem(bytes, "X509 CRL"));
    if (blocks.size() != 1) {
      return absl::InvalidArgumentError("more than one revocation list");
    }
    return std::move(blocks.front());
  }
  absl::StatusOr<Bytes> out = DecodeHex(Trim({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  return out.ok() ? std::move(out) : absl::InvalidArgumentError("not a revocation list in DER, PEM or hexadecimal");
}

}  // namespace shoji::attest::intel
