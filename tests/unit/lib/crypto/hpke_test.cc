// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/hpke.h"

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/support/hex.h"
#include "tests/unit/lib/crypto/vectors.h"

namespace shoji::crypto {
namespace {

using ::shoji::testing::ArrayFromHex;
using ::shoji::testing::FromHex;

Bytes HexField(const nlohmann::json& object, const char* name) { return FromHex(object[name].get<std::string>()); }

HpkeSender SenderOf(const nlohmann::json& vector) {
  const HpkeKeyPair ephemeral = DeriveHpkeKeyPair(HexField(vector, "ikmE"));
  return internal::SetupBaseSenderWithEphemeral(ArrayFromHex<32>(vector["pkRm"].get<std::string>()),
                                                HexField(vector, "info"), ephemeral)
      .value();
}

std::unique_ptr<HpkeRecipientContext> RecipientOf(const nlohmann::json& vector) {
  const HpkeKeyPair pair = DeriveHpkeKeyPair(HexField(vector, "ikmR"));
  return SetupBaseRecipient(ArrayFromHex<32>(vector["enc"].get<std::string>()), pair, HexField(vector, "info")).value();
}

void CheckKeyDerivation(const nlohmann::json& vector) {
  for (const auto& [ikm, secret, derived] : {std::array{"ikmR", "skRm", "pkRm"}, std::array{"ikmE", "skEm", "pkEm"}}) {
    const HpkeKeyPair pair = DeriveHpkeKeyPair(HexField(vector, ikm));
    EXPECT_EQ(HexEncode(pair.private_key.Expose()), vector[secret].get<std::string>());
    EXPECT_EQ(HexEncode(pair.public_key), vector[derived].get<std::string>());
  }
  EXPECT_EQ(HexEncode(SenderOf(vector).enc), vector["enc"].get<std::string>());
}

void CheckExports(const nlohmann::json& vector) {
  const HpkeSender sender = SenderOf(vector);
  const std::unique_ptr<HpkeRecipientContext> recipient = RecipientOf(vector);
  for (const nlohmann::json& entry : vector["exports"]) {
    const Bytes context = HexField(entry, "exporter_context");
    const auto length = entry["L"].get<size_t>();
    EXPECT_EQ(HexEncode(sender.context->Export(context, length).Expose()), entry["exported_value"].get<std::string>());
    EXPECT_EQ(HexEncode(recipient->Export(context, length).Expose()), entry["exported_value"].get<std::string>());
  }
}

// Seals numbers 0, 1, 2 ...; those the vector has must come out as it says, and open again in any order.
void CheckEncryptions(const nlohmann::json& vector) {
  HpkeSender sender = SenderOf(vector);
  const std::unique_ptr<HpkeRecipientContext> recipient = RecipientOf(vector);
  uint64_t index = 0;
  uint64_t taken = 0;
  for (const nlohmann::json& entry : vector["encryptions"]) {
    const uint64_t wanted = entry.contains("sequence") ? entry["sequence"].get<uint64_t>() : index;
    while (taken < wanted) {
      ASSERT_TRUE(sender.context->TakeSequence().ok());  // a number that is taken and not used is skipped
      ++taken;
    }
    AeadSealer::Sequence sequence = sender.context->TakeSequence().value();
    ASSERT_EQ(sequence.value(), taken++);
    const Bytes aad = HexField(entry, "aad");
    const absl::StatusOr<Bytes> sealed = sender.context->Seal(std::move(sequence), aad, HexField(entry, "pt"));
    ASSERT_TRUE(sealed.ok());
    EXPECT_EQ(HexEncode(*sealed), entry["ct"].get<std::string>()) << wanted;
    ++index;
  }
  for (auto entry = vector["encryptions"].rbegin(); entry != vector["encryptions"].rend(); ++entry) {
    const uint64_t number = entry->contains("sequence") ? (*entry)["sequence"].get<uint64_t>() : --index;
    const absl::StatusOr<PlaintextBytes> opened =
        recipient->OpenAt(number, HexField(*entry, "aad"), HexField(*entry, "ct"));
    ASSERT_TRUE(opened.ok()) << number;
    EXPECT_EQ(HexEncode(opened->Expose()), (*entry)["pt"].get<std::string>());
  }
}

TEST(HpkeTest, MatchesASubsetOfTheOfficialVectors) {
  const nlohmann::json vector = testing::LoadVectors("hpke_x25519_hkdfsha256_aes256gcm_base.json");
  ASSERT_EQ(vector["encryptions"].size(), 9u);
  CheckKeyDerivation(vector);
  CheckExports(vector);
  CheckEncryptions(vector);
}

TEST(HpkeTest, MatchesTheWholeOfficialVector) {
  const std::filesystem::path path =
      std::filesystem::path(SHOJI_SOURCE_DIR) / "../shared/vectors/hpke/x25519_hkdfsha256_aes256gcm_base.json";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "the full vectors are not here; the subset in tests/vectors is tested";
  }
  const nlohmann::json vector = testing::LoadJson(path);
  ASSERT_EQ(vector["encryptions"].size(), 257u);
  CheckKeyDerivation(vector);
  CheckExports(vector);
  CheckEncryptions(vector);
}

// The KEM does not depend on the AEAD: the other suites' vectors test it with other keys.
TEST(HpkeTest, DerivesTheKeyPairsOfTheOtherSuitesVectors) {
  const std::filesystem::path folder = std::filesystem::path(SHOJI_SOURCE_DIR) / "../shared/vectors/hpke";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "the full vectors are not here";
  }
  for (const char* suite : {"aes128gcm", "chacha20poly1305", "exportonly"}) {
    CheckKeyDerivation(testing::LoadJson(folder / ("x25519_hkdfsha256_" + std::string(suite) + "_base.json")));
  }
}

TEST(HpkeTest, BothEndsAgreeUnderFreshKeys) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  const HpkeSender sender = SetupBaseSender(pair.public_key, AsBytes("info")).value();
  const auto recipient = SetupBaseRecipient(sender.enc, pair, AsBytes("info")).value();
  const Bytes sealed =
      sender.context->Seal(*sender.context->TakeSequence(), AsBytes("aad"), AsBytes("plaintext")).value();
  const absl::StatusOr<PlaintextBytes> opened = recipient->OpenAt(0, AsBytes("aad"), sealed);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(ToString(opened->Expose()), "plaintext");
}

TEST(HpkeTest, AnotherInfoKeyOrEncDoesNotOpen) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  const HpkeSender sender = SetupBaseSender(pair.public_key, AsBytes("info")).value();
  const Bytes sealed = sender.context->Seal(*sender.context->TakeSequence(), {}, AsBytes("plaintext")).value();
  const auto open = [&sealed](const HpkeEnc& enc, const HpkeKeyPair& key, std::string_view info) {
    return ReasonOf(SetupBaseRecipient(enc, key, AsBytes(info)).value()->OpenAt(0, {}, sealed).status());
  };
  EXPECT_EQ(open(sender.enc, pair, "info"), Reason::kUnspecified);
  EXPECT_EQ(open(sender.enc, pair, "other"), Reason::kOpenFailed);
  EXPECT_EQ(open(sender.enc, GenerateHpkeKeyPair(), "info"), Reason::kOpenFailed);
  EXPECT_EQ(open(GenerateHpkeKeyPair().public_key, pair, "info"), Reason::kOpenFailed);
}

// RFC 7748, section 6.1 and RFC 9180, section 7.1.4: points of small order give the all-zero secret.
TEST(HpkeTest, PublicKeysOfSmallOrderAreRefusedAtBothEnds) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  for (const char* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                          "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const HpkePublicKey point = ArrayFromHex<32>(hex);
    EXPECT_EQ(SetupBaseSender(point, {}).status().code(), absl::StatusCode::kInvalidArgument) << hex;
    EXPECT_EQ(ReasonOf(SetupBaseRecipient(point, pair, {}).status()), Reason::kOpenFailed) << hex;
  }
}

}  // namespace
}  // namespace shoji::crypto
