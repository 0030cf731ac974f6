// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/evidence_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/attest/nonce_tree.h"
#include "lib/base/base64.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "shoji evidence";
constexpr int kVersion = 1;

absl::Status Bad(const std::string& member, const std::string& expected) {
  return absl::InvalidArgumentError("member '" + member + "' must be " + expected);
}

absl::StatusOr<Bytes> FromBase64(const Json& value, const std::string& member) {
  std::optional<Bytes> out;
  if (value.is_string()) {
    out = Base64Decode(value.get_ref<const std::string&>());
  }
  if (!out.has_value()) {
    return Bad(member, "bytes in base64");
  }
  return *std::move(out);
}

absl::StatusOr<Bytes> BytesMember(const Json& json, const char* member) {
  const auto found = json.find(member);
  return found == json.end() ? Bad(member, "bytes in base64") : FromBase64(*found, member);
}

absl::StatusOr<std::string> TextMember(const Json& json, const char* member) {
  const auto found = json.find(member);
  return found == json.end() || !found->is_string() ? absl::StatusOr<std::string>(Bad(member, "a text"))
                                                    : found->get<std::string>();
}

absl::StatusOr<attest::NoncePath> PathFrom(const Json& json) {
  const auto index = json.is_object() ? json.find("index") : json.end();
  const auto siblings = json.is_object() ? json.find("siblings") : json.end();
  if (index == json.end() || siblings == json.end() || json.size() != 2 || !index->is_number_unsigned() ||
      index->get<uint64_t>() > UINT32_MAX || !siblings->is_array()) {
    return Bad("nonce_path", "an object of an `index` and an array of `siblings`");
  }
  std::vector<Bytes> nodes;
  for (const Json& sibling : *siblings) {
    ASSIGN_OR_RETURN(Bytes node, FromBase64(sibling, "nonce_path.siblings"));
    nodes.push_back(std::move(node));
  }
  return attest::MakeNoncePath(index->get<uint32_t>(), {nodes.begin(), nodes.end()});
}

absl::Status CheckForm(const Json& json) {
  static const std::set<std::string> kMembers = {"format", "version",    "saved_at", "kind",
                                                 "nonce",  "nonce_path", "manifest", "evidence"};
  const auto format = json.is_object() ? json.find("format") : json.end();
  if (format == json.end() || *format != kFormat) {
    return absl::InvalidArgumentError("not evidence that `shoji verify --save-evidence` saved");
  }
  const auto version = json.find("version");
  if (version == json.end() || *version != kVersion) {
    return absl::InvalidArgumentError("saved evidence of a version that this client does not know");
  }
  for (const auto& [member, value] : json.items()) {
    if (!kMembers.contains(member)) {
      return absl::InvalidArgumentError("unknown member '" + member + "'");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string EncodeSavedEvidence(const SavedEvidence& saved) {
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"saved_at", TimeText(saved.saved_at)},
               {"kind", attest::NameOf(saved.reply.evidence.kind)},
               {"nonce", Base64Encode(saved.nonce)}};
  if (saved.reply.nonce_path.has_value()) {
    Json siblings = Json::array();
    for (const attest::Nonce& sibling : saved.reply.nonce_path->siblings) {
      siblings.push_back(Base64Encode(sibling));
    }
    json["nonce_path"] = {{"index", saved.reply.nonce_path->index}, {"siblings", std::move(siblings)}};
  }
  json["manifest"] = Base64Encode(saved.reply.manifest);
  json["evidence"] = Base64Encode(saved.reply.evidence.data);
  return json.dump(2) + "\n";
}

absl::StatusOr<SavedEvidence> ParseSavedEvidence(ByteSpan text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  RETURN_IF_ERROR(CheckForm(json));
  SavedEvidence out;
  ASSIGN_OR_RETURN(const std::string saved_at, TextMember(json, "saved_at"));
  ASSIGN_OR_RETURN(out.saved_at, ParseTime(saved_at));
  ASSIGN_OR_RETURN(const std::string kind, TextMember(json, "kind"));
  const std::optional<attest::EvidenceKind> known = attest::EvidenceKindOf(kind);
  if (!known.has_value()) {
    return Bad("kind", "simulated, sgx, tdx or sev-snp");
  }
  out.reply.evidence.kind = *known;
  ASSIGN_OR_RETURN(const Bytes nonce, BytesMember(json, "nonce"));
  if (nonce.size() != out.nonce.size()) {
    return Bad("nonce", "32 bytes in base64");
  }
  std::copy(nonce.begin(), nonce.end(), out.nonce.begin());
  if (const auto path = json.find("nonce_path"); path != json.end()) {
    ASSIGN_OR_RETURN(out.reply.nonce_path, PathFrom(*path));
  }
  ASSIGN_OR_RETURN(out.reply.manifest, BytesMember(json, "manifest"));
  ASSIGN_OR_RETURN(out.reply.evidence.data, BytesMember(json, "evidence"));
  return out;
}

std::string TimeText(SystemTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

absl::StatusOr<SystemTime> ParseTime(const std::string& text) {
  absl::Time time;
  std::string error;
  // absl also takes words such as "infinite-future".
  const bool is_time = !text.empty() && text.front() >= '0' && text.front() <= '9' &&
                       absl::ParseTime(absl::RFC3339_full, text, &time, &error);
  const absl::Time last = absl::FromUnixSeconds(7258118400);  // 2200-01-01; the clock's own range ends in 2262
  if (!is_time || time < absl::UnixEpoch() || time > last) {
    return absl::InvalidArgumentError("'" + text +
                                      "' is not a time as RFC 3339 writes it, such as 2026-11-26T21:17:38Z");
  }
  return absl::ToChronoTime(time);
}

}  // namespace shoji::client
