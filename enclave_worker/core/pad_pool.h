// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One-time pads for blinded layers, made ahead of their requests. A pad is a fresh key, from which r of every layer
// follows, and W * r of every layer, which takes as long to make as the layers take to run.
//
// No pad is used twice:
//   - a pad is a move-only object in one place at a time: the pool, then the request that claimed it. Claiming takes it
//     out under the pool's lock before anything is sent, and nothing puts one back;
//   - pads live in this process's memory alone, and their keys come from the private random generator, so that a crash
//     or a restart loses them and can repeat none;
//   - a request sends, for one layer, one masked message. Sending it again, to the same or another accelerator, sends
//     the same bytes, because it is made anew from the same activations, which stay in the request's frame until the
//     layer is done, and the same key;
//   - the keystream of two layers of one pad never overlaps: the layer's number is the upper half of the counter block.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/masking/layer_codec.h"
#include "enclave_worker/core/masking/pad_key.h"
#include "lib/base/clock.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/kernels/ring/linear.h"
#include "lib/partition/policy.h"

namespace shoji::enclave {

// A layer that pads are made for; both outlive the pool.
struct PadLayer {
  const LayerCodec* codec = nullptr;
  const kernels::ring::LinearKernel* kernel = nullptr;
};

class PadPool;

// Owned by one request. Wiped at destruction.
class Pad {
 public:
  Pad(const Pad&) = delete;
  Pad& operator=(const Pad&) = delete;
  ~Pad();

  const PadKey& key() const { return key_; }
  // W * r of layer number `layer`: all rows of words.
  ByteSpan product(size_t layer) const { return products_[layer].Expose(); }

 private:
  friend class PadPool;
  Pad(PadPool& pool, PadKey key) : pool_(pool), key_(std::move(key)) {}

  PadPool& pool_;
  PadKey key_;
  std::vector<crypto::PlaintextBytes> products_;
};

// The pads of one model under one plan. Thread-safe; outlives its pads.
class PadPool {
 public:
  struct Options {
    size_t max_pads = 64;
    uint64_t max_bytes = uint64_t{4} << 30;
    partition::OnPoolEmpty on_empty = partition::OnPoolEmpty::kEnclave;
  };
  // INVALID_ARGUMENT when not even one pad fits in `max_bytes`, or there are no layers.
  static absl::StatusOr<std::unique_ptr<PadPool>> Create(std::vector<PadLayer> layers, const Options& options,
                                                         const Clock& clock);
  PadPool(const PadPool&) = delete;
  PadPool& operator=(const PadPool&) = delete;

  // A pad that nobody else has had or will have. When there is none: null under `enclave`, waits until `deadline` under
  // `wait` (DEADLINE; CANCELLED soon after `is_cancelled`, if there is one, says so), OVERLOADED under `reject`.
  absl::StatusOr<std::unique_ptr<Pad>> Claim(SteadyTime deadline, const std::function<bool()>& is_cancelled = nullptr);
  // A pad if there is one, else null whatever the policy.
  std::unique_ptr<Pad> TryClaim();
  partition::OnPoolEmpty on_empty() const { return options_.on_empty; }

  // Makes one pad, unless the pool is full or stopped: whether it did. `stop` is asked between layers.
  bool MakeOne(const std::function<bool()>& stop);
  // Whether MakeOne would make one.
  bool HasRoom() const;
  // Called, with no lock held, whenever there is room again. Set before use.
  void OnRoom(std::function<void()> notify) { notify_room_ = std::move(notify); }

  // Memory of one pad.
  uint64_t pad_bytes() const { return pad_bytes_; }
  // Pads that exist, claimed ones and those being made included; never more than the options allow.
  size_t num_pads() const;
  size_t num_available() const;
  uint64_t num_made() const { return num_made_; }
  uint64_t num_claimed() const { return num_claimed_; }
  uint64_t num_empty() const { return num_empty_; }

 private:
  friend class Pad;
  PadPool(std::vector<PadLayer> layers, const Options& options, size_t max_pads, uint64_t pad_bytes,
          const Clock& clock);
  void Release();
  std::unique_ptr<Pad> TakeReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::vector<PadLayer> layers_;
  const Options options_;
  const size_t max_pads_;
  const uint64_t pad_bytes_;
  const Clock& clock_;
  std::function<void()> notify_room_;
  std::atomic<uint64_t> num_made_ = 0;
  std::atomic<uint64_t> num_claimed_ = 0;
  std::atomic<uint64_t> num_empty_ = 0;
  mutable absl::Mutex mu_;
  size_t num_pads_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::unique_ptr<Pad>> ready_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
