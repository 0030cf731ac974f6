// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models that keep tensors in sequences.

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/run_model.h"

namespace shoji::graph {
namespace {

using ::onnx::TensorProto;
using shoji::testing::OnnxBuilder;
using ::testing::HasSubstr;

OnnxBuilder& Scalar(OnnxBuilder& builder, const std::string& name, int64_t value) {
  return builder.Integers(name, TensorProto::INT64, {}, {value});
}

std::string RefusalOf(const OnnxBuilder& builder) {
  return std::string(ImportOnnx(builder.Build()).status().message());
}

// As torch.chunk and the indices after it: a channel shuffle's two halves.
TEST(SequencesTest, PartsOfASplitAreTakenByPosition) {
  for (const int64_t opset : {11, 13, 18}) {
    OnnxBuilder builder(opset);
    Scalar(Scalar(Scalar(builder, "two", 2), "zero", 0), "last", -1).Input("x", {1, 5});
    builder.Node("SplitToSequence", {"x", "two"}, {"s"}).Attribute("axis", int64_t{1}).Named("split");
    builder.Node("SequenceAt", {"s", "zero"}, {"a"}).Node("SequenceAt", {"s", "last"}, {"b"});
    builder.Output("a").Output("b");
    const std::vector<Floats> y = RunModel(builder, {{1, 2, 3, 4, 5}});
    ExpectNear(y.at(0), {1, 2});
    ExpectNear(y.at(1), {5});
    const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
    ASSERT_TRUE(graph.ok()) << graph.status();
    EXPECT_EQ(graph->nodes[0].name, "split/part0");
  }
}

TEST(SequencesTest, PartsMayBeListedOrSingle) {
  OnnxBuilder builder;
  Scalar(builder, "one", 1).Ints("sizes", {1, 3}).Input("x", {2, 4});
  builder.Node("SplitToSequence", {"x", "sizes"}, {"listed"}).Attribute("axis", int64_t{-1});
  builder.Node("SequenceAt", {"listed", "one"}, {"a"});
  builder.Node("SplitToSequence", {"x"}, {"rows"}).Attribute("keepdims", int64_t{0});
  builder.Node("SequenceAt", {"rows", "one"}, {"b"}).Node("SplitToSequence", {"x"}, {"kept"});
  builder.Node("SequenceAt", {"kept", "one"}, {"c"}).Node("SequenceLength", {"rows"}, {"n"});
  builder.Node("Cast", {"n"}, {"f"}).Attribute("to", int64_t{TensorProto::FLOAT}).Node("Add", {"b", "f"}, {"d"});
  builder.Output("a").Output("b").Output("c").Output("d");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->values[graph->outputs[1]].shape, Shape({4}));
  EXPECT_EQ(graph->values[graph->outputs[2]].shape, Shape({1, 4}));
  const std::vector<Floats> y = RunModel(builder, {{1, 2, 3, 4, 5, 6, 7, 8}});
  ExpectNear(y.at(0), {2, 3, 4, 6, 7, 8});
  ExpectNear(y.at(1), {5, 6, 7, 8});
  ExpectNear(y.at(3), {7, 8, 9, 10});
}

TEST(SequencesTest, SequencesAreBuiltAndJoined) {
  OnnxBuilder builder;
  Scalar(builder, "zero", 0).Input("x", {1, 2}).Node("Neg", {"x"}, {"n"}).Node("SequenceEmpty", {}, {"e"});
  builder.Node("SequenceInsert", {"e", "x"}, {"s1"}).Node("SequenceInsert", {"s1", "n", "zero"}, {"s2"});
  builder.Node("ConcatFromSequence", {"s2"}, {"a"}).Attribute("axis", int64_t{1});
  builder.Node("SequenceConstruct", {"x", "n"}, {"s3"});
  builder.Node("ConcatFromSequence", {"s3"}, {"b"}).Attribute("axis", int64_t{-1}).Attribute("new_axis", int64_t{1});
  builder.Output("a").Output("b");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->values[graph->outputs[1]].shape, Shape({1, 2, 2}));
  const std::vector<Floats> y = RunModel(builder, {{1, 2}});
  ExpectNear(y.at(0), {-1, -2, 1, 2});
  ExpectNear(y.at(1), {1, -1, 2, -2});
}

TEST(SequencesTest, WhatDoesNotFitIsRefusedByName) {
  OnnxBuilder position;
  Scalar(position, "two", 2).Input("x", {1, 2}).Node("SequenceConstruct", {"x", "x"}, {"s"});
  position.Node("SequenceAt", {"s", "two"}, {"y"}).Named("n").Output("y");
  EXPECT_THAT(RefusalOf(position),
              HasSubstr("node `n` (SequenceAt): its position is not one in a sequence of 2 tensors"));
  OnnxBuilder parts;
  parts.Ints("sizes", {1, 2}).Input("x", {4}).Node("SplitToSequence", {"x", "sizes"}, {"s"}).Named("n");
  parts.Node("ConcatFromSequence", {"s"}, {"y"}).Attribute("axis", int64_t{0}).Output("y");
  EXPECT_THAT(RefusalOf(parts), HasSubstr("node `n` (SplitToSequence): its parts do not add up to an extent of 4"));
  OnnxBuilder none;
  Scalar(none, "zero", 0).Input("x", {4}).Node("SplitToSequence", {"x", "zero"}, {"s"}).Named("n");
  none.Node("ConcatFromSequence", {"s"}, {"y"}).Attribute("axis", int64_t{0}).Output("y");
  EXPECT_THAT(RefusalOf(none), HasSubstr("node `n` (SplitToSequence): its parts would have 0 elements each"));
  OnnxBuilder empty_part;
  empty_part.Ints("sizes", {1, 0, 3}).Input("x", {4}).Node("SplitToSequence", {"x", "sizes"}, {"s"}).Named("n");
  empty_part.Node("ConcatFromSequence", {"s"}, {"y"}).Attribute("axis", int64_t{0}).Output("y");
  EXPECT_THAT(RefusalOf(empty_part), HasSubstr("node `n` (SplitToSequence): its part 1 is empty; only parts with "
                                               "elements are supported: leave it out of the split"));
  OnnxBuilder many;
  many.Input("x", {1 << 20}).Node("SplitToSequence", {"x"}, {"s"}).Named("n");
  many.Node("ConcatFromSequence", {"s"}, {"y"}).Attribute("axis", int64_t{0}).Output("y");
  EXPECT_THAT(RefusalOf(many), HasSubstr("node `n` (SplitToSequence): a sequence of more than 256 tensors"));
  OnnxBuilder empty(18);
  empty.Input("x", {4}).Node("SequenceEmpty", {}, {"s"});
  empty.Node("ConcatFromSequence", {"s"}, {"y"}).Attribute("axis", int64_t{0}).Named("n").Output("y");
  EXPECT_THAT(RefusalOf(empty), HasSubstr("node `n` (ConcatFromSequence): its sequence is empty"));
  OnnxBuilder tensor(18);
  tensor.Input("x", {4}).Node("ConcatFromSequence", {"x"}, {"y"}).Attribute("axis", int64_t{0}).Named("n").Output("y");
  EXPECT_THAT(RefusalOf(tensor), HasSubstr("node `n` (ConcatFromSequence): its input 0 must be a sequence"));
  OnnxBuilder inserted(18);
  inserted.Input("x", {4}).Node("SequenceConstruct", {"x"}, {"s"}).Node("SequenceInsert", {"s", "s"}, {"t"}).Named("n");
  inserted.Node("ConcatFromSequence", {"t"}, {"y"}).Attribute("axis", int64_t{0}).Output("y");
  EXPECT_THAT(RefusalOf(inserted), HasSubstr("node `n` (SequenceInsert): its input 1 must be a tensor"));
}

TEST(SequencesTest, SequencesAreNotTakenForTensors) {
  OnnxBuilder reader(18);
  reader.Input("x", {4}).Node("SequenceConstruct", {"x"}, {"s"}).Node("Neg", {"s"}, {"y"}).Named("n").Output("y");
  EXPECT_THAT(RefusalOf(reader), HasSubstr("node `n` (Neg): reads `s`, a sequence of tensors"));
  OnnxBuilder output(18);
  output.Input("x", {4}).Node("SequenceConstruct", {"x"}, {"s"}).Output("s");
  EXPECT_THAT(RefusalOf(output), HasSubstr("output `s`: only tensors are supported as outputs"));
}

}  // namespace
}  // namespace shoji::graph
