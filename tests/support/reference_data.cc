// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/reference_data.h"

#include <cmath>
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

ReferenceModel CifarModel(const std::string& name) {
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
    model.cases.push_back({picture, {pixels.bytes().begin(), pixels.bytes().end()}, logits.get<std::vector<float>>()});
  }
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
        {"digit " + std::to_string(i), Bytes(begin, begin + kDigit), logits.get<std::vector<float>>()});
    ++i;
  }
  return model;
}

}  // namespace

std::string ReferenceDataDir() { return std::string(SHOJI_SOURCE_DIR) + "/build/testdata"; }
bool HasReferenceData() { return std::filesystem::exists(ReferenceDataDir() + "/models/mnist_winml.onnx"); }

std::vector<ReferenceModel> SmallReferenceModels() {
  std::vector<ReferenceModel> models;
  for (const char* name :
       {"cifar10_resnet20", "cifar10_resnet8_mlperftiny", "vgg8_cifar10", "vnncomp_cifar_resnet_4b"}) {
    models.push_back(CifarModel(name));
  }
  models.push_back(MnistModel());
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
  out << "resize: " << preprocessing.resize_shorter_side << "\ncrop: " << preprocessing.crop_width
      << "\nchannels: " << (preprocessing.channels == image::Channels::kGray ? "gray" : "rgb")
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
