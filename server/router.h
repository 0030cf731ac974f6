// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "shoji/internal/v1/enclave.pb.h"
#include "shoji/v1/inference.pb.h"

namespace shoji::server {

// Knows which enclave holds which key and serves which model, from the states the enclaves report. An enclave is named
// by a number. Knows no gRPC. Thread-safe.
class Router {
 public:
  explicit Router(size_t num_enclaves) : states_(num_enclaves), is_retired_(num_enclaves), generations_(num_enclaves) {}

  // Numbers up to `num_enclaves` can be used.
  void Grow(size_t num_enclaves);
  // Number `index` is somebody's anew.
  void Open(size_t index);
  // Enclave `index` is given up: it is gone, and what it still reports is not looked at, until Open.
  void Retire(size_t index);

  // Enclave `index` reported `state`. INVALID_ARGUMENT when it is malformed (a key id that is not 16 bytes, more than
  // 64 keys or 1000 models); the enclave then counts as gone.
  absl::Status Update(size_t index, internal::v1::EnclaveState state);
  // Enclave `index` is gone, and its keys with it: no request is routed to it from here on.
  void Remove(size_t index);
  // Changes whenever enclave `index` is gone: whoever saw it fail can tell whether it is still the one that failed.
  uint64_t Generation(size_t index) const;

  // The enclave that holds `key_id`, or held it before a reload (it answers STALE_MANIFEST). UNKNOWN_KEY, or NO_ENCLAVE
  // when none is connected at all.
  absl::StatusOr<size_t> ByKey(std::string_view key_id) const;
  // How much an enclave has to do, by its number.
  using Load = std::function<size_t(size_t)>;
  // The ready enclave with the least load that serves `model` (empty: any), among equals in turn; where there is none,
  // one that awaits its key, whose manifest says so. UNKNOWN_MODEL when enclaves are ready but none serves it, or else
  // NO_ENCLAVE.
  absl::StatusOr<size_t> ByModel(std::string_view model, const Load& load = NoLoad) const;
  // Likewise an enclave that awaits the key of the sealed model of that digest, ready or not, or else one that serves
  // it. UNKNOWN_SEALED_MODEL, or NO_ENCLAVE when none is connected at all.
  absl::StatusOr<size_t> BySealedDigest(std::string_view sealed_digest, const Load& load = NoLoad) const;
  // Enclave `index` gets a call that was routed in turn: the next search begins behind it.
  void TakeTurn(size_t index);

  // What the ready enclaves serve, with their keys. Enclaves that describe a model alike share one entry.
  v1::ListModelsResponse Models() const;
  bool AnyReady() const;
  bool IsConnected(size_t index) const;
  bool IsReady(size_t index) const;

 private:
  static size_t NoLoad(size_t /*index*/) { return 0; }
  // Of the enclaves whose state `fits`, the one with the least load; among equals the first from `next_` on.
  template <typename Predicate>
  std::optional<size_t> LeastLoaded(Predicate fits, const Load& load) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::vector<std::optional<internal::v1::EnclaveState>> states_ ABSL_GUARDED_BY(mu_);  // nullopt: gone
  std::vector<bool> is_retired_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> generations_ ABSL_GUARDED_BY(mu_);
  size_t next_ ABSL_GUARDED_BY(mu_) = 0;  // where the next search in turn begins
};

}  // namespace shoji::server
