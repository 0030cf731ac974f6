// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shoji/v1/attestation.pb.h"

namespace shoji::attest {
namespace {

using ::testing::HasSubstr;

Manifest Sample() {
  Manifest manifest;
  manifest.hpke_public_key.fill(7);
  manifest.expires_at = SystemTime(std::chrono::seconds(1'800'000'000));
  manifest.software_version = "0.1.0";
  ModelManifest model;
  model.name = "m";
  model.model_digest.fill(1);
  model.plan_digest.fill(2);
  model.calibration_digest.assign(32, 3);
  model.result_opened = true;
  model.inputs = {{"input", DataType::kFloat32, Shape({1, 3, 32, 32})}};
  model.outputs = {{"logits", DataType::kFloat32, Shape({1, 10})}};
  model.unopened_before = {"stem", "a0"};
  model.all_verified = true;
  model.opened = {{"a", "z", {"op"}, {{"x", DataType::kFloat32, Shape({1, 16, 8, 8})}}}};
  manifest.models.push_back(model);
  return manifest;
}

v1::Manifest SampleProto() {
  v1::Manifest proto;
  const Bytes bytes = EncodeManifest(Sample());
  EXPECT_TRUE(proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return proto;
}

absl::Status DecodeError(const v1::Manifest& proto) {
  return DecodeManifest(AsBytes(proto.SerializeAsString())).status();
}

TEST(ManifestTest, DecodesWhatItEncodes) {
  const absl::StatusOr<Manifest> decoded = DecodeManifest(EncodeManifest(Sample()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->hpke_public_key, Sample().hpke_public_key);
  EXPECT_EQ(decoded->expires_at, Sample().expires_at);
  ASSERT_EQ(decoded->models.size(), 1U);
  EXPECT_EQ(decoded->models[0].opened[0].revealed[0].shape, Shape({1, 16, 8, 8}));
  EXPECT_TRUE(decoded->models[0].result_opened);
  EXPECT_EQ(decoded->models[0].unopened_before, Sample().models[0].unopened_before);
  EXPECT_TRUE(decoded->models[0].all_verified);
  EXPECT_EQ(EncodeManifest(*decoded), EncodeManifest(Sample()));
}

TEST(ManifestTest, RefusesAKeyIdThatDoesNotDeriveFromTheKey) {
  v1::Manifest proto = SampleProto();
  proto.mutable_key_id()->at(0) ^= 1;
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("does not derive"));
}

TEST(ManifestTest, RefusesEveryWrongLength) {
  v1::Manifest proto = SampleProto();
  proto.set_hpke_public_key("short");
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("hpke_public_key has 5 bytes"));
  proto = SampleProto();
  proto.mutable_models(0)->set_plan_digest(std::string(33, 'x'));
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("plan_digest has 33 bytes"));
  proto = SampleProto();
  proto.mutable_models(0)->set_calibration_digest("x");
  EXPECT_FALSE(DecodeError(proto).ok());
}

TEST(ManifestTest, RefusesDuplicateModelsAndHostileShapes) {
  v1::Manifest proto = SampleProto();
  *proto.add_models() = proto.models(0);
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("listed twice"));
  proto = SampleProto();
  proto.mutable_models(0)->mutable_inputs(0)->set_dims(0, INT64_MAX);
  EXPECT_FALSE(DecodeError(proto).ok());
  proto = SampleProto();
  // The second overflows nothing but the system clock's nanoseconds.
  for (const int64_t seconds : {INT64_MAX, int64_t{32'503'680'000}, int64_t{-1}}) {
    proto.set_expires_at_unix_seconds(seconds);
    EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("out of range")) << seconds;
  }
}

TEST(ManifestTest, CarriesSealedTermsAndAwaitedModels) {
  Manifest manifest = Sample();
  manifest.models[0].sealed = {*ResultRule::Parse("rounded:3"), 12};
  AwaitedModel awaited;
  awaited.name = "secret";
  awaited.sealed_digest.fill(6);
  awaited.plan = {{"from the input", "open", false}, {"from `fc`", "enclave", true}};
  manifest.awaited = {awaited};
  const absl::StatusOr<Manifest> decoded = DecodeManifest(EncodeManifest(manifest));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->models[0].sealed, manifest.models[0].sealed);
  ASSERT_EQ(decoded->awaited.size(), 1U);
  EXPECT_EQ(decoded->awaited[0].name, "secret");
  EXPECT_EQ(decoded->awaited[0].sealed_digest, awaited.sealed_digest);
  EXPECT_EQ(decoded->awaited[0].plan, awaited.plan);
  EXPECT_FALSE(DecodeManifest(EncodeManifest(Sample()))->models[0].sealed.has_value());
}

TEST(ManifestTest, RefusesSealedTermsWithoutABudgetOrAResultForm) {
  v1::Manifest proto = SampleProto();
  proto.mutable_models(0)->mutable_sealed()->mutable_results()->set_form(v1::ResultRule::SCORES);
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("without a budget"));
  proto.mutable_models(0)->mutable_sealed()->set_queries_per_release(1);
  EXPECT_TRUE(DecodeError(proto).ok());
  proto.mutable_models(0)->mutable_sealed()->clear_results();
  EXPECT_FALSE(DecodeError(proto).ok());
}

TEST(ManifestTest, RefusesAnAwaitedModelOfNoDigestOrOfAServedModelsName) {
  v1::Manifest proto = SampleProto();
  v1::AwaitedModel& awaited = *proto.add_awaited();
  awaited.set_name("secret");
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("sealed_digest has 0 bytes"));
  awaited.set_sealed_digest(std::string(32, 'd'));
  EXPECT_TRUE(DecodeError(proto).ok());
  awaited.set_name(proto.models(0).name());
  EXPECT_THAT(std::string(DecodeError(proto).message()), HasSubstr("listed twice"));
  awaited.set_name("");
  EXPECT_FALSE(DecodeError(proto).ok());
}

TEST(ManifestTest, NamesTheProtocolVersionItCannotSpeak) {
  v1::Manifest proto = SampleProto();
  proto.set_protocol_version(2);
  EXPECT_EQ(DecodeError(proto).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ManifestTest, SurvivesEveryTruncationAndFlippedByte) {
  const Bytes good = EncodeManifest(Sample());
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes flipped = good;
    flipped[i] ^= 0xFF;
    (void)DecodeManifest(flipped);
    (void)DecodeManifest(ByteSpan(good).first(i));
  }
}

TEST(ManifestTest, ReportDataChangesWithManifestAndNonce) {
  digest::Sha256Digest manifest = {};
  Nonce nonce = {};
  const ReportData first = ReportDataFor(manifest, nonce);
  nonce[31] = 1;
  EXPECT_NE(ReportDataFor(manifest, nonce), first);
  nonce[31] = 0;
  manifest[0] = 1;
  EXPECT_NE(ReportDataFor(manifest, nonce), first);
}

}  // namespace
}  // namespace shoji::attest
