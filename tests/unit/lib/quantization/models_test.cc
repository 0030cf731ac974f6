// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Real classifiers in int8, as far as the evaluation data is unpacked.

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "lib/graph/onnx_import.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "lib/preprocessing_file/preprocessing_file.h"
#include "lib/quantization/calibrate.h"
#include "lib/quantization/program.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/reference_data.h"
#include "tests/unit/lib/quantization/program_checks.h"

namespace shoji::quantization {
namespace {

constexpr size_t kMaxModelBytes = size_t{1} << 28;

ptrdiff_t TopOf(std::span<const float> values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

void ExpectSameAnswers(const testing::ReferenceModel& model, CalibrationMethod method) {
  const auto file = ReadFile(model.onnx, kMaxModelBytes);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto graph = graph::ImportOnnx(*file);
  ASSERT_TRUE(graph.ok()) << graph.status();
  std::vector<std::vector<Tensor>> inputs;
  for (const testing::ReferenceCase& example : model.cases) {
    auto input = image::Normalize(example.pixels, model.preprocessing);
    ASSERT_TRUE(input.ok()) << input.status();
    input->Reshape(graph->values[graph->inputs[0]].shape);
    inputs.emplace_back().push_back(*std::move(input));
  }
  auto calibrator = Calibrator::Create(*graph, method);
  ASSERT_TRUE(calibrator.ok()) << calibrator.status();
  for (int pass = 0; pass < (*calibrator)->num_passes(); ++pass) {
    if (pass > 0) {
      (*calibrator)->NextPass();
    }
    for (const std::vector<Tensor>& input : inputs) {
      ASSERT_TRUE((*calibrator)->Observe({&input[0]}).ok());
    }
  }
  const auto ranges = (*calibrator)->Finish();
  ASSERT_TRUE(ranges.ok()) << ranges.status();
  const auto program = Program::Compile(*graph, *ranges, {kernels::ring::BestIsa()});
  ASSERT_TRUE(program.ok()) << program.status();
  const auto frame = (*program)->NewFrame();
  size_t num_same = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* input = &inputs[i][0];
    ASSERT_TRUE((*program)->Begin({&input, 1}, *frame).ok());
    for (size_t step = 0; step < (*program)->steps().size(); ++step) {
      ASSERT_TRUE((*program)->RunStep(step, *frame).ok());
    }
    const std::vector<Tensor> outputs = (*program)->Finish(*frame);
    num_same += TopOf(outputs[0].values<float>()) == TopOf(model.cases[i].expected) ? size_t{1} : size_t{0};
  }
  EXPECT_GE(num_same * 10, inputs.size() * 9) << num_same << " of " << inputs.size();
  // One picture beside the naive definition of every linear layer.
  RunChecked(**program, inputs[0]);
}

TEST(QuantizedModelsTest, BuiltInModelRecognizesItsPhotographs) {
  const std::string folder = std::string(SHOJI_SOURCE_DIR) + "/models/";
  const auto file = ReadFile(folder + "cifar10_resnet.onnx", kMaxModelBytes);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto ranges = ranges_file::LoadRanges(folder + "cifar10_resnet.ranges.yaml");
  ASSERT_TRUE(ranges.ok()) << ranges.status();
  EXPECT_EQ(ranges->model, digest::Sha256(*file)) << "the ranges are those of another file: calibrate it again";
  const auto preprocessing = preprocessing_file::LoadPreprocessing(folder + "cifar10_resnet.preprocessing.yaml");
  ASSERT_TRUE(preprocessing.ok()) << preprocessing.status();
  const auto graph = graph::ImportOnnx(*file);
  ASSERT_TRUE(graph.ok()) << graph.status();
  const auto program = Program::Compile(*graph, ranges->ranges, {kernels::ring::BestIsa()});
  ASSERT_TRUE(program.ok()) << program.status();
  constexpr std::pair<const char*, ptrdiff_t> kPhotos[] = {{"bird.jpg", 2}, {"cat.png", 3}, {"deer.jpg", 4}};
  for (const auto& [photo, label] : kPhotos) {
    const auto picture = ReadFile(folder + "photos/" + photo, kMaxModelBytes);
    ASSERT_TRUE(picture.ok()) << picture.status();
    const auto decoded = image::Decode(*picture, photo);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    auto input = image::Normalize(image::ToPixels(*decoded, *preprocessing).bytes(), *preprocessing);
    ASSERT_TRUE(input.ok()) << input.status();
    std::vector<Tensor> inputs;
    inputs.push_back(*std::move(input));
    EXPECT_EQ(TopOf(RunChecked(**program, inputs)[0].values<float>()), label) << photo;
  }
}

TEST(QuantizedModelsTest, SmallClassifiersAnswerAsInFloat) {
  if (!testing::HasReferenceData()) {
    GTEST_SKIP() << "no evaluation data in " << testing::ReferenceDataDir();
  }
  for (const testing::ReferenceModel& model : testing::SmallReferenceModels()) {
    for (const CalibrationMethod method : {CalibrationMethod::kMinMax, CalibrationMethod::kMeanSquaredError}) {
      SCOPED_TRACE(model.name + ", method " + std::to_string(static_cast<int>(method)));
      ExpectSameAnswers(model, method);
    }
  }
}

}  // namespace
}  // namespace shoji::quantization
