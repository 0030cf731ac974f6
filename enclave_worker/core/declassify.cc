// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/declassify.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "enclave_worker/core/stage.h"
#include "lib/base/reason.h"

namespace shoji::enclave {

// The one door to what an OutgoingLayer holds.
class OutgoingLayerAccess {
 public:
  static Tensor Take(OutgoingLayer& message) { return std::move(message.message_); }
};

absl::StatusOr<std::vector<const Tensor*>> OpenSegmentInputs(const partition::Segment& segment,
                                                             const SecretTensors& live) {
  if (segment.place != partition::Placement::kOpen || segment.confidential) {
    return ErrorOf(Reason::kInternal);
  }
  return FindInputs(segment.inputs, live);
}

absl::StatusOr<Tensor> LayerInput(const partition::Segment& segment, OutgoingLayer message) {
  const bool in_the_clear = message.form() == OutgoingLayer::Form::kClear;
  const partition::Placement wanted = in_the_clear ? partition::Placement::kVerified : partition::Placement::kBlinded;
  if (segment.place != wanted || segment.confidential || !message.complete()) {
    return ErrorOf(Reason::kInternal);
  }
  return OutgoingLayerAccess::Take(message);
}

namespace {

void Round(uint32_t decimals, std::span<float> scores) {
  double scale = 1;
  for (uint32_t i = 0; i < decimals; ++i) {
    scale *= 10;
  }
  for (float& score : scores) {
    score = static_cast<float>(std::nearbyint(static_cast<double>(score) * scale) / scale);
  }
}

// What a score counts for: a NaN for less than any other.
float RankOf(float score) { return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score; }

// One pass over all scores for each that is kept: which one it is shows in no pass's length.
void KeepLargest(uint32_t count, std::span<float> scores) {
  std::vector<uint8_t> kept(scores.size(), 0);
  bool all_above_zero = true;
  for (uint32_t round = 0; round < count; ++round) {
    size_t best = 0;
    bool found = false;
    for (size_t i = 0; i < scores.size(); ++i) {
      const bool better = kept[i] == 0 && (!found || RankOf(scores[i]) > RankOf(scores[best]));
      best = better ? i : best;
      found = found || better;
    }
    kept[best] = 1;
    all_above_zero = all_above_zero && scores[best] > 0;
  }
  const float rest = all_above_zero ? 0.0F : std::numeric_limits<float>::lowest();
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = kept[i] != 0 ? scores[i] : rest;
  }
}

}  // namespace

void LimitResult(const attest::ResultRule& rule, std::span<float> scores) {
  switch (rule.form()) {
    case attest::ResultForm::kScores:
      break;
    case attest::ResultForm::kRounded:
      Round(rule.parameter(), scores);
      break;
    case attest::ResultForm::kTopK:
      if (rule.parameter() < scores.size()) {
        KeepLargest(rule.parameter(), scores);
      }
      break;
  }
}

}  // namespace shoji::enclave
