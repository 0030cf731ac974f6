// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "lib/base/clock.h"

namespace shoji::client {

enum class NextStep : uint8_t {
  kFail,    // the caller gets the error
  kRetry,   // the same again, sealed anew
  kAttest,  // the session is over: new evidence, new session, then the same again
};

// What to do about a failed attempt (docs/protocol.md, "Errors"). A refusal of ours and everything that a second
// attempt cannot change fail; so do REPLAYED and OPEN_FAILED, which an honest server does not answer to a fresh
// message.
NextStep NextStepAfter(const absl::Status& status);

// Growing delays: 20 ms, doubled each time up to 1 s, each less a random part of up to a half, so that clients that
// failed together do not come back together. Thread-compatible.
class Backoff {
 public:
  // `advice`: the least time the server asked for.
  std::chrono::milliseconds Next(std::chrono::milliseconds advice);

 private:
  std::chrono::milliseconds delay_{20};
};

using WaitFunction = std::function<void(std::chrono::milliseconds)>;
using WarnFunction = std::function<void(const std::string&)>;

// Puts the real thing where a caller left `clock`, `wait` or `warn` unset: `real`, sleeping, standard error.
void SetDefaults(const Clock& real, const Clock*& clock, WaitFunction& wait, WarnFunction& warn);

}  // namespace shoji::client
