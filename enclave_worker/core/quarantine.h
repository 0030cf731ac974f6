// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/accelerator.h"
#include "lib/base/clock.h"

namespace shoji::enclave {

// What an accelerator did that no honest one does.
enum class Offence : uint8_t {
  kWrongAnswer,      // its check failed
  kMalformedAnswer,  // not of the form that was asked for
  kNoAnswer,         // not within the time that an attempt gets
};
inline constexpr size_t kNumOffences = 3;
// "wrong_answer", "malformed_answer", "no_answer".
const char* NameOf(Offence offence);

// Accelerators that are not asked for a while. The way back is time: the first term is `first`, each further one twice
// the one before, up to `max`; who has been out of quarantine for `max` without a new offence starts at `first` again.
// What is counted is offences; of several during one term (answers that were under way) only the first makes a term.
// Shared by all models of an enclave. Thread-safe; borrows the clock, and never looks into an accelerator, which is no
// more than a name here.
class Quarantine {
 public:
  struct Options {
    std::chrono::nanoseconds first = std::chrono::seconds(10);
    std::chrono::nanoseconds max = std::chrono::hours(1);
    // Called after a term has begun, from any thread, with no lock held. May be empty.
    std::function<void(const Accelerator&, Offence, std::chrono::nanoseconds term)> on_term = nullptr;
  };

  Quarantine(const Clock& clock, Options options);
  Quarantine(const Quarantine&) = delete;
  Quarantine& operator=(const Quarantine&) = delete;

  // Whether it is not to be asked now.
  bool Holds(const Accelerator& accelerator) const;
  void Punish(const Accelerator& accelerator, Offence offence = Offence::kWrongAnswer);
  // Ends every term and forgets how long the last ones were.
  void ReleaseAll();

  // Held now.
  size_t num_held() const;
  // Since the start.
  uint64_t num_offences(Offence offence) const;
  uint64_t num_terms() const;

 private:
  struct Record {
    std::chrono::nanoseconds term = {};
    SteadyTime until = {};
  };

  const Clock& clock_;
  const Options options_;
  mutable absl::Mutex mu_;
  std::map<const Accelerator*, Record> records_ ABSL_GUARDED_BY(mu_);
  uint64_t num_offences_[kNumOffences] ABSL_GUARDED_BY(mu_) = {};
  uint64_t num_terms_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace shoji::enclave
