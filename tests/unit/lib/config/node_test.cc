// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/config/node.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::config {
namespace {

using std::chrono::nanoseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

enum class Fruit { kApple, kPear };
constexpr std::pair<std::string_view, Fruit> kFruits[] = {{"apple", Fruit::kApple}, {"pear", Fruit::kPear}};

Node Root(const std::string& text) {
  absl::StatusOr<Document> document = Document::Parse(text, "etc/shoji/test.yaml");
  EXPECT_TRUE(document.ok()) << document.status();
  return document->root();
}

// The value of the key "a" in a one-line document.
Node Value(const std::string& value) { return *Root("a: " + value + "\n").Map({"a"})->Require("a"); }

std::string ParseError(const std::string& text) {
  const absl::StatusOr<Document> document = Document::Parse(text, "test.yaml");
  return document.ok() ? "OK" : std::string(document.status().message());
}

template <typename T>
std::string ErrorText(const absl::StatusOr<T>& result) {
  return result.ok() ? "OK" : std::string(result.status().message());
}

TEST(NodeTest, ReadsEveryType) {
  EXPECT_EQ(*Value("some words").String(), "some words");
  EXPECT_EQ(*Value("'12'").String(), "12");
  EXPECT_EQ(*Value("12").String(), "12");
  EXPECT_TRUE(*Value("true").Bool());
  EXPECT_FALSE(*Value("false").Bool());
  EXPECT_EQ(*Value("-12").Int64(), -12);
  EXPECT_EQ(*Value("18446744073709551615").Uint64(), UINT64_MAX);
  EXPECT_EQ(*Value("0.25").Double(), 0.25);
  EXPECT_EQ(*Value("1e-3").Double(), 1e-3);
  EXPECT_EQ(*Value("pear").Enum<Fruit>(kFruits), Fruit::kPear);
  EXPECT_THAT(*Value("[x, 'y']").StringList(), testing::ElementsAre("x", "y"));
}

TEST(NodeTest, ReadsDurationsInEveryUnit) {
  EXPECT_EQ(*Value("250us").Duration(), std::chrono::microseconds(250));
  EXPECT_EQ(*Value("500ms").Duration(), std::chrono::milliseconds(500));
  EXPECT_EQ(*Value("10s").Duration(), std::chrono::seconds(10));
  EXPECT_EQ(*Value("2m").Duration(), std::chrono::minutes(2));
  EXPECT_EQ(*Value("1h").Duration(), std::chrono::hours(1));
  EXPECT_EQ(*Value("0s").Duration(), nanoseconds(0));
}

TEST(NodeTest, ReadsByteSizesInEveryUnit) {
  EXPECT_EQ(*Value("0").ByteSize(), 0U);
  EXPECT_EQ(*Value("512B").ByteSize(), 512U);
  EXPECT_EQ(*Value("3KiB").ByteSize(), 3072U);
  EXPECT_EQ(*Value("64MiB").ByteSize(), uint64_t{64} << 20);
  EXPECT_EQ(*Value("4GiB").ByteSize(), uint64_t{4} << 30);
  EXPECT_EQ(*Value("1TiB").ByteSize(), uint64_t{1} << 40);
}

TEST(NodeTest, ErrorNamesFileLineAndNestedKey) {
  const Node root = Root("top:\n  items:\n    - name: one\n    - name: two\n      size: many\n");
  const std::vector<Node> items = *root.Map({"top"})->Require("top")->Map({"items"})->List("items");
  const absl::StatusOr<Fields> fields = items[1].Map({"name", "size"});
  EXPECT_EQ(ErrorText(fields->Uint64("size", 0, 9)),
            "etc/shoji/test.yaml:5: key 'top.items[1].size': must be an "
            "integer from 0 to 9, not \"many\"");
}

TEST(NodeTest, UnknownKeySuggestsNearNames) {
  EXPECT_EQ(ErrorText(Root("ok: 1\nlisten_adress: x\n").Map({"ok", "listen_address"})),
            "etc/shoji/test.yaml:2: key 'listen_adress': unknown key (did you mean "
            "listen_address?)");
}

TEST(NodeTest, MissingKeyNamesTheMapItBelongsTo) {
  const Fields top = *Root("x: 1\nlimits:\n  queue: 5\n").Map({"x", "limits"});
  EXPECT_EQ(ErrorText(top.Require("limits")->Map({"queue", "in_flight"})->Require("in_flight")),
            "etc/shoji/test.yaml:2: key 'limits': the key 'in_flight' is missing");
  EXPECT_EQ(ErrorText(Root("{}").Map({"a"})->String("a")), "etc/shoji/test.yaml:1: the key 'a' is missing");
}

TEST(NodeTest, DefaultsApplyOnlyToAbsentKeys) {
  const Fields fields = *Root("text:\nnumber: x\n").Map({"text", "number", "absent"});
  EXPECT_EQ(*fields.StringOr("absent", "d"), "d");
  EXPECT_EQ(*fields.PathOr("absent", "d"), "d");
  EXPECT_EQ(*fields.BoolOr("absent", true), true);
  EXPECT_EQ(*fields.Int64Or("absent", 3, 0, 1), 3);
  EXPECT_EQ(*fields.Uint64Or("absent", 3, 0, 1), 3U);
  EXPECT_EQ(*fields.DoubleOr("absent", 0.5, 0, 1), 0.5);
  EXPECT_EQ(*fields.DurationOr("absent", std::chrono::seconds(1)), std::chrono::seconds(1));
  EXPECT_EQ(*fields.ByteSizeOr("absent", 7), 7U);
  EXPECT_EQ(*fields.EnumOr<Fruit>("absent", Fruit::kPear, kFruits), Fruit::kPear);
  EXPECT_TRUE(fields.ListOrEmpty("absent")->empty());
  EXPECT_THAT(ErrorText(fields.StringOr("text", "d")), HasSubstr("key 'text': must be text, not nothing"));
  EXPECT_THAT(ErrorText(fields.Int64Or("number", 1, 0, 1)), HasSubstr("not \"x\""));
}

TEST(NodeTest, StringRefusesNothingEmptyTextAndCollections) {
  for (const char* value : {"", "~", "null", "''", "[a]", "{b: c}"}) {
    EXPECT_THAT(ErrorText(Value(value).String()), HasSubstr("must be text")) << value;
  }
}

TEST(NodeTest, BoolRefusesOtherSpellings) {
  for (const char* value : {"yes", "no", "on", "True", "'true'", "1", "", "[]"}) {
    EXPECT_THAT(ErrorText(Value(value).Bool()), HasSubstr("must be true or false")) << value;
  }
}

TEST(NodeTest, IntegersRefuseOtherTextAndWhatIsOutOfRange) {
  for (const char* value : {"1.5", "1e3", "0x10", "1_000", "'5'", "9223372036854775808", "five", "", "[5]"}) {
    EXPECT_THAT(ErrorText(Value(value).Int64()), HasSubstr("must be an integer")) << value;
  }
  EXPECT_THAT(ErrorText(Value("11").Int64(1, 10)), HasSubstr("an integer from 1 to 10, not \"11\""));
  EXPECT_THAT(ErrorText(Value("-1").Uint64(0, 10)), HasSubstr("from 0 to 10, not \"-1\""));
  EXPECT_THAT(ErrorText(Value("0").Int64(1)), HasSubstr("of at least 1"));
}

TEST(NodeTest, DoublesRefuseWhatIsNotFiniteOrOutOfRange) {
  for (const char* value : {"nan", "inf", ".inf", "1e999", "x", "'1'", "2.0"}) {
    EXPECT_THAT(ErrorText(Value(value).Double(0, 1)), HasSubstr("must be a number")) << value;
  }
}

TEST(NodeTest, DurationsRefuseOtherUnitsOverflowAndWhatIsOutOfRange) {
  for (const char* value : {"10", "10 s", "-1s", "1.5s", "s", "9999999999999h", "1d", "[1s]", ""}) {
    EXPECT_THAT(ErrorText(Value(value).Duration()), HasSubstr("must be a duration such as")) << value;
  }
  EXPECT_THAT(ErrorText(Value("90s").Duration(nanoseconds(0), std::chrono::minutes(1))), HasSubstr("at most 1m"));
  EXPECT_THAT(ErrorText(Value("1ms").Duration(std::chrono::seconds(2))), HasSubstr("at least 2s"));
}

TEST(NodeTest, ByteSizesRefuseOtherUnitsOverflowAndWhatIsOutOfRange) {
  for (const char* value : {"10", "10MB", "10 MiB", "-1B", "1.5GiB", "99999999999TiB", "MiB", ""}) {
    EXPECT_THAT(ErrorText(Value(value).ByteSize()), HasSubstr("must be a size such as")) << value;
  }
  EXPECT_THAT(ErrorText(Value("2GiB").ByteSize(1024, uint64_t{1} << 30)),
              AllOf(HasSubstr("at least 1KiB"), HasSubstr("at most 1GiB")));
}

TEST(NodeTest, EnumListsTheChoicesAndSuggests) {
  EXPECT_THAT(ErrorText(Value("aple").Enum<Fruit>(kFruits)),
              HasSubstr("must be one of apple, pear, not \"aple\" (did you mean apple"));
  EXPECT_THAT(ErrorText(Value("[apple]").Enum<Fruit>(kFruits)), HasSubstr("not a list"));
}

TEST(NodeTest, WrongCollectionIsRefused) {
  EXPECT_THAT(ErrorText(Value("x").List()), HasSubstr("must be a list, not \"x\""));
  EXPECT_THAT(ErrorText(Value("[x]").Map({"x"})), HasSubstr("must be a map, not a list"));
  EXPECT_THAT(ErrorText(Value("{x: 1}").List()), HasSubstr("must be a list, not a map"));
  EXPECT_THAT(ErrorText(Value("3").Entries()), HasSubstr("must be a map"));
  EXPECT_THAT(ErrorText(Value("[a, [b]]").StringList()), HasSubstr("key 'a[1]': must be text, not a list"));
  EXPECT_THAT(ErrorText(Root("").Map({})), HasSubstr("test.yaml:1: must be a map, not nothing"));
}

TEST(NodeTest, EntriesKeepDocumentOrder) {
  const auto entries = *Root("b: 1\na: 2\n").Entries();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].first, "b");
  EXPECT_EQ(entries[1].second.Where(), "etc/shoji/test.yaml:2: key 'a'");
}

TEST(NodeTest, RelativePathIsTakenFromTheFolderOfTheDocument) {
  EXPECT_EQ(*Value("tls/key.pem").Path(), "etc/shoji/tls/key.pem");
  EXPECT_EQ(*Value("../key.pem").Path(), "etc/key.pem");
  EXPECT_EQ(*Value("/abs/key.pem").Path(), "/abs/key.pem");
  EXPECT_THAT(ErrorText(Value("[]").Path()), HasSubstr("must be a path"));
  EXPECT_EQ(Document::Parse("a: 1", "plain.yaml")->root().Folder(), ".");
}

TEST(NodeTest, LongAndUnprintableValuesAreQuotedShort) {
  const std::string error = ErrorText(Value("\"\\a" + std::string(5000, 'x') + "\"").Int64());
  EXPECT_LT(error.size(), 250U);
  EXPECT_THAT(error, HasSubstr("the quoted text \"?xxx"));
}

TEST(NodeTest, AnnotateKeepsTheCodeAndNamesThePlace) {
  const absl::Status status = Value("x").Annotate(absl::NotFoundError("no such file"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("test.yaml:1: key 'a': no such file"));
  EXPECT_TRUE(Value("x").Annotate(absl::OkStatus()).ok());
}

TEST(NodeTest, NodeOutlivesItsDocument) {
  const Node node = [] { return Document::Parse("[kept]", "x")->root(); }();
  EXPECT_EQ(node.List()->at(0).String().value(), "kept");
}

TEST(DocumentTest, BrokenYamlNamesFileAndLine) {
  EXPECT_THAT(ParseError("a: 1\nb: [1, 2\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(ParseError("a: 1\nb: \"x\n"), HasSubstr("test.yaml:"));
  EXPECT_THAT(ParseError("a: *nowhere\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(ParseError("a: 1\n\tb: 2\n"), HasSubstr("test.yaml:"));
  EXPECT_THAT(ParseError(std::string("a: 1\0", 5)), HasSubstr("NUL byte"));
}

TEST(DocumentTest, AcceptsWhatAnEditorLeavesAtTheEnd) {
  for (const char* text :
       {"a: 1", "a: 1\n", "a: 1\n...\n", "---\na: 1\n...", "a: 1 # note", "a: 1\r\n", "a: 1\n\n\n"}) {
    EXPECT_EQ(ParseError(text), "OK") << text;
  }
  EXPECT_EQ(Root("a: |\n  x\n").Map({"a"})->String("a").value(), "x\n");
}

TEST(DocumentTest, DuplicateKeyNamesBothLines) {
  EXPECT_EQ(ParseError("a: 1\nb: 2\na: 3\n"), "test.yaml:3: key 'a': stands here twice, first at line 1");
  EXPECT_THAT(ParseError("x: {a: 1, a: 2}\n"), HasSubstr("key 'a': stands here twice"));
}

TEST(DocumentTest, KeysThatAreNotWordsAreRefused) {
  for (const char* text : {"[a]: 1", "{a: 1}: 2", "~: 1", "? [x]\n: 1"}) {
    EXPECT_THAT(ParseError(text), HasSubstr("a key must be a word")) << text;
  }
}

TEST(DocumentTest, TagsMergeKeysAndSecondDocumentsAreRefused) {
  EXPECT_THAT(ParseError("a: !!str 5\n"), HasSubstr("tags such as"));
  EXPECT_THAT(ParseError("a: !custom [5]\n"), HasSubstr("tags such as"));
  EXPECT_THAT(ParseError("a: &x {b: 1}\nc:\n  <<: *x\n"), HasSubstr("merge keys"));
  EXPECT_THAT(ParseError("a: 1\n---\nb: 2\n"), HasSubstr("more than one YAML document"));
}

TEST(DocumentTest, AliasesStandForTheirTarget) {
  const Fields fields = *Root("a: &x [1, 2]\nb: *x\n").Map({"a", "b"});
  EXPECT_EQ(fields.List("b")->size(), 2U);
  EXPECT_EQ(fields.List("b")->at(1).Int64().value(), 2);
}

TEST(DocumentTest, AliasOfAnEnclosingValueIsRefused) {
  EXPECT_THAT(ParseError("a: &x\n  b: *x\n"), HasSubstr("a part of"));
}

TEST(DocumentTest, BillionLaughsIsRefused) {
  std::string text = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string previous = "*l" + std::to_string(i - 1);
    text += "l" + std::to_string(i) + ": &l" + std::to_string(i) + " [" + previous;
    for (int j = 0; j < 9; ++j) {
      text += ", " + previous;
    }
    text += "]\n";
  }
  EXPECT_THAT(ParseError(text), HasSubstr("once its aliases are expanded"));
}

TEST(DocumentTest, DeepNestingIsRefused) {
  EXPECT_EQ(ParseError(std::string(30, '[') + std::string(30, ']')), "OK");
  EXPECT_THAT(ParseError(std::string(40, '[') + std::string(40, ']')), HasSubstr("nested deeper than"));
  EXPECT_THAT(ParseError(std::string(500'000, '[')), HasSubstr("test.yaml"));
}

TEST(DocumentTest, DeepNestingThroughAliasesIsRefused) {
  std::string text = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_THAT(ParseError(text), HasSubstr("nested deeper than"));
}

TEST(DocumentTest, OversizeTextIsRefused) {
  EXPECT_THAT(ParseError(std::string(kMaxDocumentBytes + 1, ' ')), HasSubstr("more than the 1048576"));
}

TEST(DocumentTest, LoadNamesAMissingFile) {
  const absl::StatusOr<Document> document = Document::Load("/nonexistent/x.yaml");
  EXPECT_EQ(document.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(document.status().message()), HasSubstr("/nonexistent/x.yaml"));
}

TEST(DocumentTest, LoadReadsAFile) {
  const std::string path = testing::TempDir() + "/config_node_test.yaml";
  std::ofstream(path) << "a: 1\n";
  const absl::StatusOr<Document> document = Document::Load(path);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->root().Map({"a"})->Int64("a", 0, 1).value(), 1);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace shoji::config
