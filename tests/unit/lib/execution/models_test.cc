// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Real classifiers against outputs that another runtime computed, as far as the evaluation data is unpacked.

#include <png.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_import.h"

namespace shoji::execution {
namespace {

using nlohmann::json;

constexpr size_t kMaxFile = size_t{1} << 28;
const std::filesystem::path kData = std::filesystem::path(SHOJI_SOURCE_DIR) / "build" / "testdata";

std::vector<float> ReadFloats(const std::filesystem::path& path) {
  const auto bytes = ReadFile(path.string(), kMaxFile);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  std::vector<float> out(bytes->size() / sizeof(float));
  std::memcpy(out.data(), bytes->data(), out.size() * sizeof(float));
  return out;
}

json ReadJson(const std::filesystem::path& path) {
  const auto bytes = ReadFile(path.string(), kMaxFile);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return json::parse(bytes->begin(), bytes->end());
}

// The planes of a PNG, normalized as `preprocess` says.
std::vector<float> ReadPicture(const std::filesystem::path& path, const json& preprocess) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0) << path;
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0) << path;
  std::vector<float> out(pixels.size());
  const size_t plane = pixels.size() / 3;
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t c = i % 3;
    out[c * plane + i / 3] =
        (static_cast<float>(pixels[i]) * preprocess["scale"].get<float>() - preprocess["mean"][c].get<float>()) /
        preprocess["std"][c].get<float>();
  }
  return out;
}

std::unique_ptr<Program> Load(const std::string& model, Backend backend) {
  const auto bytes = ReadFile((kData / "models" / (model + ".onnx")).string(), kMaxFile);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  auto graph = graph::ImportOnnx(*bytes);
  EXPECT_TRUE(graph.ok()) << graph.status();
  CompileOptions options;
  options.backend = backend;
  auto program = Program::Compile(*std::move(graph), options);
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *std::move(program) : nullptr;
}

void ExpectAnswer(const Program& program, Workspace& workspace, const std::vector<float>& input,
                  const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(program.inputs().size(), 1U);
  const Tensor tensor = Tensor::Of<float>(program.inputs()[0].shape, input);
  const Tensor* const inputs[] = {&tensor};
  const auto outputs = program.Run(inputs, workspace);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  const std::span<const float> actual = outputs->front().values<float>();
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 1e-3F + 1e-3F * std::abs(expected[i])) << what << " at " << i;
  }
}

struct Model {
  std::string name;
  std::string input;  // of the recorded inputs; empty for the CIFAR-10 models
};

class ModelTest : public testing::TestWithParam<std::tuple<Model, Backend>> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kData / "models")) {
      GTEST_SKIP() << "the evaluation data is not unpacked in build/testdata";
    }
  }
};

void CheckCifar(const std::string& model, const Program& program) {
  const json reference = ReadJson(kData / "ref" / (model + ".cifar20.json"));
  const std::unique_ptr<Workspace> workspace = program.NewWorkspace();
  ASSERT_EQ(reference["images"].size(), 20U);
  for (const auto& [picture, logits] : reference["images"].items()) {
    const std::vector<float> input =
        ReadPicture(kData / "images" / "cifar20_png" / (picture + ".png"), reference["preprocess"]);
    ExpectAnswer(program, *workspace, input, logits.get<std::vector<float>>(), model + " " + picture);
  }
}

void CheckMnist(const Program& program) {
  const json reference = ReadJson(kData / "ref" / "mnist_winml.first20.json");
  const auto digits = ReadFile((kData / "images" / "mnist_first2000-images.idx3").string(), kMaxFile);
  ASSERT_TRUE(digits.ok()) << digits.status();
  const std::unique_ptr<Workspace> workspace = program.NewWorkspace();
  for (size_t i = 0; i < reference["logits"].size(); ++i) {
    constexpr size_t kHeader = 16;
    constexpr size_t kPixels = 28 * 28;
    std::vector<float> input;
    for (size_t j = 0; j < kPixels; ++j) {
      input.push_back(static_cast<float>(static_cast<uint8_t>((*digits)[kHeader + i * kPixels + j])));
    }
    ExpectAnswer(program, *workspace, input, reference["logits"][i].get<std::vector<float>>(),
                 "digit " + std::to_string(i));
  }
}

TEST_P(ModelTest, GivesTheReferenceOutputs) {
  const auto& [model, backend] = GetParam();
  const std::unique_ptr<Program> program = Load(model.name, backend);
  ASSERT_NE(program, nullptr);
  if (model.name == "mnist_winml") {
    return CheckMnist(*program);
  }
  if (model.input.empty()) {
    return CheckCifar(model.name, *program);
  }
  const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
  for (const std::string photo : {"coral_parrot", "dusty_banana_0", "shicai_cat"}) {
    ExpectAnswer(*program, *workspace, ReadFloats(kData / "ref" / ("input." + model.input + "." + photo + ".f32")),
                 ReadFloats(kData / "ref" / (model.name + "." + photo + ".out.f32")), model.name + " " + photo);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ModelTest,
    testing::Combine(testing::Values(Model{"cifar10_resnet20", ""}, Model{"cifar10_resnet8_mlperftiny", ""},
                                     Model{"vgg8_cifar10", ""}, Model{"vnncomp_cifar_resnet_4b", ""},
                                     Model{"mnist_winml", ""}, Model{"resnet18_pqf", "224_imnet"},
                                     Model{"squeezenet1_0_deepcomp", "227_bgr104"},
                                     Model{"squeezenet1_1_winml", "224_bgr104"},
                                     Model{"mobilenet_v1_025_224", "224_tf"}, Model{"mobilenet_v2_100_224", "224_tf"},
                                     Model{"mobilenet_v3_small_224", "224_raw"},
                                     Model{"efficientnet_b0_SYNTH", "224_imnet"}),
                     testing::Values(Backend::kOneDnn, Backend::kReference)),
    [](const auto& test) {
      return std::get<0>(test.param).name + (std::get<1>(test.param) == Backend::kOneDnn ? "_onednn" : "_reference");
    });

}  // namespace
}  // namespace shoji::execution
