// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The walk over a file's wire format: what it reads, and what it refuses before anything else sees it.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Counts what is read, and may end before its size says so.
class CountingSource final : public ByteSource {
 public:
  CountingSource(ByteSpan bytes, uint64_t size) : bytes_(bytes), size_(size) {}
  explicit CountingSource(ByteSpan bytes) : CountingSource(bytes, bytes.size()) {}

  uint64_t size() const override { return size_; }
  absl::Status Read(std::span<uint8_t> out) override {
    largest_ = std::max(largest_, out.size());
    if (out.size() > bytes_.size() - position_) {
      return absl::OutOfRangeError("the test's file ends early");
    }
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(position_), out.size(), out.begin());
    position_ += out.size();
    return absl::OkStatus();
  }
  size_t position() const { return position_; }
  size_t largest() const { return largest_; }

 private:
  const ByteSpan bytes_;
  const uint64_t size_;
  size_t position_ = 0;
  size_t largest_ = 0;
};

// x + w; the data of w is too large to stay in its proto.
Bytes Sum(int64_t count = 600) {
  OnnxBuilder builder;
  builder.Input("x", {1, count}).Weight("w", {count}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  return builder.Build();
}

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) {
    out += static_cast<char>(value | 0x80);
  }
  return out + static_cast<char>(value);
}
std::string Field(uint32_t number, const std::string& content) {
  return Varint(uint64_t{number} << 3 | 2) + Varint(content.size()) + content;
}
// A model whose graph has one initializer, of these fields.
std::string WithInitializer(const std::string& fields) { return Field(7, Field(5, fields)); }

std::string ErrorOf(const std::string& file) { return std::string(ImportOnnx(AsBytes(file)).status().message()); }

TEST(OnnxStreamTest, EveryByteIsReadOnceAndDigested) {
  for (const Bytes& file : {Sum(4), Sum(600), Sum(300000)}) {
    CountingSource source(file);
    const absl::StatusOr<ImportedModel> model = ImportModel(source);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(source.position(), file.size());
    EXPECT_LE(source.largest(), size_t{256} << 10);
    EXPECT_EQ(model->digest, digest::Sha256(file));
  }
}

TEST(OnnxStreamTest, LargeTensorsAreWhatProtobufWouldRead) {
  ::onnx::ModelProto proto;
  const Bytes file = Sum(600);
  ASSERT_TRUE(proto.ParseFromArray(file.data(), static_cast<int>(file.size())));
  const absl::StatusOr<Graph> graph = ImportOnnx(file);
  ASSERT_TRUE(graph.ok()) << graph.status();
  const auto values = graph->values.at(graph->nodes.at(0).inputs.at(1)).constant->values<float>();
  const auto& expected = proto.graph().initializer(0).float_data();
  EXPECT_TRUE(std::equal(values.begin(), values.end(), expected.begin(), expected.end()));
}

TEST(OnnxStreamTest, ValuesMayComeOneByOne) {
  std::string fields = Varint(1 << 3) + Varint(3) + Varint(2 << 3) + Varint(1) + Field(8, "w");
  for (int i = 0; i < 3; ++i) {
    fields += Varint(4 << 3 | 5) + std::string("\x00\x00\x80\x3f", 4);  // float_data 1, not packed
  }
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  // Two graph fields: protobuf appends the second's initializer to the first's.
  const std::string file = ToString(builder.Build()) + WithInitializer(fields);
  const absl::StatusOr<Graph> graph = ImportOnnx(AsBytes(file));
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->values.at(graph->nodes.at(0).inputs.at(1)).constant->values<float>()[2], 1.0F);
}

TEST(OnnxStreamTest, EveryTruncationIsRefused) {
  const Bytes file = Sum();
  for (size_t length = 0; length < file.size(); ++length) {
    EXPECT_FALSE(ImportOnnx(ByteSpan(file).first(length)).ok()) << length;
  }
}

TEST(OnnxStreamTest, FlippedBytesNeverCrash) {
  Bytes file = Sum();
  for (size_t i = 0; i < file.size(); ++i) {
    for (const uint8_t flip : {uint8_t{0x01}, uint8_t{0x02}, uint8_t{0x80}, uint8_t{0xff}}) {
      file[i] = static_cast<uint8_t>(file[i] ^ flip);
      (void)ImportOnnx(file).ok();
      file[i] = static_cast<uint8_t>(file[i] ^ flip);
    }
  }
}

TEST(OnnxStreamTest, ASourceThatEndsEarlyIsAnError) {
  const Bytes file = Sum();
  for (const size_t length : {size_t{0}, size_t{5}, file.size() - 1}) {
    CountingSource source(ByteSpan(file).first(length), file.size());
    EXPECT_EQ(ImportModel(source).status().code(), absl::StatusCode::kOutOfRange) << length;
  }
}

TEST(OnnxStreamTest, LengthsBeyondTheFileAreRefusedBeforeAllocation) {
  // raw_data of 3 GB in a file of a few bytes, at each depth.
  const std::string raw = Varint(9 << 3 | 2) + Varint(uint64_t{3} << 30);
  EXPECT_THAT(ErrorOf(WithInitializer(raw)),
              AllOf(HasSubstr("not an ONNX file, or a truncated one: a field of 3221225472 bytes, more than there are"),
                    HasSubstr("at byte 10")));
  EXPECT_THAT(ErrorOf(Varint(7 << 3 | 2) + Varint(UINT64_MAX)), HasSubstr("more than there are"));
  // Within the file, but beyond the message that holds it.
  EXPECT_THAT(ErrorOf(WithInitializer(Varint(9 << 3 | 2) + Varint(2000)) + std::string(3000, 'x')),
              HasSubstr("a field of 2000 bytes, more than there are"));
}

TEST(OnnxStreamTest, ATensorOverTheLimitIsRefusedBeforeAllocation) {
  const std::string file = WithInitializer(Field(9, std::string(5000, 'x')));
  const absl::Status refused = ImportOnnx(AsBytes(file), {.max_tensor_bytes = 4096}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(refused.message()), "the ONNX file has a tensor of 5000 bytes; the limit is 4096");
}

TEST(OnnxStreamTest, MalformedNumbersTagsAndGroupsAreRefused) {
  EXPECT_THAT(ErrorOf(Varint(1 << 3) + std::string(10, '\xff') + '\x01'), HasSubstr("a number of more than ten bytes"));
  EXPECT_THAT(ErrorOf(Varint(1 << 3) + "\x80"), HasSubstr("a number that does not end at byte 2"));
  EXPECT_THAT(ErrorOf(Varint(1 << 3 | 1) + "1234567"), HasSubstr("a number that does not end"));
  EXPECT_THAT(ErrorOf(std::string(1, '\x02') + '\x00'), HasSubstr("no field of a message"));  // field 0
  EXPECT_THAT(ErrorOf(Varint(uint64_t{1} << 33)), HasSubstr("no field of a message"));
  for (const uint32_t type : {3U, 4U, 6U, 7U}) {
    EXPECT_THAT(ErrorOf(WithInitializer(Varint(9 << 3 | type))), HasSubstr("no field of a message")) << type;
  }
  std::string groups;
  for (int depth = 0; depth < 100000; ++depth) {
    groups += Varint(30 << 3 | 3);
  }
  EXPECT_THAT(ErrorOf(groups), HasSubstr("no field of a message at byte 2"));
}

TEST(OnnxStreamTest, DataGivenTwiceIsRefused) {
  const std::string raw = Field(9, std::string(8, 'x'));
  const std::string floats = Field(4, std::string(8, 'x'));
  for (const std::string& fields : {raw + raw, raw + floats, floats + raw, floats + floats,
                                    Field(9, std::string(3000, 'x')) + Field(4, std::string(3000, 'x'))}) {
    EXPECT_THAT(ErrorOf(WithInitializer(fields)), HasSubstr("a tensor that holds its data twice, at byte"));
  }
  // An attribute with two tensors: protobuf would merge them.
  EXPECT_THAT(ErrorOf(Field(7, Field(1, Field(5, Field(5, raw) + Field(5, floats))))),
              HasSubstr("a tensor that holds its data twice"));
}

TEST(OnnxStreamTest, AFileThatIsAllStructureIsRefused) {
  // Empty strings, which protobuf would make an object each of.
  std::string node;
  for (int i = 0; i < 5000000; ++i) {
    node += "\x0a";
    node += '\0';
  }
  const absl::Status refused = ImportOnnx(AsBytes(Field(7, Field(1, node)))).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("more than 128 MiB of memory for what is not weights"));
}

TEST(OnnxStreamTest, MessagesThatProtobufWouldMakeManyTimesLargerAreRefused) {
  std::string empty;  // a million fields 1 of no bytes: nodes of a graph, attributes of a node, ...
  std::string nodes;  // of a function
  for (int i = 0; i < 1000000; ++i) {
    empty += Field(1, "");
    nodes += Field(7, "");
  }
  const std::string subgraph = Field(7, Field(1, Field(5, Field(6, empty))));
  const std::string function = Field(25, nodes);
  const std::string value_info = Field(7, Field(13, Field(2, Field(1, Field(2, empty)))));
  const std::string unknown = Field(7, Field(77, empty));
  std::string initializers;
  for (int i = 0; i < 600000; ++i) {
    initializers += Field(5, "");
  }
  for (const std::string& file :
       {subgraph, function, value_info + value_info + value_info, unknown, Field(7, initializers)}) {
    EXPECT_THAT(ErrorOf(file), HasSubstr("more than 128 MiB of memory for what is not weights"));
  }
}

TEST(OnnxStreamTest, TheFirstNodeOverTheLimitIsNamedAndTheRestCounted) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3});
  std::string last = "x";
  for (int i = 0; i < 100000; ++i) {
    const std::string next = "v" + std::to_string(i);
    builder.Node("Relu", {last}, {next});
    last = next;
  }
  const absl::Status refused = ImportOnnx(builder.Output(last).Build()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(refused.message()),
            "the ONNX graph has 100000 nodes; the limit is 20000, which node `v20000` (Relu) is the first to exceed");
}

TEST(OnnxStreamTest, SparseInitializersAreRefusedByName) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  auto* sparse = builder.proto().mutable_graph()->add_sparse_initializer();
  sparse->mutable_values()->set_name("holes");
  sparse->mutable_values()->set_raw_data(std::string(4000, 'x'));
  const absl::Status refused = ImportOnnx(builder.Build()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(std::string(refused.message()), "initializer `holes`: sparse initializers are not supported");
}

TEST(OnnxStreamTest, DocumentationAndTrainingAreLeftOut) {
  OnnxBuilder builder;
  builder.Input("x", {1, 600}).Weight("w", {600}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  ::onnx::ModelProto& proto = builder.proto();
  proto.set_doc_string(std::string(1000, 'd'));
  proto.mutable_graph()->mutable_initializer(0)->set_doc_string("0");  // what large data is found by
  proto.mutable_graph()->mutable_node(0)->set_doc_string("d");
  proto.add_training_info()->mutable_algorithm()->add_node()->set_op_type("Adam");
  EXPECT_TRUE(ImportOnnx(builder.Build()).ok());
}

TEST(OnnxStreamTest, FilesNewerThanTheLibraryAreCheckedByOurOwnRules) {
  for (const auto& [opset, ir_version] : {std::pair{18, 8}, std::pair{21, 10}}) {
    OnnxBuilder builder(opset, ir_version);
    builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
    const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
    ASSERT_TRUE(graph.ok()) << graph.status();
    ASSERT_FALSE(graph->notes.empty());
    EXPECT_THAT(graph->notes.back(), AllOf(HasSubstr("newer than the installed ONNX library knows"),
                                           HasSubstr("operator set " + std::to_string(opset))));
    OnnxBuilder dangling(opset, ir_version);
    dangling.Input("x", {1, 3}).Node("Add", {"x", "ghost"}, {"y"}).Output("y");
    EXPECT_THAT(std::string(ImportOnnx(dangling.Build()).status().message()), HasSubstr("reads `ghost`"));
  }
}

TEST(OnnxStreamTest, FilesOfANewerIrButAKnownOperatorSetAreCheckedByTheLibrary) {
  for (const int ir_version : {8, 9, 11}) {
    OnnxBuilder builder(17, ir_version);
    builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
    const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
    ASSERT_TRUE(graph.ok()) << graph.status();
    EXPECT_TRUE(graph->notes.empty());
    builder.proto().mutable_graph()->mutable_node(0)->add_input("x");
    EXPECT_THAT(std::string(ImportOnnx(builder.Build()).status().message()), HasSubstr("the ONNX checker refuses"));
  }
}

TEST(OnnxStreamTest, VersionsBeyondAreRefused) {
  OnnxBuilder operators(22);
  operators.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  EXPECT_THAT(std::string(ImportOnnx(operators.Build()).status().message()),
              HasSubstr("operator set 22 is not supported; 7 to 21 are"));
  OnnxBuilder format(13, 12);
  format.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  EXPECT_THAT(std::string(ImportOnnx(format.Build()).status().message()),
              HasSubstr("IR version 12 is not supported; 3 to 11 are"));
}

TEST(OnnxStreamTest, UnknownAttributesOfFilesNewerThanTheLibraryAreRefused) {
  OnnxBuilder builder(20, 9);
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Attribute("slope", 1.0F).Output("y");
  EXPECT_EQ(std::string(ImportOnnx(builder.Build()).status().message()),
            "node `y` (Relu): attribute `slope` is not known");
}

}  // namespace
}  // namespace shoji::graph
