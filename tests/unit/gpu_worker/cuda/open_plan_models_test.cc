// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Real classifiers, planned for a device and run on this host, against outputs that another runtime computed.

#include <filesystem>
#include <utility>

#include <gtest/gtest.h>

#include "gpu_worker/cuda/open_plan.h"
#include "lib/graph/onnx_import.h"
#include "tests/unit/gpu_worker/cuda/host_machine.h"
#include "tests/unit/gpu_worker/cuda/photo_models.h"

namespace shoji::accelerator::open_segment {
namespace {

class OpenPlanModelTest : public ::testing::TestWithParam<PhotoModel> {};

TEST_P(OpenPlanModelTest, RunsWhollyOnTheDevicesKernelsAndGivesTheReferenceOutputs) {
  if (!std::filesystem::exists(FileOf(GetParam()))) {
    GTEST_SKIP() << "the evaluation data is not unpacked in build/testdata";
  }
  auto graph = graph::ImportOnnx(OnnxOf(GetParam()));
  ASSERT_TRUE(graph.ok()) << graph.status();
  const auto plan = PlanOpenModel(*std::move(graph), {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  HostMachine machine(*plan);
  const Photo photo = PhotoOf(GetParam(), "shicai_cat");
  const Tensor input = Tensor::Of<float>(plan->inputs[0].shape, photo.input);
  const std::vector<Tensor> outputs = machine.Run({&input, 1});
  ExpectReference(outputs[0].values<float>(), photo.expected);
}

INSTANTIATE_TEST_SUITE_P(All, OpenPlanModelTest, ::testing::ValuesIn(kPhotoModels), NameOfModel);

}  // namespace
}  // namespace shoji::accelerator::open_segment
