// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The activation ranges of a model as YAML, beside the model's file:
//
//   model: 5e7c...                     # SHA-256 of the ONNX file that they were taken from
//   method: mse                        # minmax | percentile | mse
//   images: 500                        # examples seen
//   ranges:
//     "stem_relu_out": [0, 3.5]        # value of the graph: [min, max]
//     "conv_out":                      # with what else activation_ranges.h says of it, each of which may be absent
//       range: [0, 3.5]
//       scales: "1 0.25 0.5"           # numbers, one a channel
//       correction: "-0.01 0 0.02"
//       weights: 27                    # of the layer
//       rounding: "1kmL..."            # packed: packed_rounding.h
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/digest/sha2.h"
#include "lib/quantization/activation_ranges.h"
#include "lib/quantization/calibrate.h"

namespace shoji::ranges_file {

struct RangesFile {
  // Whoever loads the ranges for a model refuses those of another file.
  digest::Sha256Digest model = {};
  quantization::CalibrationMethod method = quantization::CalibrationMethod::kMinMax;
  uint64_t num_images = 0;
  quantization::ActivationRanges ranges;
};

// "minmax", "percentile", "mse".
const char* NameOf(quantization::CalibrationMethod method);

// Errors are INVALID_ARGUMENT and name file, line and key, with near names for unknown keys; NOT_FOUND and the like for
// a file that cannot be read.
absl::StatusOr<RangesFile> LoadRanges(const std::string& path);
// `name` stands for the file in errors.
absl::StatusOr<RangesFile> ParseRanges(std::string_view text, const std::string& name);

// What ParseRanges reads back to the bit. Requires valid ranges.
std::string ToYaml(const RangesFile& file);
// Writes it so that a reader sees all or nothing. Errors as WriteFileAtomically.
absl::Status SaveRanges(const std::string& path, const RangesFile& file);

// "models/vgg16.onnx" -> "models/vgg16.ranges.yaml": where the ranges of a model are looked for.
std::string RangesPathOf(const std::string& model_path);

}  // namespace shoji::ranges_file
