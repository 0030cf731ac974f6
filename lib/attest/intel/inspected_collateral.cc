// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/inspected_collateral.h"

#include <utility>

#include "lib/attest/x509/chain.h"
#include "lib/attest/x509/ecdsa.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

constexpr const char* kSignerName = "Intel SGX TCB Signing";

// The chain of who signed `text`. The signature is verified before anything is parsed.
absl::StatusOr<std::vector<x509::Certificate>> VerifySigned(const SignedText& text, const Bytes& root_key) {
  ASSIGN_OR_RETURN(std::vector<x509::Certificate> chain, x509::CertificatesFromPem(text.issuer_chain));
  if (!IsSignedBy(text, chain.front())) {
    return absl::InvalidArgumentError("not signed by " + chain.front().Subject());
  }
  if (chain.size() != 2 || chain.front().CommonName() != kSignerName) {
    return absl::InvalidArgumentError("signed by \"" + chain.front().CommonName() + "\" in a chain of " +
                                      std::to_string(chain.size()) + "; expected \"" + kSignerName + "\" and the root");
  }
  RETURN_IF_ERROR(x509::VerifyChain(chain, {&root_key, 1}));
  return chain;
}

template <typename T>
absl::StatusOr<SignedDocument<T>> Open(const SignedText& text, const Bytes& root_key,
                                       absl::StatusOr<T> (*parse)(ByteSpan)) {
  ASSIGN_OR_RETURN(std::vector<x509::Certificate> chain, VerifySigned(text, root_key));
  ASSIGN_OR_RETURN(T content, parse(text.text));
  return SignedDocument<T>{std::move(content), std::move(chain)};
}

absl::StatusOr<x509::RevocationList> OpenRootCrl(const Bytes& der,
                                                 const absl::StatusOr<SignedDocument<TcbInfo>>& tcb_info) {
  ASSIGN_OR_RETURN(x509::RevocationList list, x509::RevocationList::FromDer(der));
  if (!tcb_info.ok()) {
    return absl::InvalidArgumentError("there is no genuine TCB info whose root could have signed it");
  }
  RETURN_IF_ERROR(list.CheckIssuedBy(tcb_info->signer_chain.back()));
  return list;
}

absl::StatusOr<x509::RevocationList> OpenPckCrl(const Collateral& collateral, const Bytes& root_key) {
  ASSIGN_OR_RETURN(x509::RevocationList list, x509::RevocationList::FromDer(collateral.pck_crl));
  if (collateral.pck_crl_issuer_chain.empty()) {
    return list;
  }
  ASSIGN_OR_RETURN(const auto chain, x509::CertificatesFromPem(collateral.pck_crl_issuer_chain));
  RETURN_IF_ERROR(x509::VerifyChain(chain, {&root_key, 1}));
  RETURN_IF_ERROR(list.CheckIssuedBy(chain.front()));
  return list;
}

}  // namespace

bool IsSignedBy(const SignedText& text, const x509::Certificate& signer) {
  const auto key = x509::EcdsaPublicKey::Of(x509::EcdsaScheme::kP256Sha256, signer);
  return key.ok() && key->Verifies(text.text, text.signature);
}

InspectedCollateral Inspect(const Collateral& collateral, const Bytes& root_key) {
  InspectedCollateral out = {
      collateral.name,
      Open<TcbInfo>(collateral.tcb_info, root_key, ParseTcbInfo),
      Open<QeIdentity>(collateral.qe_identity, root_key, ParseQeIdentity),
      absl::InternalError("not opened"),
      OpenPckCrl(collateral, root_key),
  };
  out.root_crl = OpenRootCrl(collateral.root_ca_crl, out.tcb_info);
  return out;
}

std::vector<InspectedCollateral> InspectAll(std::span<const Collateral> collateral, const Bytes& root_key) {
  std::vector<InspectedCollateral> out;
  for (const Collateral& one : collateral) {
    out.push_back(Inspect(one, root_key));
  }
  return out;
}

}  // namespace shoji::attest::intel
