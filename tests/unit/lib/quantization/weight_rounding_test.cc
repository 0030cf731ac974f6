// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a layer meets, and what its weights and bias are made from that.

#include "lib/quantization/weight_rounding.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/quantization/byte_form.h"
#include "lib/quantization/compiled.h"
#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/quantization/naive_linear.h"
#include "tests/unit/lib/quantization/program_checks.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using graph::ValueId;

// One layer with examples whose input channels vary together.
class LayerStatisticsTest : public ::testing::Test {
 protected:
  void Make(const Shape& input, ValueId (*make)(GraphBuilder&, ValueId)) {
    x_ = b_.Input(input);
    y_ = make(b_, x_);
    b_.Output(y_);
    linear_ = *AsLinear(b_.graph(), b_.graph().nodes[0]);
    form_ = FormOf(input, {0.01F, 60});
    statistics_.emplace(linear_, form_, b_.shape(x_), b_.shape(y_), true);
  }
  // Channels share most of what they are, and have a mean.
  Tensor Example() {
    Tensor out(DataType::kFloat32, b_.shape(x_));
    std::normal_distribution<float> normal;
    const ByteTensor form = FormOf(b_.shape(x_), {});
    const size_t pixels = NumPixels(form);
    std::vector<float> shared(pixels);
    for (float& value : shared) {
      value = 0.3F * normal(generator_);
    }
    for (size_t i = 0; i < out.num_elements(); ++i) {
      const float value = 0.4F + shared[i % pixels] + 0.05F * normal(generator_);
      out.mutable_values<float>()[i] = std::min(std::max(value, -0.6F), 1.9F);
    }
    return out;
  }
  void Observe(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      std::vector<Tensor> inputs;
      inputs.push_back(Example());
      const std::vector<Tensor> outputs = RunFloat(b_.graph(), inputs);
      statistics_->Observe(inputs[0].values<float>(), outputs[0].values<float>());
      inputs_.push_back(std::move(inputs));
      outputs_.push_back(outputs[0].Clone());
    }
  }
  LinearLayer Layer() const {
    auto layer = QuantizeLinear("layer", linear_, form_, {});
    EXPECT_TRUE(layer.ok()) << layer.status();
    return *std::move(layer);
  }
  // What `layer` gives for the i-th example less what it should, channel by channel.
  std::vector<double> Errors(const LinearLayer& layer, size_t i) const {
    std::vector<uint8_t> bytes(PaddedBytes(form_));
    QuantizeTensor(ByteKernelsFor(kernels::ring::BestIsa()), b_shape(x_), form_,
                   inputs_[i][0].values<float>().data(), bytes.data());
    const std::vector<float> given = NaiveFloats(layer, bytes);
    std::vector<float> wide(PaddedBytes(FormOf(b_shape(y_), {})));
    WidenTensor(b_shape(y_), outputs_[i].values<float>().data(), wide.data());
    const std::vector<float> exact = FloatsChannelsFirst(linear_.factor.size(), wide);
    std::vector<double> out;
    for (size_t k = 0; k < given.size(); ++k) {
      out.push_back(static_cast<double>(given[k]) - static_cast<double>(exact[k]));
    }
    return out;
  }
  const Shape& b_shape(ValueId value) const { return graph().values[value].shape; }
  const graph::Graph& graph() const { return const_cast<GraphBuilder&>(b_).graph(); }

  std::mt19937 generator_{11};
  GraphBuilder b_;
  ValueId x_ = 0;
  ValueId y_ = 0;
  LinearNode linear_;
  ByteTensor form_;
  std::optional<LayerStatistics> statistics_;
  std::vector<std::vector<Tensor>> inputs_;
  std::vector<Tensor> outputs_;
};

// Windows of every kind: groups, strides, dilations, uneven padding.
ValueId GroupedConv(GraphBuilder& b, ValueId x) {
  graph::ConvAttributes attributes = {{3, 2}, {2, 1}, {1, 2}, {2, 0, 1, 1}, 2};
  return b.Node(graph::Op::kConv, {x, b.Weight(Shape({6, 4, 3, 2})), b.Weight(Shape({6}))}, Shape({1, 6, 5, 8}),
                attributes);
}
ValueId PointwiseConv(GraphBuilder& b, ValueId x) { return b.Conv(x, 12, 1); }
ValueId Dense(GraphBuilder& b, ValueId x) {
  return b.Node(graph::Op::kGemm, {x, b.Weight(Shape({40, 9})), b.Weight(Shape({9}))}, Shape({3, 9}),
                graph::GemmAttributes());
}

TEST_F(LayerStatisticsTest, CorrectedLayerIsRightOnAverage) {
  struct Case {
    Shape input;
    ValueId (*make)(GraphBuilder&, ValueId);
  };
  for (const Case& c : {Case{Shape({1, 8, 8, 9}), GroupedConv}, Case{Shape({1, 8, 7, 5}), PointwiseConv},
                        Case{Shape({3, 40}), Dense}}) {
    b_ = GraphBuilder();
    inputs_.clear();
    outputs_.clear();
    Make(c.input, c.make);
    Observe(6);
    LinearLayer layer = Layer();
    const std::vector<float> correction = statistics_->Correction(layer);
    std::vector<double> mean(correction.size());
    double count = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const std::vector<double> errors = Errors(layer, i);
      const size_t plane = errors.size() / mean.size();
      for (size_t k = 0; k < errors.size(); ++k) {
        mean[k / plane] += errors[k];
      }
      count += static_cast<double>(plane);
    }
    for (size_t o = 0; o < mean.size(); ++o) {
      EXPECT_NEAR(static_cast<double>(correction[o]), -mean[o] / count, 1e-5) << o;
    }
  }
}

TEST_F(LayerStatisticsTest, RoundingTogetherLeavesLessThanRoundingEachWeight) {
  Make(Shape({1, 48, 8, 8}), PointwiseConv);
  Observe(40);
  const auto variance_of_error = [&](const LinearLayer& layer) {
    double sum = 0;
    double square_sum = 0;
    double count = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      for (const double error : Errors(layer, i)) {
        sum += error;
        square_sum += error * error;
        ++count;
      }
    }
    return square_sum / count - sum / count * (sum / count);
  };
  // Beside the weights' own error, that of rounding the input is small.
  form_ = FormOf(b_shape(x_), {0.01F, 60});
  const double before = variance_of_error(Layer());
  const std::vector<int8_t> rounding = RoundWeights(linear_, form_, *statistics_);
  EXPECT_TRUE(std::all_of(rounding.begin(), rounding.end(), [](int8_t v) { return v >= -1 && v <= 1; }));
  EXPECT_NE(std::count(rounding.begin(), rounding.end(), 0), static_cast<ptrdiff_t>(rounding.size()));
  linear_.rounding = rounding;
  EXPECT_LT(variance_of_error(Layer()), 0.9 * before);
}

TEST_F(LayerStatisticsTest, LayerThatIsNotToBeRoundedKeepsNoProducts) {
  Make(Shape({1, 8, 7, 5}), PointwiseConv);
  statistics_.emplace(linear_, form_, b_shape(x_), b_shape(y_), false);
  EXPECT_TRUE(statistics_->is_empty());
  Observe(1);
  EXPECT_FALSE(statistics_->is_empty());
  EXPECT_TRUE(statistics_->blocks().empty());
  EXPECT_EQ(statistics_->Correction(Layer()).size(), 12U);
}

TEST_F(LayerStatisticsTest, InputThatNeverVariesIsRoundedToo) {
  Make(Shape({1, 8, 7, 5}), PointwiseConv);
  const Tensor zeros(DataType::kFloat32, b_shape(x_));
  const Tensor outputs(DataType::kFloat32, b_shape(y_));
  statistics_->Observe(zeros.values<float>(), outputs.values<float>());
  const std::vector<int8_t> rounding = RoundWeights(linear_, form_, *statistics_);
  EXPECT_EQ(std::count(rounding.begin(), rounding.end(), 0), static_cast<ptrdiff_t>(rounding.size()));
}

}  // namespace
}  // namespace shoji::quantization
