// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/rpc/address.h"
#include "shoji/internal/v1/enclave.pb.h"

namespace shoji::testing {

// An enclave as the front end sees it, in this process, with no cryptography: Infer answers with its own name as the
// salt and the request's ciphertext unchanged. For tests only. Thread-safe.
class FakeEnclave {
 public:
  // Serves on `address` and reports `state`.
  static absl::StatusOr<std::unique_ptr<FakeEnclave>> Start(const std::string& name, const rpc::Address& address,
                                                            const internal::v1::EnclaveState& state);
  FakeEnclave(const FakeEnclave&) = delete;
  FakeEnclave& operator=(const FakeEnclave&) = delete;
  // Ends every stream and call, as a dying process does.
  ~FakeEnclave();

  // Reports `state` on every Watch stream.
  void Report(const internal::v1::EnclaveState& state);

  // From now on Infer calls are held, until Let lets all of them go.
  void Hold();
  void Let();
  // Answers Infer with `status` from now on, what is held and then let go included.
  void FailWith(const absl::Status& status);

  // Blocks until `n` Infer calls are held, or have been cancelled by the caller.
  void AwaitHeld(size_t n);
  void AwaitCancelled(size_t n);
  size_t num_infers() const;
  // What the last Infer call carried.
  std::string last_ciphertext() const;
  // How long the last Infer call had when it came.
  std::chrono::milliseconds last_time_left() const;
  // Its metadata's traceparent; empty when it has none.
  std::string last_trace_parent() const;
  // Lets the Infer call go that has been held for longest; false when none is held.
  bool LetOne();

 private:
  class Service;
  FakeEnclave();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoji::testing
