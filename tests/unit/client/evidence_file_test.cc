// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/evidence_file.h"

#include <functional>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::client {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

SavedEvidence Saved() {
  SavedEvidence out;
  out.saved_at = *ParseTime("2026-11-26T21:17:38Z");
  out.nonce.fill(3);
  out.reply.manifest = ToBytes("a manifest");
  out.reply.evidence = {attest::EvidenceKind::kTdx, ToBytes(std::string("a quote\0", 8))};
  return out;
}

absl::StatusOr<SavedEvidence> Parse(const Json& json) { return ParseSavedEvidence(AsBytes(json.dump())); }

TEST(SavedEvidenceTest, ComesBackAsItWas) {
  SavedEvidence saved = Saved();
  for (const bool shared : {false, true}) {
    if (shared) {
      saved.reply.nonce_path = {.index = 2, .siblings = {attest::Nonce{1}, attest::Nonce{2}}};
    }
    const absl::StatusOr<SavedEvidence> read = ParseSavedEvidence(AsBytes(EncodeSavedEvidence(saved)));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->saved_at, saved.saved_at);
    EXPECT_EQ(read->nonce, saved.nonce);
    EXPECT_EQ(read->reply.manifest, saved.reply.manifest);
    EXPECT_EQ(read->reply.evidence.kind, saved.reply.evidence.kind);
    EXPECT_EQ(read->reply.evidence.data, saved.reply.evidence.data);
    ASSERT_EQ(read->reply.nonce_path.has_value(), shared);
    if (shared) {
      EXPECT_EQ(read->reply.nonce_path->index, 2U);
      EXPECT_EQ(read->reply.nonce_path->siblings, saved.reply.nonce_path->siblings);
    }
  }
}

TEST(SavedEvidenceTest, RefusesWhatIsMissingMalformedOrUnknownAndNamesIt) {
  const Json good = Json::parse(EncodeSavedEvidence(Saved()));
  ASSERT_TRUE(Parse(good).ok());
  for (const auto& [member, value] : good.items()) {
    Json json = good;
    json.erase(member);
    EXPECT_FALSE(Parse(json).ok()) << member;
    json[member] = nullptr;
    EXPECT_FALSE(Parse(json).ok()) << member;
  }
  const struct {
    const char* member;
    Json value;
    const char* error;
  } kCases[] = {
      {"format", "another", "not evidence that `shoji verify --save-evidence` saved"},
      {"version", 2, "of a version that this client does not know"},
      {"kind", "sgx2", "'kind' must be simulated, sgx, tdx or sev-snp"},
      {"nonce", "AAAA", "'nonce' must be 32 bytes"},
      {"evidence", "not base64!", "'evidence' must be bytes in base64"},
      {"manifest", 7, "'manifest' must be bytes in base64"},
      {"saved_at", "yesterday", "'yesterday' is not a time"},
      {"extra", 1, "unknown member 'extra'"},
      {"nonce_path", Json::array(), "'nonce_path' must be an object"},
      {"nonce_path", {{"index", -1}, {"siblings", Json::array()}}, "'nonce_path' must be an object"},
      {"nonce_path", {{"index", 0}, {"siblings", Json::array()}}, "a nonce path of 0 siblings"},
      {"nonce_path", {{"index", 0}, {"siblings", {"AAAA"}}}, "a sibling of 3 bytes"},
      {"nonce_path", {{"index", 0}, {"siblings", {7}}}, "'nonce_path.siblings' must be bytes in base64"},
  };
  for (const auto& bad : kCases) {
    Json json = good;
    json[bad.member] = bad.value;
    EXPECT_THAT(std::string(Parse(json).status().message()), HasSubstr(bad.error));
  }
  for (const char* text : {"", "[]", "null", "{", "{\"format\":\"shoji evidence\""}) {
    EXPECT_FALSE(ParseSavedEvidence(AsBytes(text)).ok()) << text;
  }
}

TEST(TimeTest, ReadsRfc3339AndNothingElse) {
  EXPECT_EQ(TimeText(*ParseTime("2025-07-01T02:00:00.5+02:00")), "2025-07-01T00:00:00Z");
  for (const char* bad : {"", "now", "infinite-future", "2025-07-01", "2025-07-01T00:00:00", "2025-13-01T00:00:00Z",
                          "1969-12-31T23:59:59Z", "2300-01-01T00:00:00Z", "2025-07-01T00:00:00Z and more"}) {
    EXPECT_FALSE(ParseTime(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace shoji::client
