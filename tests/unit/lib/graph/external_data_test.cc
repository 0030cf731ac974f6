// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models whose tensors lie in files beside the ONNX file.

#include <onnx/onnx_pb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/graph/model_file.h"
#include "tests/support/onnx_builder.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Entries = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kCount = 500;  // too many to stay in the proto
constexpr size_t kBytes = kCount * sizeof(float);

class ExternalDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "shoji_external_data_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    std::filesystem::create_directories(root_ / "model" / "parts");
    weights_.resize(2 * kCount);
    for (size_t i = 0; i < weights_.size(); ++i) {
      weights_[i] = static_cast<float>(i);
    }
    Write("model/weights.bin", WeightBytes());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  ByteSpan WeightBytes() const {
    return {reinterpret_cast<const uint8_t*>(weights_.data()), weights_.size() * sizeof(float)};
  }
  std::string Path(const std::string& name) const { return (root_ / name).string(); }
  void Write(const std::string& name, ByteSpan content) const {
    ASSERT_TRUE(WriteFileAtomically(Path(name), content).ok());
  }

  static void MakeExternal(::onnx::TensorProto& tensor, const Entries& entries) {
    tensor.clear_float_data();
    tensor.set_data_location(::onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] : entries) {
      auto* entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
  }
  // x + w, w in a file as `entries` say.
  static Bytes Sum(const Entries& entries) {
    OnnxBuilder builder;
    builder.Input("x", {1, kCount}).Weight("w", {kCount}).Node("Add", {"x", "w"}, {"y"}).Output("y");
    MakeExternal(*builder.proto().mutable_graph()->mutable_initializer(0), entries);
    return builder.Build();
  }
  absl::StatusOr<ImportedModel> Import(const Bytes& onnx, const ImportOptions& options = {}) const {
    Write("model/m.onnx", onnx);
    return ImportModelFile(Path("model/m.onnx"), options);
  }
  std::string ErrorOf(const Entries& entries) const {
    const absl::Status status = Import(Sum(entries)).status();
    return std::string(status.message());
  }
  static std::vector<float> WeightsOf(const Graph& graph) {
    const Tensor& w = *graph.values.at(graph.nodes.at(0).inputs.at(1)).constant;
    return {w.values<float>().begin(), w.values<float>().end()};
  }

  std::filesystem::path root_;
  std::vector<float> weights_;
};

TEST_F(ExternalDataTest, ATensorIsReadFromItsOffset) {
  const auto model = Import(Sum({{"location", "weights.bin"}, {"offset", "2000"}, {"length", "2000"}}));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(WeightsOf(model->graph), std::vector<float>(weights_.begin() + kCount, weights_.end()));
}

TEST_F(ExternalDataTest, OffsetAndLengthMayBeLeftOutAndFoldersBeNamed) {
  Write("model/parts/w", WeightBytes());
  for (const char* location : {"weights.bin", "parts/w", "./parts//w"}) {
    const auto model = Import(Sum({{"location", location}, {"checksum", "0123"}}));
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(WeightsOf(model->graph), std::vector<float>(weights_.begin(), weights_.begin() + kCount));
  }
}

TEST_F(ExternalDataTest, ConstantNodesAndLittleTensorsMayBeExternalToo) {
  OnnxBuilder builder;
  builder.Input("x", {1, 6}).Node("Constant", {}, {"shape"});
  auto* attribute = builder.proto().mutable_graph()->mutable_node(0)->add_attribute();
  attribute->set_name("value");
  attribute->set_type(::onnx::AttributeProto::TENSOR);
  attribute->mutable_t()->set_data_type(::onnx::TensorProto::INT64);
  attribute->mutable_t()->add_dims(2);
  MakeExternal(*attribute->mutable_t(), {{"location", "shape.bin"}});
  const std::vector<int64_t> shape = {3, 2};
  Write("model/shape.bin", {reinterpret_cast<const uint8_t*>(shape.data()), 16});
  const auto model = Import(builder.Node("Reshape", {"x", "shape"}, {"y"}).Output("y").Build());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->graph.values.at(model->graph.outputs.at(0)).shape, Shape({3, 2}));
}

TEST_F(ExternalDataTest, TheDigestCoversEveryExternalByteThatIsUsedAndNoOther) {
  const Bytes onnx = Sum({{"location", "weights.bin"}, {"offset", "4"}});
  const digest::Sha256Digest digest = Import(onnx)->digest;
  // As docs/protocol.md defines it.
  Bytes covered;
  Append(covered, "shoji model with external data v1");
  Append(covered, digest::Sha256(onnx));
  AppendUint64(covered, kBytes);
  Append(covered, WeightBytes().subspan(4, kBytes));
  EXPECT_EQ(digest, digest::Sha256(covered));
  for (const size_t at : {size_t{4}, kBytes / 2, kBytes + 3}) {
    Bytes changed(WeightBytes().begin(), WeightBytes().end());
    changed[at] ^= 1;
    Write("model/weights.bin", changed);
    EXPECT_NE(Import(onnx)->digest, digest) << at;
  }
  Bytes unused(WeightBytes().begin(), WeightBytes().end());
  unused[0] ^= 1;
  unused[kBytes + 4] ^= 1;
  Write("model/weights.bin", unused);
  EXPECT_EQ(Import(onnx)->digest, digest);
}

TEST_F(ExternalDataTest, PathsThatLeaveTheFolderAreRefused) {
  Write("secret", WeightBytes());
  for (const std::string& location : std::vector<std::string>{"../secret", "parts/../../secret", Path("secret"), "/",
                                                              "parts/..", "weights.bin/", "."}) {
    EXPECT_THAT(ErrorOf({{"location", location}}),
                AllOf(HasSubstr("m.onnx: initializer `w`: its external data: "),
                      HasSubstr(location == "../secret" ? "may not leave the folder by `..`" : "")))
        << location;
    EXPECT_EQ(Import(Sum({{"location", location}})).status().code(), absl::StatusCode::kInvalidArgument) << location;
  }
  EXPECT_THAT(ErrorOf({{"location", std::string("weights.bin\0x", 13)}}), HasSubstr("must be the name of a file"));
}

TEST_F(ExternalDataTest, SymbolicLinksAreNotFollowed) {
  std::filesystem::create_symlink(Path("model/weights.bin"), Path("model/link.bin"));
  std::filesystem::create_directory_symlink(Path("model/parts"), Path("model/shortcut"));
  Write("model/parts/w", WeightBytes());
  EXPECT_THAT(ErrorOf({{"location", "link.bin"}}), HasSubstr("'link.bin' is a symbolic link, which is not followed"));
  EXPECT_THAT(ErrorOf({{"location", "shortcut/w"}}), HasSubstr("'shortcut' is a symbolic link, which is not followed"));
}

TEST_F(ExternalDataTest, TheModelItselfMayBeReachedByALink) {
  ASSERT_TRUE(Import(Sum({{"location", "weights.bin"}})).ok());
  std::filesystem::create_directory_symlink(Path("model"), Path("current"));
  EXPECT_TRUE(ImportModelFile(Path("current/m.onnx")).ok());
}

TEST_F(ExternalDataTest, WhatIsNoRegularFileIsRefused) {
  ASSERT_EQ(::mkfifo(Path("model/pipe").c_str(), 0600), 0);
  EXPECT_THAT(ErrorOf({{"location", "pipe"}}), HasSubstr("pipe is not a regular file"));
  EXPECT_THAT(ErrorOf({{"location", "parts"}}), HasSubstr("parts is not a regular file"));
}

TEST_F(ExternalDataTest, AMissingFileIsNamed) {
  EXPECT_THAT(ErrorOf({{"location", "none.bin"}}),
              AllOf(HasSubstr("initializer `w`: its external data: cannot open "), HasSubstr("model/none.bin")));
}

TEST_F(ExternalDataTest, AFileShorterThanTheTensorClaimsIsRefused) {
  EXPECT_THAT(ErrorOf({{"location", "weights.bin"}, {"offset", "2004"}}),
              AllOf(HasSubstr("initializer `w`: its external data: "),
                    HasSubstr("weights.bin has 4000 bytes, not the 2000 from 2004 on that the tensor claims")));
  EXPECT_THAT(ErrorOf({{"location", "weights.bin"}, {"offset", "18446744073709551615"}}),
              HasSubstr("not the 2000 from 18446744073709551615 on"));
}

TEST_F(ExternalDataTest, WrongEntriesAreRefused) {
  EXPECT_THAT(ErrorOf({{"location", "weights.bin"}, {"length", "1999"}}),
              HasSubstr("`length` is 1999 where its shape needs 2000"));
  EXPECT_THAT(ErrorOf({{"location", "weights.bin"}, {"offset", "-4"}}),
              HasSubstr("`offset` must be a number, not `-4`"));
  EXPECT_THAT(ErrorOf({{"location", "weights.bin"}, {"length", "2000 "}}), HasSubstr("`length` must be a number"));
  EXPECT_THAT(ErrorOf({{"location", "weights.bin"}, {"offset", "99999999999999999999"}}),
              HasSubstr("must be a number"));
  EXPECT_THAT(ErrorOf({{"location", "a"}, {"location", "b"}}), HasSubstr("`location` is given twice"));
  EXPECT_THAT(ErrorOf({{"offset", "0"}}), HasSubstr("no `location` is given"));
}

TEST_F(ExternalDataTest, DataBothHereAndThereIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, kCount}).Weight("w", {kCount}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  auto* tensor = builder.proto().mutable_graph()->mutable_initializer(0);
  tensor->set_data_location(::onnx::TensorProto::EXTERNAL);
  EXPECT_THAT(std::string(Import(builder.Build()).status().message()),
              HasSubstr("initializer `w`: the tensor holds its data twice"));
}

TEST_F(ExternalDataTest, TensorsMayOverlapWithinALimitForAll) {
  OnnxBuilder builder;
  builder.Input("x", {1, kCount}).Weight("v", {kCount}).Weight("w", {kCount});
  builder.Node("Add", {"x", "v"}, {"a"}).Node("Add", {"a", "w"}, {"y"}).Output("y");
  for (auto& tensor : *builder.proto().mutable_graph()->mutable_initializer()) {
    MakeExternal(tensor, {{"location", "weights.bin"}});
  }
  EXPECT_TRUE(Import(builder.Build(), {.max_external_bytes = 2 * kBytes}).ok());
  const absl::Status refused = Import(builder.Build(), {.max_external_bytes = 2 * kBytes - 1}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("initializer `w`: its external data: all external data exceeds"));
}

TEST_F(ExternalDataTest, AModelFromTheWireHasNoFiles) {
  const absl::Status refused = ImportOnnx(Sum({{"location", "weights.bin"}})).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("initializer `w`: data in an external file is not supported"));
}

TEST_F(ExternalDataTest, EveryErrorNamesTheModelFile) {
  EXPECT_THAT(std::string(ImportModelFile(Path("model/none.onnx")).status().message()), HasSubstr("model/none.onnx"));
  EXPECT_THAT(std::string(Import(ToBytes("no model")).status().message()), HasSubstr("model/m.onnx: not an ONNX file"));
  EXPECT_EQ(ImportModelFile(Path("model")).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoji::graph
