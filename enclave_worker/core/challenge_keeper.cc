// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/challenge_keeper.h"

namespace shoji::enclave {

ChallengeKeeper::ChallengeKeeper(const quantization::LinearLayer& layer, const Options& options, const Clock& clock)
    : layer_(layer),
      options_(options),
      clock_(clock),
      current_(std::make_shared<Draw>(Challenge::Draw(layer))),
      drawn_at_(clock.SteadyNow()) {}

std::shared_ptr<ChallengeKeeper::Draw> ChallengeKeeper::Current() {
  const absl::MutexLock lock(&mu_);
  const SteadyTime now = clock_.SteadyNow();
  if (current_->dead_ || num_checks_ >= options_.checks_per_draw || now - drawn_at_ >= options_.draw_lifetime) {
    current_ = std::make_shared<Draw>(Challenge::Draw(layer_));
    num_checks_ = 0;
    drawn_at_ = now;
  }
  ++num_checks_;
  return current_;
}

ChallengeKeeper::Verdict ChallengeKeeper::Judge(Draw& draw, const OutputSum& output, const InputSum& input) {
  const bool agrees = draw.challenge().Verify(output, input);
  const absl::MutexLock lock(&mu_);
  if (!agrees) {
    draw.dead_ = true;
    return Verdict::kWrong;
  }
  return draw.dead_ ? Verdict::kVoid : Verdict::kRight;
}

}  // namespace shoji::enclave
