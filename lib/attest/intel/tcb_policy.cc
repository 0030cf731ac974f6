// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/tcb_policy.h"

#include <string>

#include "lib/attest/x509/certificate.h"

namespace shoji::attest::intel {
namespace {

std::string Join(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) {
    out += (out.empty() ? "" : ", ") + item;
  }
  return out;
}

std::string Names(const std::set<TcbStatus>& statuses) {
  std::vector<std::string> names;
  for (const TcbStatus status : statuses) {
    names.emplace_back(NameOf(status));
  }
  return Join(names);
}

void CheckStatus(const std::string& name, const TcbPolicy& policy, const std::optional<TcbVerdict>& verdict,
                 StepList& steps) {
  if (!verdict.has_value()) {
    steps.Check(name, false, "no judgement", "one of " + Names(policy.accepted));
    return;
  }
  steps.Check(name, policy.accepted.contains(verdict->status), ToString(*verdict), "one of " + Names(policy.accepted),
              "update the platform, or accept '" + std::string(NameOf(verdict->status)) + "' in the policy");
}

std::string Days(std::chrono::seconds age) { return std::to_string(age / std::chrono::hours(1)) + " h"; }

void CheckAge(std::chrono::seconds maximum, const std::optional<SystemTime>& issued, SystemTime now, StepList& steps) {
  const bool young = issued.has_value() && now - *issued <= maximum;
  steps.Check("collateral age", young,
              issued.has_value() ? "issued " + x509::TimeToString(*issued) + ", " +
                                       Days(std::chrono::duration_cast<std::chrono::seconds>(now - *issued)) + " ago"
                                 : "no collateral",
              "at most " + Days(maximum) + " old", "fetch current collateral");
}

}  // namespace

absl::Status CheckTcbPolicy(const TcbPolicy& policy) {
  if (policy.accepted.empty()) {
    return absl::InvalidArgumentError("no TCB status is accepted");
  }
  if (policy.accepted.contains(TcbStatus::kRevoked)) {
    return absl::InvalidArgumentError("the TCB status Revoked cannot be accepted");
  }
  return absl::OkStatus();
}

void ApplyTcbPolicy(const TcbPolicy& policy, const QuoteClaims& claims, SystemTime now, StepList& steps) {
  CheckStatus("tcb status", policy, claims.tcb, steps);
  CheckStatus("qe tcb status", policy, claims.qe_tcb, steps);
  if (claims.tdx_module.has_value()) {
    CheckStatus("tdx module status", policy, claims.tdx_module, steps);
  }
  if (policy.minimum_evaluation_data_number > 0) {
    const uint32_t found = claims.evaluation_data_number.value_or(0);
    steps.Check("tcb evaluation", found >= policy.minimum_evaluation_data_number, "number " + std::to_string(found),
                "at least " + std::to_string(policy.minimum_evaluation_data_number), "fetch current collateral");
  }
  if (policy.maximum_collateral_age.has_value()) {
    CheckAge(*policy.maximum_collateral_age, claims.collateral_time, now, steps);
  }
}

std::vector<Claim> PlatformClaims(const QuoteClaims& claims) {
  std::vector<Claim> out = {
      {"fmspc", HexEncode(claims.platform.fmspc)},
      {"pce_id", HexEncode(claims.platform.pce_id)},
      {"pck_tcb_components", HexEncode(claims.platform.tcb_components)},
      {"pck_pce_svn", std::to_string(claims.platform.pce_svn)},
      {"pck_cpu_svn", HexEncode(claims.platform.cpu_svn)},
      {"qe_isv_svn", std::to_string(claims.quote.qe_report.isv_svn)},
  };
  const std::pair<const char*, const std::optional<TcbVerdict>*> verdicts[] = {
      {"tcb_status", &claims.tcb}, {"qe_tcb_status", &claims.qe_tcb}, {"tdx_module_status", &claims.tdx_module}};
  for (const auto& [name, verdict] : verdicts) {
    if (verdict->has_value()) {
      out.push_back({name, std::string(NameOf((*verdict)->status))});
    }
  }
  if (claims.tcb.has_value()) {
    out.push_back({"tcb_date", x509::TimeToString(claims.tcb->date)});
  }
  out.push_back({"advisories", Join(claims.Advisories())});
  return out;
}

}  // namespace shoji::attest::intel
