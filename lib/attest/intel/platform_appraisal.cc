// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <string>
#include <utility>

#include "lib/attest/intel/quote_verification.h"
#include "lib/attest/x509/chain.h"

namespace shoji::attest::intel {
namespace {

constexpr const char* kRenew =
    "fetch current collateral for this platform and give it as a file or folder, or to replay old evidence, appraise "
    "it "
    "at a time at which its collateral held";

absl::Status CheckWindow(const x509::Validity& window, SystemTime now, const std::string& what) {
  if (now < window.from || now > window.until) {
    return absl::InvalidArgumentError(what + " holds from " + x509::TimeToString(window.from) + " to " +
                                      x509::TimeToString(window.until) + ", not at " + x509::TimeToString(now));
  }
  return absl::OkStatus();
}

std::string Describe(const x509::Validity& window) {
  return "issued " + x509::TimeToString(window.from) + ", next update " + x509::TimeToString(window.until);
}

// How well `collateral` fits: its TEE, then its platform, then that its TCB info holds now.
int Fit(const InspectedCollateral& collateral, const QuoteClaims& claims, SystemTime now) {
  if (!collateral.tcb_info.ok() || collateral.tcb_info->content.tee != claims.quote.tee()) {
    return 0;
  }
  const TcbInfo& info = collateral.tcb_info->content;
  if (info.fmspc != claims.platform.fmspc) {
    return 1;
  }
  return now < info.validity.from || now > info.validity.until ? 2 : 3;
}

const InspectedCollateral* Choose(std::span<const InspectedCollateral> collaterals, const QuoteClaims& claims,
                                  SystemTime now) {
  // Of several that fit alike the newest: an older one, though current still, must not hide what Intel found since.
  const auto newest = [](const InspectedCollateral& a) {
    return a.tcb_info.ok() ? std::pair(a.tcb_info->content.evaluation_data_number, a.tcb_info->content.validity.from)
                           : std::pair(uint32_t{0}, SystemTime::min());
  };
  const auto best = std::max_element(
      collaterals.begin(), collaterals.end(), [&](const InspectedCollateral& a, const InspectedCollateral& b) {
        return std::pair(Fit(a, claims, now), newest(a)) < std::pair(Fit(b, claims, now), newest(b));
      });
  return best == collaterals.end() ? nullptr : &*best;
}

// One appraisal: what its steps share.
class Appraisal {
 public:
  Appraisal(const InspectedCollateral& collateral, SystemTime now, QuoteClaims& claims, StepList& steps)
      : collateral_(collateral), now_(now), claims_(claims), steps_(steps) {}

  void CheckRevocation();
  void CheckQeIdentity();
  void CheckTcbInfo();

 private:
  // One list: that it is genuine and current.
  bool CheckList(const std::string& name, const absl::StatusOr<x509::RevocationList>& list,
                 const x509::Certificate& issuer);
  void NoteIssued(SystemTime issued);
  void NoteEvaluation(uint32_t number);
  absl::Status FindRevoked() const;
  template <typename T>
  bool CheckSigned(const std::string& name, const absl::StatusOr<SignedDocument<T>>& document);
  void CheckLevel(const TcbInfo& info);
  bool CheckModule(const TcbInfo& info);

  const InspectedCollateral& collateral_;
  const SystemTime now_;
  QuoteClaims& claims_;
  StepList& steps_;
};

void Appraisal::NoteIssued(SystemTime issued) {
  claims_.collateral_time = std::min(claims_.collateral_time.value_or(issued), issued);
}

void Appraisal::NoteEvaluation(uint32_t number) {
  claims_.evaluation_data_number = std::min(claims_.evaluation_data_number.value_or(number), number);
}

bool Appraisal::CheckList(const std::string& name, const absl::StatusOr<x509::RevocationList>& list,
                          const x509::Certificate& issuer) {
  absl::Status status = list.status();
  if (status.ok()) {
    status = list->CheckIssuedBy(issuer);
  }
  if (status.ok()) {
    status = CheckWindow(list->validity(), now_, "the revocation list of " + list->Issuer());
  }
  return steps_.Check(
      name, status,
      status.ok() ? Describe(list->validity()) + ", " + std::to_string(list->num_revoked()) + " revoked" : "", kRenew);
}

absl::Status Appraisal::FindRevoked() const {
  std::vector<x509::Certificate> by_root = {claims_.pck_chain[1]};
  for (const auto* signer : {collateral_.tcb_info.ok() ? &collateral_.tcb_info->signer_chain : nullptr,
                             collateral_.qe_identity.ok() ? &collateral_.qe_identity->signer_chain : nullptr}) {
    if (signer != nullptr) {
      by_root.push_back(signer->front());
    }
  }
  for (const x509::Certificate& certificate : by_root) {
    if (collateral_.root_crl->Revokes(certificate)) {
      return absl::InvalidArgumentError(certificate.Subject() + " is revoked");
    }
  }
  if (collateral_.pck_crl->Revokes(claims_.pck_chain[0])) {
    return absl::InvalidArgumentError("the platform's PCK certificate, serial number " +
                                      HexEncode(claims_.pck_chain[0].SerialNumber()) + ", is revoked");
  }
  return absl::OkStatus();
}

void Appraisal::CheckRevocation() {
  const bool root = CheckList("root revocation list", collateral_.root_crl, claims_.pck_chain.back());
  const bool pck = CheckList("pck revocation list", collateral_.pck_crl, claims_.pck_chain[1]);
  if (pck) {
    NoteIssued(collateral_.pck_crl->validity().from);  // the root's list is renewed once a year: its age says little
  }
  if (root && pck) {
    steps_.Check("revocation", FindRevoked(), "no certificate of the chains is revoked");
  } else {
    steps_.Check("revocation", false, "no usable revocation lists", "both lists, genuine and current", kRenew);
  }
}

template <typename T>
bool Appraisal::CheckSigned(const std::string& name, const absl::StatusOr<SignedDocument<T>>& document) {
  if (!steps_.Check(name + " signature", document.status(), "signed by Intel", kRenew)) {
    return false;
  }
  absl::Status status = CheckWindow(document->content.validity, now_, "the " + name);
  if (status.ok()) {
    status = x509::CheckValidity(document->signer_chain, now_);
  }
  NoteIssued(document->content.validity.from);
  NoteEvaluation(document->content.evaluation_data_number);
  steps_.Check(name + " validity", status, Describe(document->content.validity), kRenew);
  return true;
}

void Appraisal::CheckQeIdentity() {
  const auto& document = collateral_.qe_identity;
  if (!CheckSigned("qe identity", document)) {
    return;
  }
  const QeIdentity& identity = document->content;
  absl::Status status = CheckQeReport(identity, claims_.quote.qe_report);
  if (identity.tee != claims_.quote.tee()) {
    status =
        absl::InvalidArgumentError("found the identity of the quoting enclave of " + std::string(NameOf(identity.tee)) +
                                   "; expected that of " + std::string(NameOf(claims_.quote.tee())));
  }
  if (!steps_.Check("qe identity", status, "Intel's quoting enclave", kRenew)) {
    return;
  }
  const TcbVerdict* verdict = JudgeQe(identity, claims_.quote.qe_report);
  if (verdict != nullptr) {
    claims_.qe_tcb = *verdict;
  }
  steps_.Check(
      "qe tcb level", verdict != nullptr,
      verdict != nullptr ? ToString(*verdict) : "security version " + std::to_string(claims_.quote.qe_report.isv_svn),
      "one that reaches a level that Intel lists", "update the platform's quoting enclave");
}

bool Appraisal::CheckModule(const TcbInfo& info) {
  absl::StatusOr<std::optional<TcbVerdict>> verdict = JudgeTdxModule(info, std::get<TdReport>(claims_.quote.body));
  if (!steps_.Check("tdx module", verdict.status(),
                    verdict.ok() && verdict->has_value() ? ToString(**verdict) : "covered by the platform's level",
                    "update the platform's TDX module")) {
    return false;
  }
  claims_.tdx_module = *std::move(verdict);
  return true;
}

void Appraisal::CheckLevel(const TcbInfo& info) {
  const auto* report = std::get_if<TdReport>(&claims_.quote.body);
  const TcbLevel* level = FindLevel(info, claims_.platform, report == nullptr ? nullptr : &report->tee_tcb_svn);
  if (level != nullptr) {
    claims_.tcb = level->verdict;
  }
  std::string found = "no matching TCB level: PCK components " + HexEncode(claims_.platform.tcb_components) +
                      ", PCESVN " + std::to_string(claims_.platform.pce_svn) +
                      (report == nullptr ? "" : ", TEE_TCB_SVN " + HexEncode(report->tee_tcb_svn));
  steps_.Check("tcb level", level != nullptr, level != nullptr ? ToString(level->verdict) : found,
               "a platform that reaches one of the " + std::to_string(info.levels.size()) + " levels that Intel lists",
               "update the platform's firmware and microcode");
}

void Appraisal::CheckTcbInfo() {
  const auto& document = collateral_.tcb_info;
  if (!CheckSigned("tcb info", document)) {
    return;
  }
  const TcbInfo& info = document->content;
  const auto describe = [](TeeType tee, const Fmspc& fmspc, const PceId& pce_id) {
    return std::string(NameOf(tee)) + ", FMSPC " + HexEncode(fmspc) + ", PCEID " + HexEncode(pce_id);
  };
  const std::string found = describe(info.tee, info.fmspc, info.pce_id);
  const std::string expected = describe(claims_.quote.tee(), claims_.platform.fmspc, claims_.platform.pce_id);
  if (!steps_.Check("tcb info platform", found == expected, found, expected, kRenew)) {
    return;
  }
  if (claims_.quote.tee() == TeeType::kTdx) {
    CheckModule(info);
  }
  CheckLevel(info);
}

}  // namespace

void AppraisePlatform(std::span<const InspectedCollateral> collaterals, SystemTime now, QuoteClaims& claims,
                      StepList& steps) {
  steps.Check("certificate validity", x509::CheckValidity(claims.pck_chain, now),
              "the PCK chain is valid at " + x509::TimeToString(now));
  const InspectedCollateral* collateral = Choose(collaterals, claims, now);
  if (!steps.Check("collateral", collateral != nullptr, collateral != nullptr ? collateral->name : "none",
                   "TCB info, QE identity and revocation lists for " + std::string(NameOf(claims.quote.tee())) +
                       " with FMSPC " + HexEncode(claims.platform.fmspc),
                   kRenew)) {
    return;
  }
  Appraisal appraisal(*collateral, now, claims, steps);
  appraisal.CheckRevocation();
  appraisal.CheckQeIdentity();
  appraisal.CheckTcbInfo();
}

}  // namespace shoji::attest::intel
