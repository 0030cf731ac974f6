// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/reference_data.h"

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lib/base/check.h"
#include "lib/base/file.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"

namespace shoji::testing {
namespace {

using nlohmann::json;

json ReadJson(const std::string& path) {
  std::ifstream in(path);
  SHOJI_CHECK(in.good());
  return json::parse(in);
}

Bytes ReadBytes(const std::string& path) {
  absl::StatusOr<Bytes> bytes = ReadFile(path, size_t{1} << 28);
  SHOJI_CHECK(bytes.ok());
  return *std::move(bytes);
}

ReferenceModel CifarModel(const std::string& name, const std::string& policies) {
  const std::string data = ReferenceDataDir();
  const json reference = ReadJson(data + "/ref/" + name + ".cifar20.json");
  const json& stated = reference["preprocess"];
  ReferenceModel model;
  model.name = name;
  model.onnx = data + "/models/" + name + ".onnx";
  model.preprocessing.resize_shorter_side = 32;
  model.preprocessing.crop_width = model.preprocessing.crop_height = 32;
  model.preprocessing.scale = stated["scale"].get<float>();
  model.preprocessing.mean = stated["mean"].get<std::vector<float>>();
  model.preprocessing.std = stated["std"].get<std::vector<float>>();
  for (const auto& [picture, logits] : reference["images"].items()) {
    const Bytes file = ReadBytes(data + "/images/cifar20_png/" + picture + ".png");
    absl::StatusOr<image::Image> decoded = image::Decode(file, picture);
    SHOJI_CHECK(decoded.ok());
    const Tensor pixels = image::ToPixels(*decoded, model.preprocessing);
    model.cases.push_back(
        {picture, {pixels.bytes().begin(), pixels.bytes().end()}, {}, logits.get<std::vector<float>>()});
  }
  model.pictures = data + "/images/cifar20_png";
  model.policies = policies;
  return model;
}

ReferenceModel MnistModel() {
  const std::string data = ReferenceDataDir();
  const json reference = ReadJson(data + "/ref/mnist_winml.first20.json");
  ReferenceModel model;
  model.name = "mnist_winml";
  model.onnx = data + "/models/mnist_winml.onnx";
  model.preprocessing.resize_shorter_side = 28;
  model.preprocessing.crop_width = model.preprocessing.crop_height = 28;
  model.preprocessing.channels = image::Channels::kGray;
  model.preprocessing.mean = {0};
  model.preprocessing.std = {1};
  constexpr size_t kHeader = 16;
  constexpr size_t kDigit = size_t{28} * 28;
  const Bytes digits = ReadBytes(data + "/images/mnist_first2000-images.idx3");
  size_t i = 0;
  for (const json& logits : reference["logits"]) {
    const auto begin = digits.begin() + static_cast<ptrdiff_t>(kHeader + i * kDigit);
    model.cases.push_back(
        {"digit " + std::to_string(i), Bytes(begin, begin + kDigit), {}, logits.get<std::vector<float>>()});
    ++i;
  }
  model.policies = "mnist";
  return model;
}

std::vector<float> ReadFloats(const std::string& path) {
  const Bytes bytes = ReadBytes(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// `input` names the reference inputs: input.<input>.<photo>.f32.
ReferenceModel ImageNetModel(const std::string& name, const std::string& input, const std::string& policies) {
  const std::string data = ReferenceDataDir();
  const json reference = ReadJson(data + "/ref/" + name + ".photos.json");
  const json& stated = reference["preprocess"];
  ReferenceModel model;
  model.name = name;
  model.onnx = data + "/models/" + name + ".onnx";
  model.preprocessing.resize_shorter_side = stated["resize_short"].get<uint32_t>();
  model.preprocessing.crop_width = model.preprocessing.crop_height = stated["crop"].get<uint32_t>();
  model.preprocessing.channels = stated["order"] == "BGR" ? image::Channels::kBgr : image::Channels::kRgb;
  model.preprocessing.scale = stated["scale"].get<float>();
  model.preprocessing.mean = stated["mean"].get<std::vector<float>>();
  model.preprocessing.std = stated["std"].get<std::vector<float>>();
  for (const std::string& photo :
       {std::string("coral_parrot"), std::string("dusty_banana_0"), std::string("shicai_cat")}) {
    model.cases.push_back({photo,
                           {},
                           ReadBytes(data + "/ref/input." + input + "." + photo + ".f32"),
                           ReadFloats(data + "/ref/" + name + "." + photo + ".out.f32")});
  }
  model.pictures = data + "/images/photos_crop224";
  model.policies = policies;
  model.class_offset = reference["class_offset"].get<size_t>();
  return model;
}

constexpr std::array<std::array<const char*, 2>, kNumSmallReferenceModels - 1> kCifarModels = {{
    {"cifar10_resnet20", "cifar10_resnet20"},
    {"cifar10_resnet8_mlperftiny", "cifar10_resnet8"},
    {"vgg8_cifar10", "vgg8"},
    {"vnncomp_cifar_resnet_4b", "vnncomp_cifar_resnet"},
}};
constexpr std::array<std::array<const char*, 3>, kNumReferenceModels - kNumSmallReferenceModels> kImageNetModels = {{
    {"resnet18_pqf", "224_imnet", "resnet18"},
    {"squeezenet1_0_deepcomp", "227_bgr104", "squeezenet"},
    {"squeezenet1_1_winml", "224_bgr104", "squeezenet"},
    {"mobilenet_v1_025_224", "224_tf", "mobilenet_v1"},
    {"mobilenet_v2_100_224", "224_tf", "mobilenet_v2"},
    {"mobilenet_v3_small_224", "224_raw", "mobilenet_v3_small"},
    {"efficientnet_b0_SYNTH", "224_imnet", "efficientnet_b0"},
}};

}  // namespace

std::string ReferenceDataDir() { return std::string(SHOJI_SOURCE_DIR) + "/build/testdata"; }
bool HasReferenceData() { return std::filesystem::exists(ReferenceDataDir() + "/models/mnist_winml.onnx"); }

ReferenceModel ReferenceModelAt(size_t index) {
  if (index < kCifarModels.size()) {
    return CifarModel(kCifarModels[index][0], kCifarModels[index][1]);
  }
  if (index < kNumSmallReferenceModels) {
    return MnistModel();
  }
  const auto& [name, input, policies] = kImageNetModels[index - kNumSmallReferenceModels];
  return ImageNetModel(name, input, policies);
}

std::vector<ReferenceModel> SmallReferenceModels() {
  std::vector<ReferenceModel> models;
  for (size_t i = 0; i < kNumSmallReferenceModels; ++i) {
    models.push_back(ReferenceModelAt(i));
  }
  return models;
}

std::string ToYaml(const image::Preprocessing& preprocessing) {
  const auto list = [](const std::vector<float>& values) {
    std::ostringstream out;
    out.precision(9);
    for (size_t i = 0; i < values.size(); ++i) {
      out << (i == 0 ? "[" : ", ") << values[i];
    }
    return out.str() + "]";
  };
  std::ostringstream out;
  out.precision(9);
  out << "resize: " << preprocessing.resize_shorter_side << "\ncrop: " << preprocessing.crop_width << "\nchannels: "
      << (preprocessing.channels == image::Channels::kGray  ? "gray"
          : preprocessing.channels == image::Channels::kBgr ? "bgr"
                                                            : "rgb")
      << "\nscale: " << preprocessing.scale << "\nmean: " << list(preprocessing.mean)
      << "\nstd: " << list(preprocessing.std)
      << "\nlayout: " << (preprocessing.layout == image::Layout::kNchw ? "nchw" : "nhwc") << "\n";
  return out.str();
}

std::string FirstMismatch(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) {
    return std::to_string(actual.size()) + " values instead of " + std::to_string(expected.size());
  }
  for (size_t i = 0; i < actual.size(); ++i) {
    // Written so that NaN is a mismatch.
    if (!(std::abs(actual[i] - expected[i]) <= 1e-3F + 1e-3F * std::abs(expected[i]))) {
      return "value " + std::to_string(i) + " is " + std::to_string(actual[i]) + ", expected " +
             std::to_string(expected[i]);
    }
  }
  return "";
}

}  // namespace shoji::testing
