// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A loaded sub-model as the protocol sees it: from the tensors of an Execute to those of its ExecuteReply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "lib/base/byte_source.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::accelerator {

// The most requests that one Execute may be for.
inline constexpr size_t kMaxBatch = 64;
// Those that `execute` is for; INVALID_ARGUMENT when there are too many.
absl::StatusOr<size_t> BatchOf(const internal::v1::Execute& execute);

// Thread-safe: any number of runs at the same time.
class Executable {
 public:
  Executable() = default;
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;
  virtual ~Executable() = default;

  // `execute.batch()` is in range. INVALID_ARGUMENT for inputs that are malformed, not the sub-model's or not those of
  // so many requests, RESOURCE_EXHAUSTED for one of more than `max_bytes`, or what `stop` says. `reply` is empty before
  // and worth nothing after an error.
  virtual absl::Status Run(internal::v1::Execute execute, size_t max_bytes, const StopCheck& stop,
                           internal::v1::ExecuteReply& reply) = 0;
  // What it holds on to while it is loaded.
  virtual uint64_t memory_bytes() const = 0;
};

// Loads what a tenant uploaded. Errors: as Backend's, and INVALID_ARGUMENT for an unknown format. `backend`
// outlives the executable.
absl::StatusOr<std::unique_ptr<Executable>> LoadExecutable(Backend& backend, internal::v1::SubModelFormat format,
                                                           ByteSource& upload);

}  // namespace shoji::accelerator
