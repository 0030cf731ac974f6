// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/verification/challenge.h"
#include "lib/base/clock.h"

namespace shoji::enclave {

// The secrets by which one layer's answers are checked: drawn at start, on a schedule, and after every failed check.
// An adversary learns from a failed check; so a draw under which one failed is dead, and no verdict that is reached
// under it later counts, not even for answers that were already under way. One draw thus meets at most one wrong answer
// that is judged, and the bound of lib/quantization/check_bound.h holds as it stands. Thread-safe.
class ChallengeKeeper {
 public:
  struct Options {
    uint64_t checks_per_draw = uint64_t{1} << 20;
    std::chrono::nanoseconds draw_lifetime = std::chrono::hours(1);
  };
  // `layer` and `clock` outlive it.
  ChallengeKeeper(const quantization::LinearLayer& layer, const Options& options, const Clock& clock);
  ChallengeKeeper(const ChallengeKeeper&) = delete;
  ChallengeKeeper& operator=(const ChallengeKeeper&) = delete;

  // One draw and its fate. Shared, because checks that began under it go on while it is replaced.
  class Draw {
   public:
    explicit Draw(std::unique_ptr<const Challenge> challenge) : challenge_(std::move(challenge)) {}
    const Challenge& challenge() const { return *challenge_; }

   private:
    friend class ChallengeKeeper;
    const std::unique_ptr<const Challenge> challenge_;
    bool dead_ = false;  // guarded by the keeper's mu_
  };

  // The draw to use for the next check.
  std::shared_ptr<Draw> Current();

  enum class Verdict : uint8_t {
    kRight,
    kWrong,  // the answer is not that of the layer
    kVoid,   // the sums agree, but the draw is dead: nothing is known of the answer
  };
  // Judges a check made under `challenge`. After kWrong the next Current() is a new draw.
  Verdict Judge(Draw& draw, const OutputSum& output, const InputSum& input);

 private:
  const quantization::LinearLayer& layer_;
  const Options options_;
  const Clock& clock_;
  absl::Mutex mu_;
  std::shared_ptr<Draw> current_ ABSL_GUARDED_BY(mu_);
  uint64_t num_checks_ ABSL_GUARDED_BY(mu_) = 0;
  SteadyTime drawn_at_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
