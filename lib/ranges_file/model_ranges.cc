// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/ranges_file/model_ranges.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/ranges_file/ranges_file.h"

namespace shoji::ranges_file {

absl::StatusOr<quantization::ActivationRanges> LoadRangesOf(const digest::Sha256Digest& model,
                                                            const std::string& path) {
  ASSIGN_OR_RETURN(RangesFile file, LoadRanges(path));
  if (file.model != model) {
    return absl::FailedPreconditionError(path + " holds the ranges of another model file, of SHA-256 " +
                                         HexEncode(file.model) + ", not " + HexEncode(model) +
                                         "; calibrate again with shoji-model calibrate");
  }
  return std::move(file.ranges);
}

std::string HowToMakeRanges(const std::string& model_path) {
  return "there is no " + RangesPathOf(model_path) + "; make it with: shoji-model calibrate --model " + model_path +
         " --preprocessing FILE --images DIR";
}

}  // namespace shoji::ranges_file
