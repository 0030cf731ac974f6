// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/calibrate_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/graph/model_file.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "lib/preprocessing_file/preprocessing_file.h"
#include "lib/quantization/calibrate.h"
#include "lib/ranges_file/ranges_file.h"
#include "tools/clear_model.h"
#include "tools/print_report.h"

namespace shoji::tools {
namespace {

using quantization::CalibrationMethod;

constexpr size_t kMaxPictureBytes = size_t{1} << 28;

struct CalibrateOptions {
  std::string model;
  std::string images;
  std::string preprocessing;
  std::string method = "mse";
  uint64_t limit = 0;  // 0: all
  std::string output;
};

// What is done of `total`, on stderr: a bar that is drawn anew on a terminal, elsewhere a line for each tenth.
class ProgressBar {
 public:
  ProgressBar(std::string label, size_t total)
      : label_(std::move(label)), total_(total), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

  void Advance() {
    ++done_;
    const size_t parts = is_terminal_ ? kWidth : kTenths;
    if (done_ * parts / total_ != (done_ - 1) * parts / total_) {
      Show();
    }
  }
  // A line of its own between two states of the bar.
  void Say(const std::string& line) {
    std::fprintf(stderr, "%s%s\n", is_terminal_ ? "\r\033[K" : "", line.c_str());
    if (is_terminal_ && done_ < total_) {
      Show();
    }
  }

 private:
  static constexpr size_t kWidth = 40;
  static constexpr size_t kTenths = 10;

  void Show() const {
    if (!is_terminal_) {
      std::fprintf(stderr, "%s: %zu of %zu\n", label_.c_str(), done_, total_);
      return;
    }
    std::string bar(done_ * kWidth / total_, '#');
    bar.resize(kWidth, '.');
    std::fprintf(stderr, "\r%s [%s] %zu of %zu%s", label_.c_str(), bar.c_str(), done_, total_,
                 done_ == total_ ? "\n" : "");
  }

  const std::string label_;
  const size_t total_;
  const bool is_terminal_;
  size_t done_ = 0;
};

absl::Status InFile(const absl::Status& status, const std::string& path) {
  return {status.code(), path + ": " + std::string(status.message())};
}

CalibrationMethod MethodOf(const std::string& name) {
  for (const CalibrationMethod method : {CalibrationMethod::kMinMax, CalibrationMethod::kPercentile}) {
    if (name == ranges_file::NameOf(method)) {
      return method;
    }
  }
  return CalibrationMethod::kMeanSquaredError;
}

bool IsPicture(const std::filesystem::path& path) {
  static constexpr std::array<std::string_view, 4> kExtensions = {".png", ".jpg", ".jpeg", ".bmp"};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

// The pictures below `folder`, sorted; of more than `limit`, as many at equal distances, so that no subfolder is left
// out.
absl::StatusOr<std::vector<std::string>> FindPictures(const std::string& folder, uint64_t limit) {
  std::vector<std::string> pictures;
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(folder, error);
  for (const std::filesystem::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error) && IsPicture(it->path())) {
      pictures.push_back(it->path().string());
    }
  }
  if (error) {
    return absl::NotFoundError("cannot list " + folder + ": " + error.message());
  }
  if (pictures.empty()) {
    return absl::NotFoundError("no pictures (.png, .jpg, .jpeg, .bmp) below " + folder);
  }
  std::sort(pictures.begin(), pictures.end());
  if (limit == 0 || limit >= pictures.size()) {
    return pictures;
  }
  std::vector<std::string> chosen;
  for (size_t i = 0; i < limit; ++i) {
    chosen.push_back(pictures[i * pictures.size() / limit]);
  }
  return chosen;
}

absl::StatusOr<Tensor> ReadPicture(const std::string& path, const image::Preprocessing& preprocessing) {
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(path, kMaxPictureBytes));
  ASSIGN_OR_RETURN(const image::Image picture, image::Decode(file, path));
  const Tensor pixels = image::ToPixels(picture, preprocessing);
  return image::Normalize(pixels.bytes(), preprocessing);
}

// The model takes one picture as `preprocessing` makes it, or is refused.
graph::StatedInputShape StatedBy(const image::Preprocessing& preprocessing) {
  return {preprocessing.input_shape(), "the preprocessing makes"};
}

struct Outcome {
  quantization::ActivationRanges ranges;
  size_t num_images = 0;
  size_t num_skipped = 0;
};

// Shows every picture to `calibrator` once; those that cannot be decoded are named in the first pass and left out of
// `pictures`.
absl::Status RunPass(std::vector<std::string>& pictures, const image::Preprocessing& preprocessing,
                     quantization::Calibrator& calibrator, ProgressBar& progress) {
  std::vector<std::string> good;
  for (const std::string& path : pictures) {
    const absl::StatusOr<Tensor> input = ReadPicture(path, preprocessing);
    progress.Advance();
    if (!input.ok()) {
      progress.Say("skipped: " + std::string(input.status().message()));
      continue;
    }
    if (const absl::Status status = calibrator.Observe({&*input}); !status.ok()) {
      return InFile(status, path);
    }
    good.push_back(path);
  }
  pictures = std::move(good);
  return absl::OkStatus();
}

absl::StatusOr<Outcome> RunPasses(const graph::Graph& graph, const CalibrateOptions& options,
                                  const image::Preprocessing& preprocessing) {
  ASSIGN_OR_RETURN(std::vector<std::string> pictures, FindPictures(options.images, options.limit));
  ASSIGN_OR_RETURN(const std::unique_ptr<quantization::Calibrator> calibrator,
                   quantization::Calibrator::Create(graph, MethodOf(options.method)));
  const size_t num_found = pictures.size();
  for (int pass = 0; pass < calibrator->num_passes(); ++pass) {
    if (pass > 0) {
      calibrator->NextPass();
    }
    ProgressBar progress("pass " + std::to_string(pass + 1) + " of " + std::to_string(calibrator->num_passes()),
                         pictures.size());
    RETURN_IF_ERROR(RunPass(pictures, preprocessing, *calibrator, progress));
    const size_t num_skipped = num_found - pictures.size();
    if (num_skipped * 10 > num_found) {
      return absl::InvalidArgumentError(std::to_string(num_skipped) + " of " + std::to_string(num_found) +
                                        " pictures cannot be decoded; more than a tenth is too many");
    }
  }
  Outcome outcome;
  ASSIGN_OR_RETURN(outcome.ranges, calibrator->Finish());
  outcome.num_images = pictures.size();
  outcome.num_skipped = num_found - pictures.size();
  return outcome;
}

absl::StatusOr<std::string> Calibrate(const CalibrateOptions& options) {
  ASSIGN_OR_RETURN(const image::Preprocessing preprocessing,
                   preprocessing_file::LoadPreprocessing(options.preprocessing));
  ASSIGN_OR_RETURN(const graph::ImportedModel model, LoadClearModel(options.model, StatedBy(preprocessing)));
  ASSIGN_OR_RETURN(Outcome outcome, RunPasses(model.graph, options, preprocessing));
  ranges_file::RangesFile file;
  file.model = model.digest;
  file.method = MethodOf(options.method);
  file.num_images = outcome.num_images;
  file.ranges = std::move(outcome.ranges);
  const std::string output = options.output.empty() ? ranges_file::RangesPathOf(options.model) : options.output;
  RETURN_IF_ERROR(ranges_file::SaveRanges(output, file));
  std::string report = output + ": " + std::to_string(file.ranges.size()) + " ranges from " +
                       std::to_string(outcome.num_images) + " pictures (" + options.method + ")";
  if (outcome.num_skipped > 0) {
    report += ", " + std::to_string(outcome.num_skipped) + " skipped";
  }
  return report + "\n";
}

}  // namespace

void AddCalibrateCommand(CLI::App& app, int& exit_code) {
  // Shared with the callback, which lives as long as `app`.
  const auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command =
      app.add_subcommand("calibrate", "Find the range of every activation on example pictures, for int8");
  command->add_option("--model", options->model, "the model (ONNX)")->required()->type_name("FILE");
  command->add_option("--images", options->images, "example pictures, searched with all subfolders")
      ->required()
      ->type_name("DIR");
  command->add_option("--preprocessing", options->preprocessing, "how the model wants its pictures (YAML)")
      ->required()
      ->type_name("FILE");
  command->add_option("--method", options->method, "minmax, percentile or mse")
      ->check(CLI::IsMember({"minmax", "percentile", "mse"}))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "use at most so many pictures, spread over all")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 32))
      ->type_name("N");
  command->add_option("--output", options->output, "default: beside the model, MODEL.ranges.yaml")->type_name("FILE");
  command->callback([options, &exit_code] { exit_code = PrintReport(Calibrate(*options)); });
}

}  // namespace shoji::tools
