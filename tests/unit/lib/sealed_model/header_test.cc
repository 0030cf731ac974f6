// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/header.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shoji/v1/sealed_model.pb.h"

namespace shoji::sealed_model {
namespace {

using Extent = ConfidentialNodes::Extent;
using ::testing::HasSubstr;

Header Example() {
  Header header;
  header.terms.label = "vgg16";
  header.terms.confidential = {Extent::kFrom, {"fc1"}};
  header.terms.results = *attest::ResultRule::Parse("top-k:5");
  header.terms.queries_per_release = 1000;
  header.owner_key_id.fill(7);
  header.salt.fill(9);
  header.parts = {{PartKind::kRanges, 100}, {PartKind::kModel, 5'000'000'000}};
  return header;
}

v1::SealedModelHeader ExampleProto() {
  v1::SealedModelHeader proto;
  EXPECT_TRUE(proto.ParseFromString(ToString(EncodeHeader(Example()))));
  return proto;
}

// What ParseHeader says of the example after `change`.
absl::Status Changed(const std::function<void(v1::SealedModelHeader&)>& change) {
  v1::SealedModelHeader proto = ExampleProto();
  change(proto);
  return ParseHeader(ToBytes(proto.SerializeAsString())).status();
}

TEST(SealedHeaderTest, ReadsWhatItWrites) {
  const absl::StatusOr<Header> read = ParseHeader(EncodeHeader(Example()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->terms.label, "vgg16");
  EXPECT_EQ(read->terms.confidential, Example().terms.confidential);
  EXPECT_EQ(read->terms.results, Example().terms.results);
  EXPECT_EQ(read->terms.queries_per_release, 1000U);
  EXPECT_EQ(read->owner_key_id, Example().owner_key_id);
  EXPECT_EQ(read->salt, Example().salt);
  EXPECT_EQ(read->parts, Example().parts);
  EXPECT_EQ(read->plaintext_size(), 5'000'000'100U);
}

TEST(SealedHeaderTest, ABudgetThatIsAbsentOrZeroIsRefusedAndNotUnlimited) {
  EXPECT_THAT(std::string(Changed([](auto& proto) { proto.clear_queries_per_release(); }).message()),
              HasSubstr("a budget of no queries"));
  Header header = Example();
  header.terms.queries_per_release = 0;
  EXPECT_FALSE(CheckHeader(header).ok());
}

TEST(SealedHeaderTest, AResultFormThatIsAbsentIsRefusedAndNotScores) {
  EXPECT_FALSE(Changed([](auto& proto) { proto.clear_results(); }).ok());
}

TEST(SealedHeaderTest, AnExtentThatIsAbsentOrUnknownIsRefused) {
  EXPECT_FALSE(Changed([](auto& proto) { proto.clear_confidential(); }).ok());
  EXPECT_EQ(Changed([](auto& proto) {
              proto.mutable_confidential()->set_extent(static_cast<v1::ConfidentialNodes::Extent>(9));
            }).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(SealedHeaderTest, NamesMustFitTheExtent) {
  const auto with = [](Extent extent, std::vector<std::string> nodes) {
    Header header = Example();
    header.terms.confidential = {extent, std::move(nodes)};
    return CheckHeader(header).ok();
  };
  EXPECT_TRUE(with(Extent::kAll, {}));
  EXPECT_FALSE(with(Extent::kAll, {"a"}));
  EXPECT_TRUE(with(Extent::kFrom, {"a"}));
  EXPECT_FALSE(with(Extent::kFrom, {}));
  EXPECT_FALSE(with(Extent::kFrom, {"a", "b"}));
  EXPECT_FALSE(with(Extent::kAfter, {}));
  EXPECT_TRUE(with(Extent::kListed, {"a", "b"}));
  EXPECT_FALSE(with(Extent::kListed, {}));
  EXPECT_FALSE(with(Extent::kListed, {""}));
  EXPECT_FALSE(with(Extent::kListed, {std::string(2000, 'x')}));
}

TEST(SealedHeaderTest, PartsMustEndWithTheOneModelAndFit) {
  const auto with = [](std::vector<Part> parts) {
    Header header = Example();
    header.parts = std::move(parts);
    return CheckHeader(header).ok();
  };
  EXPECT_TRUE(with({{PartKind::kModel, 1}}));
  EXPECT_FALSE(with({}));
  EXPECT_FALSE(with({{PartKind::kRanges, 1}}));
  EXPECT_FALSE(with({{PartKind::kModel, 1}, {PartKind::kRanges, 1}}));
  EXPECT_FALSE(with({{PartKind::kModel, 1}, {PartKind::kModel, 1}}));
  EXPECT_FALSE(with({{PartKind::kModel, 0}}));
  EXPECT_FALSE(with({{PartKind::kRanges, UINT64_MAX}, {PartKind::kModel, 2}})) << "sizes that overflow";
  EXPECT_FALSE(with({{PartKind::kModel, kMaxPlaintextBytes + 1}}));
}

TEST(SealedHeaderTest, DemandsOfANewerVersionAreRefused) {
  EXPECT_THAT(std::string(Changed([](auto& proto) { proto.set_format_version(2); }).message()),
              HasSubstr("format version 2"));
  const auto add = [](google::protobuf::Message& message) {
    message.GetReflection()->MutableUnknownFields(&message)->AddVarint(99, 1);
  };
  for (const auto& change : std::vector<std::function<void(v1::SealedModelHeader&)>>{
           [&](auto& proto) { add(proto); }, [&](auto& proto) { add(*proto.mutable_results()); },
           [&](auto& proto) { add(*proto.mutable_confidential()); },
           [&](auto& proto) { add(*proto.mutable_parts(0)); }}) {
    EXPECT_THAT(std::string(Changed(change).message()), HasSubstr("demands that this software does not know"));
  }
  EXPECT_EQ(Changed([](auto& proto) { proto.mutable_parts(0)->set_kind(static_cast<v1::SealedPart::Kind>(7)); }).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(SealedHeaderTest, FieldsOfTheWrongLengthAreRefused) {
  EXPECT_FALSE(Changed([](auto& proto) { proto.set_salt(std::string(31, 's')); }).ok());
  EXPECT_FALSE(Changed([](auto& proto) { proto.set_owner_key_id(std::string(17, 'k')); }).ok());
  EXPECT_FALSE(Changed([](auto& proto) { proto.set_label(std::string(2000, 'l')); }).ok());
}

TEST(SealedHeaderTest, NoTruncationOfAHeaderIsAHeader) {
  const Bytes whole = EncodeHeader(Example());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseHeader(ByteSpan(whole).first(size)).ok()) << size;
  }
  EXPECT_FALSE(ParseHeader(Bytes(kMaxHeaderBytes + 1)).ok());
}

TEST(SealedHeaderTest, ExternalDataStandsBehindTheModelUnderNamesBelowItsFolder) {
  const auto with = [](std::vector<Part> parts) {
    Header header = Example();
    header.parts = {{PartKind::kRanges, 1}, {PartKind::kModel, 1}};
    header.parts.insert(header.parts.end(), parts.begin(), parts.end());
    return CheckHeader(header).ok();
  };
  EXPECT_TRUE(with({{PartKind::kExternalData, 1, "a"}, {PartKind::kExternalData, 2, "parts/b.bin"}}));
  EXPECT_FALSE(with({{PartKind::kExternalData, 1, "a"}, {PartKind::kExternalData, 1, "a"}}));
  EXPECT_FALSE(with({{PartKind::kExternalData, 0, "a"}}));
  EXPECT_FALSE(with({{PartKind::kExternalData, kMaxPlaintextBytes - 1, "a"}})) << "with the others it is too much";
  EXPECT_FALSE(with({{PartKind::kExternalData, 1, "a"}, {PartKind::kModel, 1}}));
  for (const std::string& name :
       {std::string(), std::string("/a"), std::string("../a"), std::string("a/../../b"), std::string("a//b"),
        std::string("a/"), std::string("a\0b", 3), std::string(2000, 'x')}) {
    EXPECT_FALSE(with({{PartKind::kExternalData, 1, name}})) << name;
  }
  std::vector<Part> many;
  for (size_t i = 0; i < kMaxExternalParts; ++i) {
    many.push_back({PartKind::kExternalData, 1, std::to_string(i)});
  }
  EXPECT_TRUE(with(many));
  many.push_back({PartKind::kExternalData, 1, "one more"});
  EXPECT_FALSE(with(many));
}

TEST(SealedHeaderTest, NoOtherPartHasAName) {
  EXPECT_FALSE(Changed([](auto& proto) { proto.mutable_parts(1)->set_name("model.onnx"); }).ok());
  Header header = Example();
  header.parts.push_back({PartKind::kExternalData, 7, "weights.bin"});
  const absl::StatusOr<Header> read = ParseHeader(EncodeHeader(header));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->parts, header.parts);
}

}  // namespace
}  // namespace shoji::sealed_model
