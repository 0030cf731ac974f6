// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/accuracy_data.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/image/decode.h"
#include "lib/image/image.h"
#include "lib/image/pixels.h"

namespace shoji::bench {
namespace {

using image::Preprocessing;
using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{1} << 28;
constexpr size_t kPhotoSide = 256;
constexpr size_t kCifarSide = 32;
constexpr size_t kCifarClasses = 10;
constexpr size_t kDigitSide = 28;

absl::StatusOr<json> ReadJson(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(path, kMaxFileBytes));
  json parsed = json::parse(file.begin(), file.end(), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return absl::InvalidArgumentError(path + " is no JSON object");
  }
  return parsed;
}

// The files in `folder`, sorted by name.
absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    files.push_back(entry.path().string());
  }
  if (error) {
    return absl::NotFoundError("cannot list " + folder + ": " + error.message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Whether the i-th of `total` is one of `chosen` that are spread evenly.
bool IsChosen(size_t i, size_t total, size_t chosen) {
  return chosen >= total || (i + 1) * chosen / total != i * chosen / total;
}

std::vector<Example> Spread(const std::vector<Example>& examples, size_t count) {
  std::vector<Example> out;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (IsChosen(i, examples.size(), count)) {
      out.push_back(examples[i]);
    }
  }
  return out;
}

absl::StatusOr<Tensor> InputOf(const image::Image& picture, const Preprocessing& preprocessing) {
  return image::Normalize(image::ToPixels(picture, preprocessing).bytes(), preprocessing);
}

// A picture of a file that the product decodes.
Example FromFile(const std::string& path, const Preprocessing& preprocessing) {
  Example example;
  example.input = [path, preprocessing]() -> absl::StatusOr<Tensor> {
    ASSIGN_OR_RETURN(const Bytes file, ReadFile(path, kMaxFileBytes));
    ASSIGN_OR_RETURN(const image::Image picture, image::Decode(file, path));
    return InputOf(picture, preprocessing);
  };
  return example;
}

// A picture of raw bytes in `file` at `offset`, one plane a channel.
Example FromPlanes(std::shared_ptr<const Bytes> file, size_t offset, size_t side, size_t channels,
                   const Preprocessing& preprocessing) {
  Example example;
  example.input = [file = std::move(file), offset, side, channels, preprocessing] {
    image::Image picture(side, side, channels);
    for (size_t c = 0; c < channels; ++c) {
      for (size_t i = 0; i < side * side; ++i) {
        picture.mutable_pixels()[i * channels + c] = (*file)[offset + c * side * side + i];
      }
    }
    return InputOf(picture, preprocessing);
  };
  return example;
}

absl::StatusOr<Preprocessing> PreprocessingOf(const json& stated, uint32_t resize, uint32_t crop) {
  Preprocessing preprocessing;
  preprocessing.resize_shorter_side = resize;
  preprocessing.crop_width = preprocessing.crop_height = crop;
  preprocessing.channels = stated.value("order", "RGB") == "BGR" ? image::Channels::kBgr : image::Channels::kRgb;
  preprocessing.scale = stated.value("scale", 1.0F);
  preprocessing.mean = stated.value("mean", std::vector<float>());
  preprocessing.std = stated.value("std", std::vector<float>());
  RETURN_IF_ERROR(image::Validate(preprocessing));
  return preprocessing;
}

// ImageNet: the outputs may begin with a class for the background.
absl::StatusOr<Classifier> PhotoClassifier(const DataOptions& options, const json& reference, const json& evaluation) {
  Classifier out;
  out.name = reference.value("model", "");
  const json& stated = reference["preprocess"];
  ASSIGN_OR_RETURN(out.preprocessing, PreprocessingOf(stated, stated.value("resize_short", uint32_t{kPhotoSide}),
                                                      stated.value("crop", uint32_t{224})));
  ASSIGN_OR_RETURN(const std::vector<std::string> photos, FilesOf(options.folder + "/images/imagenet1k_256"));
  const size_t offset = reference.value("class_offset", size_t{0});
  const auto labels = evaluation.value("class_index", std::vector<size_t>());
  const auto expected = evaluation["models"][out.name].value("top1", std::vector<size_t>());
  if (labels.size() != photos.size() || expected.size() != photos.size()) {
    return absl::InvalidArgumentError("imagenet500_eval.json and images/imagenet1k_256 hold different photos");
  }
  for (size_t i = 0; i < photos.size(); ++i) {
    Example example = FromFile(photos[i], out.preprocessing);
    example.label = labels[i] + offset;
    example.expected = expected[i] + offset;
    example.calibrates = IsChosen(i, photos.size(), options.num_calibration);
    if (example.calibrates) {
      out.calibration.push_back(example);
    }
    out.evaluation.push_back(std::move(example));
  }
  return out;
}

absl::StatusOr<Classifier> CifarClassifier(const DataOptions& options, const json& reference) {
  Classifier out;
  out.name = reference.value("model", "");
  ASSIGN_OR_RETURN(out.preprocessing, PreprocessingOf(reference["preprocess"], kCifarSide, kCifarSide));
  for (const auto& name : reference.value("classes", std::vector<std::string>())) {
    ASSIGN_OR_RETURN(const std::vector<std::string> pictures,
                     FilesOf(options.folder + "/images/cifar10_train_50000_jpeg/train/" + name));
    for (size_t i = 0; i < pictures.size(); ++i) {
      if (IsChosen(i, pictures.size(), options.num_calibration / kCifarClasses)) {
        out.calibration.push_back(FromFile(pictures[i], out.preprocessing));
      }
    }
  }
  // Records of a label and three planes.
  constexpr size_t kRecord = 1 + 3 * kCifarSide * kCifarSide;
  ASSIGN_OR_RETURN(Bytes records, ReadFile(options.folder + "/images/cifar10_test_2000.bin", kMaxFileBytes));
  const auto file = std::make_shared<const Bytes>(std::move(records));
  for (size_t at = 0; at + kRecord <= file->size(); at += kRecord) {
    out.evaluation.push_back(FromPlanes(file, at + 1, kCifarSide, 3, out.preprocessing));
    out.evaluation.back().label = (*file)[at];
  }
  return out;
}

// The first digits calibrate, all others are judged.
absl::StatusOr<Classifier> DigitClassifier(const DataOptions& options) {
  Classifier out;
  out.name = "mnist_winml";
  out.preprocessing.resize_shorter_side = out.preprocessing.crop_width = out.preprocessing.crop_height = kDigitSide;
  out.preprocessing.channels = image::Channels::kGray;
  out.preprocessing.mean = {0};
  out.preprocessing.std = {1};
  constexpr size_t kImageHeader = 16;
  constexpr size_t kLabelHeader = 8;
  const std::string stem = options.folder + "/images/mnist_first2000";
  ASSIGN_OR_RETURN(Bytes images, ReadFile(stem + "-images.idx3", kMaxFileBytes));
  ASSIGN_OR_RETURN(const Bytes labels, ReadFile(stem + "-labels.idx1", kMaxFileBytes));
  const auto file = std::make_shared<const Bytes>(std::move(images));
  for (size_t i = 0; i + kLabelHeader < labels.size(); ++i) {
    Example example =
        FromPlanes(file, kImageHeader + i * kDigitSide * kDigitSide, kDigitSide, 1, out.preprocessing);
    example.label = labels[kLabelHeader + i];
    (i < options.num_calibration ? out.calibration : out.evaluation).push_back(std::move(example));
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Classifier>> LoadClassifiers(const DataOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<std::string> references, FilesOf(options.folder + "/ref"));
  ASSIGN_OR_RETURN(const json evaluation, ReadJson(options.folder + "/ref/imagenet500_eval.json"));
  std::vector<Classifier> out;
  for (const std::string& path : references) {
    const std::string_view name = path;
    const bool is_photo = name.ends_with(".photos.json");
    if (name.ends_with("mnist_winml.first20.json")) {
      ASSIGN_OR_RETURN(out.emplace_back(), DigitClassifier(options));
    } else if (is_photo || name.ends_with(".cifar20.json")) {
      ASSIGN_OR_RETURN(const json reference, ReadJson(path));
      if (is_photo && !evaluation["models"].contains(reference.value("model", ""))) {
        continue;  // it has random weights
      }
      ASSIGN_OR_RETURN(out.emplace_back(), is_photo ? PhotoClassifier(options, reference, evaluation)
                                                    : CifarClassifier(options, reference));
    }
  }
  for (Classifier& classifier : out) {
    classifier.onnx = options.folder + "/models/" + classifier.name + ".onnx";
    if (options.num_evaluation > 0) {
      classifier.evaluation = Spread(classifier.evaluation, options.num_evaluation);
    }
  }
  return out;
}

}  // namespace shoji::bench
