// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/appraisal_file/reference_fields.h"

#include <utility>
#include <vector>

namespace shoji::appraisal_file {
namespace {

using attest::Unpinned;
using attest::intel::TcbStatus;
using attest::sev_snp::Product;
using config::Fields;
using config::Node;

constexpr std::pair<std::string_view, Unpinned> kUnpinned[] = {{"refused", Unpinned::kRefused},
                                                               {"accepted", Unpinned::kAccepted}};
enum class Debug : uint8_t { kDeny };
constexpr std::pair<std::string_view, Debug> kDebug[] = {{"deny", Debug::kDeny}};
constexpr std::pair<std::string_view, attest::sev_snp::MissingList> kRevocationList[] = {
    {"required", attest::sev_snp::MissingList::kRefused}, {"optional", attest::sev_snp::MissingList::kAccepted}};
// Revoked is not among them.
constexpr std::pair<std::string_view, TcbStatus> kStatuses[] = {
    {"UpToDate", TcbStatus::kUpToDate},
    {"SWHardeningNeeded", TcbStatus::kSwHardeningNeeded},
    {"ConfigurationNeeded", TcbStatus::kConfigurationNeeded},
    {"ConfigurationAndSWHardeningNeeded", TcbStatus::kConfigurationAndSwHardeningNeeded},
    {"OutOfDate", TcbStatus::kOutOfDate},
    {"OutOfDateConfigurationNeeded", TcbStatus::kOutOfDateConfigurationNeeded},
};
constexpr uint64_t kMaxVmpl = 3;

// The list under `key`; empty where it is absent.
absl::StatusOr<std::vector<Node>> OptionalList(const Fields& fields, const char* key) {
  const std::optional<Node> node = fields.Find(key);
  return node.has_value() ? node->List() : std::vector<Node>();
}

absl::StatusOr<uint8_t> ReadSvn(const Fields& fields, const char* key) {
  ASSIGN_OR_RETURN(const uint64_t svn, fields.Uint64(key, 0, UINT8_MAX));
  return static_cast<uint8_t>(svn);
}

absl::StatusOr<attest::SgxReference> ReadEnclave(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"name", "mrenclave", "mrsigner", "isv_prod_id", "minimum_isv_svn"}));
  attest::SgxReference out;
  ASSIGN_OR_RETURN(out.name, fields.String("name"));
  RETURN_IF_ERROR(ReadHexInto(fields, "mrenclave", out.mr_enclave));
  RETURN_IF_ERROR(ReadHexInto(fields, "mrsigner", out.mr_signer));
  if (fields.Has("isv_prod_id")) {
    ASSIGN_OR_RETURN(const uint64_t id, fields.Uint64("isv_prod_id", 0, UINT16_MAX));
    out.isv_prod_id = static_cast<uint16_t>(id);
  }
  ASSIGN_OR_RETURN(const uint64_t svn, fields.Uint64Or("minimum_isv_svn", 0, 0, UINT16_MAX));
  out.minimum_isv_svn = static_cast<uint16_t>(svn);
  return out;
}

absl::StatusOr<attest::TdxReference> ReadTdxGuest(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"name", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid",
                                                  "mrowner", "mrownerconfig"}));
  attest::TdxReference out;
  ASSIGN_OR_RETURN(out.name, fields.String("name"));
  RETURN_IF_ERROR(ReadHexInto(fields, "mrtd", out.mr_td));
  for (size_t i = 0; i < out.rtmrs.size(); ++i) {
    RETURN_IF_ERROR(ReadHexInto(fields, ("rtmr" + std::to_string(i)).c_str(), out.rtmrs[i]));
  }
  RETURN_IF_ERROR(ReadHexInto(fields, "mrconfigid", out.mr_config_id));
  RETURN_IF_ERROR(ReadHexInto(fields, "mrowner", out.mr_owner));
  RETURN_IF_ERROR(ReadHexInto(fields, "mrownerconfig", out.mr_owner_config));
  return out;
}

absl::StatusOr<attest::SnpReference> ReadSnpGuest(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"name", "measurement", "kernel_hashes", "vmpl", "host_data",
                                                  "id_key_digest", "author_key_digest"}));
  attest::SnpReference out;
  ASSIGN_OR_RETURN(out.name, fields.String("name"));
  RETURN_IF_ERROR(ReadHexInto(fields, "measurement", out.measurement));
  ASSIGN_OR_RETURN(const bool kernel_hashes, fields.BoolOr("kernel_hashes", false));
  out.kernel_hashes = kernel_hashes ? attest::KernelHashes::kMeasured : attest::KernelHashes::kNotMeasured;
  if (fields.Has("vmpl")) {
    ASSIGN_OR_RETURN(const uint64_t vmpl, fields.Uint64("vmpl", 0, kMaxVmpl));
    out.vmpl = static_cast<uint32_t>(vmpl);
  }
  RETURN_IF_ERROR(ReadHexInto(fields, "host_data", out.host_data));
  RETURN_IF_ERROR(ReadHexInto(fields, "id_key_digest", out.id_key_digest));
  RETURN_IF_ERROR(ReadHexInto(fields, "author_key_digest", out.author_key_digest));
  return out;
}

absl::StatusOr<attest::sev_snp::TcbVersion> ReadTcbVersion(Product product, const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, product == Product::kTurin
                                            ? node.Map({"fmc", "bootloader", "tee", "snp", "microcode"})
                                            : node.Map({"bootloader", "tee", "snp", "microcode"}));
  attest::sev_snp::TcbVersion out;
  if (product == Product::kTurin) {
    ASSIGN_OR_RETURN(out.fmc, ReadSvn(fields, "fmc"));
  }
  ASSIGN_OR_RETURN(out.bootloader, ReadSvn(fields, "bootloader"));
  ASSIGN_OR_RETURN(out.tee, ReadSvn(fields, "tee"));
  ASSIGN_OR_RETURN(out.snp, ReadSvn(fields, "snp"));
  ASSIGN_OR_RETURN(out.microcode, ReadSvn(fields, "microcode"));
  return out;
}

absl::Status ReadTcbMinimums(const Fields& policy, const char* key, attest::TcbMinimums& out) {
  const std::optional<Node> node = policy.Find(key);
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Fields fields, node->Map({"Milan", "Genoa", "Turin"}));
  for (const Product product : attest::sev_snp::kAllProducts) {
    if (const std::optional<Node> tcb = fields.Find(NameOf(product))) {
      ASSIGN_OR_RETURN(out[product], ReadTcbVersion(product, *tcb));
    }
  }
  return out.empty() ? node->Error("an empty map; name a line of processors") : absl::OkStatus();
}

// Hexadecimal digits for all bits, or a map of mask and value.
absl::Status ReadBitRule(const Fields& policy, const char* key, std::optional<attest::BitRule>& out) {
  const std::optional<Node> node = policy.Find(key);
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  attest::BitRule rule;
  if (node->IsMap()) {
    ASSIGN_OR_RETURN(const Fields fields, node->Map({"mask", "value"}));
    ASSIGN_OR_RETURN(const Node mask, fields.Require("mask"));
    ASSIGN_OR_RETURN(const Node value, fields.Require("value"));
    ASSIGN_OR_RETURN(rule.mask, ReadHex<8>(mask));
    ASSIGN_OR_RETURN(rule.value, ReadHex<8>(value));
  } else {
    ASSIGN_OR_RETURN(rule.value, ReadHex<8>(*node));
  }
  out = rule;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<attest::intel::TcbPolicy> ReadTcb(const Fields& fields) {
  attest::intel::TcbPolicy out;
  const std::optional<Node> node = fields.Find("tcb");
  if (!node.has_value()) {
    return out;
  }
  ASSIGN_OR_RETURN(const Fields tcb, node->Map({"accept", "minimum_evaluation"}));
  if (const std::optional<Node> accept = tcb.Find("accept")) {
    out.accepted.clear();
    ASSIGN_OR_RETURN(const std::vector<Node> statuses, accept->List());
    for (const Node& status : statuses) {
      ASSIGN_OR_RETURN(const TcbStatus read, status.Enum<TcbStatus>(kStatuses));
      out.accepted.insert(read);
    }
  }
  ASSIGN_OR_RETURN(const uint64_t number, tcb.Uint64Or("minimum_evaluation", 0, 0, UINT32_MAX));
  out.minimum_evaluation_data_number = static_cast<uint32_t>(number);
  return out;
}

absl::StatusOr<Unpinned> ReadUnpinned(const Fields& fields) {
  RETURN_IF_ERROR(fields.EnumOr<Debug>("debug", Debug::kDeny, kDebug).status());
  return fields.EnumOr<Unpinned>("unpinned", Unpinned::kRefused, kUnpinned);
}

absl::StatusOr<attest::SgxPolicy> ReadSgx(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"enclaves", "tcb", "debug", "unpinned"}));
  attest::SgxPolicy out;
  ASSIGN_OR_RETURN(out.unpinned, ReadUnpinned(fields));
  ASSIGN_OR_RETURN(out.tcb, ReadTcb(fields));
  ASSIGN_OR_RETURN(const std::vector<Node> enclaves, OptionalList(fields, "enclaves"));
  for (const Node& enclave : enclaves) {
    ASSIGN_OR_RETURN(attest::SgxReference read, ReadEnclave(enclave));
    out.enclaves.push_back(std::move(read));
  }
  const absl::Status usable = CheckSgxPolicy(out);
  return usable.ok() ? absl::StatusOr<attest::SgxPolicy>(std::move(out)) : node.Annotate(usable);
}

absl::StatusOr<attest::TdxPolicy> ReadTdx(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields, node.Map({"guests", "attributes", "xfam", "tcb", "debug", "unpinned"}));
  attest::TdxPolicy out;
  RETURN_IF_ERROR(ReadBitRule(fields, "attributes", out.attributes));
  RETURN_IF_ERROR(ReadBitRule(fields, "xfam", out.xfam));
  ASSIGN_OR_RETURN(out.unpinned, ReadUnpinned(fields));
  ASSIGN_OR_RETURN(out.tcb, ReadTcb(fields));
  ASSIGN_OR_RETURN(const std::vector<Node> guests, OptionalList(fields, "guests"));
  for (const Node& guest : guests) {
    ASSIGN_OR_RETURN(attest::TdxReference read, ReadTdxGuest(guest));
    out.guests.push_back(std::move(read));
  }
  const absl::Status usable = CheckTdxPolicy(out);
  return usable.ok() ? absl::StatusOr<attest::TdxPolicy>(std::move(out)) : node.Annotate(usable);
}

absl::StatusOr<attest::SnpPolicy> ReadSnp(const Node& node) {
  ASSIGN_OR_RETURN(const Fields fields,
                   node.Map({"guests", "minimum_tcb", "minimum_launch_tcb", "minimum_committed_tcb", "csp_id",
                             "revocation_list", "debug", "unpinned"}));
  attest::SnpPolicy out;
  ASSIGN_OR_RETURN(out.unpinned, ReadUnpinned(fields));
  ASSIGN_OR_RETURN(out.missing_revocation_list, fields.EnumOr<attest::sev_snp::MissingList>(
                                                    "revocation_list", out.missing_revocation_list, kRevocationList));
  ASSIGN_OR_RETURN(const std::vector<Node> guests, OptionalList(fields, "guests"));
  for (const Node& guest : guests) {
    ASSIGN_OR_RETURN(attest::SnpReference read, ReadSnpGuest(guest));
    out.guests.push_back(std::move(read));
  }
  RETURN_IF_ERROR(ReadTcbMinimums(fields, "minimum_tcb", out.minimum_tcb));
  RETURN_IF_ERROR(ReadTcbMinimums(fields, "minimum_launch_tcb", out.minimum_launch_tcb));
  RETURN_IF_ERROR(ReadTcbMinimums(fields, "minimum_committed_tcb", out.minimum_committed_tcb));
  if (const std::optional<Node> csp_id = fields.Find("csp_id")) {
    ASSIGN_OR_RETURN(out.csp_id, csp_id->String());
  }
  const absl::Status usable = CheckSnpPolicy(out);
  return usable.ok() ? absl::StatusOr<attest::SnpPolicy>(std::move(out)) : node.Annotate(usable);
}

}  // namespace shoji::appraisal_file
