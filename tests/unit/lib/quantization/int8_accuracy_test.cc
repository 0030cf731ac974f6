// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Whole ImageNet classifiers in int8, on photographs that they are not calibrated with: what a pass or a rounding does
// to the bits of one layer, the other tests see; that the classes survive all of them together, this one.
// `bench/run.sh accuracy` measures it on all photos.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_import.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "lib/quantization/calibrate.h"
#include "lib/quantization/program.h"
#include "tests/support/reference_data.h"

namespace shoji::quantization {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 28;
constexpr size_t kCalibrationPhotos = 24;
constexpr size_t kJudgedPhotos = 40;

struct Case {
  std::string model;
  size_t least_percent;  // of the photos get the class that float32 gives them
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

// `count` of the ImageNet photos, spread evenly; `at` 0 and 1 have none in common.
std::vector<std::string> Photos(size_t count, size_t at) {
  std::vector<std::string> all;
  for (const auto& entry :
       std::filesystem::directory_iterator(testing::ReferenceDataDir() + "/images/imagenet1k_256")) {
    all.push_back(entry.path().string());
  }
  std::sort(all.begin(), all.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(all[(i * all.size() / count) / 2 * 2 + at]);
  }
  return out;
}

absl::StatusOr<Tensor> InputOf(const std::string& photo, const image::Preprocessing& preprocessing) {
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(photo, kMaxFileBytes));
  ASSIGN_OR_RETURN(const image::Image decoded, image::Decode(file, photo));
  return image::Normalize(image::ToPixels(decoded, preprocessing).bytes(), preprocessing);
}

absl::StatusOr<ActivationRanges> CalibrateOn(const std::vector<std::string>& photos, const graph::Graph& graph,
                                             const image::Preprocessing& preprocessing) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Calibrator> calibrator,
                   Calibrator::Create(graph, CalibrationMethod::kMeanSquaredError));
  for (int pass = 0; pass < calibrator->num_passes(); ++pass) {
    if (pass > 0) {
      calibrator->NextPass();
    }
    for (const std::string& photo : photos) {
      ASSIGN_OR_RETURN(const Tensor input, InputOf(photo, preprocessing));
      RETURN_IF_ERROR(calibrator->Observe({&input}));
    }
  }
  return calibrator->Finish();
}

absl::StatusOr<Tensor> RunInt8(const Program& program, const Tensor& input, Frame& frame) {
  const Tensor* inputs[] = {&input};
  RETURN_IF_ERROR(program.Begin(inputs, frame));
  for (size_t step = 0; step < program.steps().size(); ++step) {
    RETURN_IF_ERROR(program.RunStep(step, frame));
  }
  return std::move(program.Finish(frame).front());
}

ptrdiff_t TopOf(const Tensor& scores) {
  const std::span<const float> values = scores.values<float>();
  return std::max_element(values.begin(), values.end()) - values.begin();
}

// How many of the photos get the same class from both.
absl::StatusOr<size_t> NumAgreed(const testing::ReferenceModel& model) {
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(model.onnx, kMaxFileBytes));
  ASSIGN_OR_RETURN(const graph::Graph graph, graph::ImportOnnx(file));
  ASSIGN_OR_RETURN(const ActivationRanges ranges,
                   CalibrateOn(Photos(kCalibrationPhotos, 1), graph, model.preprocessing));
  ASSIGN_OR_RETURN(const std::unique_ptr<execution::Program> float32, execution::Program::Compile(graph, {}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Program> int8,
                   Program::Compile(graph, ranges, {.isa = kernels::ring::BestIsa()}));
  const std::unique_ptr<execution::Workspace> workspace = float32->NewWorkspace();
  const std::unique_ptr<Frame> frame = int8->NewFrame();
  size_t agreed = 0;
  for (const std::string& photo : Photos(kJudgedPhotos, 0)) {
    ASSIGN_OR_RETURN(const Tensor input, InputOf(photo, model.preprocessing));
    const Tensor* inputs[] = {&input};
    ASSIGN_OR_RETURN(const std::vector<Tensor> exact, float32->Run(inputs, *workspace));
    ASSIGN_OR_RETURN(const Tensor rounded, RunInt8(*int8, input, *frame));
    agreed += TopOf(exact[0]) == TopOf(rounded) ? size_t{1} : size_t{0};
  }
  return agreed;
}

class Int8AccuracyTest : public ::testing::TestWithParam<Case> {};

TEST_P(Int8AccuracyTest, PhotographsGetTheClassesOfFloat32) {
  if (!testing::HasReferenceData()) {
    GTEST_SKIP() << "no evaluation data in " << testing::ReferenceDataDir();
  }
  for (size_t i = 0; i < testing::kNumReferenceModels; ++i) {
    const testing::ReferenceModel model = testing::ReferenceModelAt(i);
    if (model.name != GetParam().model) {
      continue;
    }
    const absl::StatusOr<size_t> agreed = NumAgreed(model);
    ASSERT_TRUE(agreed.ok()) << agreed.status();
    RecordProperty("agreed", static_cast<int>(*agreed));
    EXPECT_GE(*agreed * 100, kJudgedPhotos * GetParam().least_percent) << *agreed << " of " << kJudgedPhotos;
    return;
  }
  FAIL() << "the evaluation data has no " << GetParam().model;
}

INSTANTIATE_TEST_SUITE_P(Models, Int8AccuracyTest,
                         ::testing::Values(Case{"mobilenet_v3_small_224", 70}, Case{"squeezenet1_1_winml", 80}));

}  // namespace
}  // namespace shoji::quantization
