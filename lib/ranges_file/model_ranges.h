// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/digest/sha2.h"
#include "lib/quantization/activation_ranges.h"

namespace shoji::ranges_file {

// The ranges in the file at `path`, for the model of digest `model`. FAILED_PRECONDITION when they were taken from
// another one; other errors as LoadRanges.
absl::StatusOr<quantization::ActivationRanges> LoadRangesOf(const digest::Sha256Digest& model, const std::string& path);

// "there is no <path>; make it with: shoji-model calibrate --model <model_path> --preprocessing FILE --images DIR"
std::string HowToMakeRanges(const std::string& model_path);

}  // namespace shoji::ranges_file
