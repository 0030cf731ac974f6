// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/pad_pool.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/reason.h"

namespace shoji::enclave {

using kernels::ring::LimbBytes;
using kernels::ring::LimbRowBytes;
using kernels::ring::WordBytes;
using kernels::ring::WordsBytes;

namespace {

// How often who waits for a pad looks whether his caller is still there.
constexpr absl::Duration kGlance = absl::Milliseconds(50);

}  // namespace

Pad::~Pad() { pool_.Release(); }

absl::StatusOr<std::unique_ptr<PadPool>> PadPool::Create(std::vector<PadLayer> layers, const Options& options,
                                                         const Clock& clock) {
  uint64_t pad_bytes = sizeof(Pad);
  for (const PadLayer& layer : layers) {
    pad_bytes += WordsBytes(layer.codec->layer().geometry, layer.codec->layer().ring);
  }
  const uint64_t fit = std::min<uint64_t>(options.max_bytes / pad_bytes, options.max_pads);
  if (layers.empty() || fit == 0) {
    return absl::InvalidArgumentError("masking.pool holds not even one pad: a request needs one of " +
                                      std::to_string(pad_bytes) + " bytes, and the pool may have " +
                                      std::to_string(options.max_bytes) + " bytes for " +
                                      std::to_string(options.max_pads) + " requests; raise pool.memory");
  }
  return std::unique_ptr<PadPool>(new PadPool(std::move(layers), options, static_cast<size_t>(fit), pad_bytes, clock));
}

PadPool::PadPool(std::vector<PadLayer> layers, const Options& options, size_t max_pads, uint64_t pad_bytes,
                 const Clock& clock)
    : layers_(std::move(layers)), options_(options), max_pads_(max_pads), pad_bytes_(pad_bytes), clock_(clock) {}

absl::StatusOr<std::unique_ptr<Pad>> PadPool::Claim(SteadyTime deadline, const std::function<bool()>& is_cancelled) {
  const absl::MutexLock lock(&mu_);
  if (ready_.empty()) {
    ++num_empty_;
    if (options_.on_empty == partition::OnPoolEmpty::kEnclave) {
      return std::unique_ptr<Pad>();
    }
    if (options_.on_empty == partition::OnPoolEmpty::kReject) {
      return ErrorOf(Reason::kOverloaded);
    }
    const auto any_ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !ready_.empty(); };
    while (!any_ready()) {
      const absl::Duration left = absl::FromChrono(deadline - clock_.SteadyNow());
      if (left <= absl::ZeroDuration()) {
        return ErrorOf(Reason::kDeadline);
      }
      if (is_cancelled && is_cancelled()) {
        return absl::CancelledError("cancelled");
      }
      mu_.AwaitWithTimeout(absl::Condition(&any_ready), std::min(left, kGlance));
    }
  }
  return TakeReady();
}

std::unique_ptr<Pad> PadPool::TryClaim() {
  const absl::MutexLock lock(&mu_);
  return ready_.empty() ? nullptr : TakeReady();
}

std::unique_ptr<Pad> PadPool::TakeReady() {
  std::unique_ptr<Pad> pad = std::move(ready_.back());
  ready_.pop_back();
  ++num_claimed_;
  return pad;
}

bool PadPool::MakeOne(const std::function<bool()>& stop) {
  {
    const absl::MutexLock lock(&mu_);
    if (num_pads_ >= max_pads_) {
      return false;
    }
    ++num_pads_;
  }
  std::unique_ptr<Pad> pad(new Pad(*this, PadKey::Draw()));
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (stop()) {
      return false;  // the pad gives its place back
    }
    const quantization::LinearLayer& layer = layers_[i].codec->layer();
    const size_t num_limbs = WordBytes(layer.ring);
    const size_t row_bytes = LimbRowBytes(layer.geometry, num_limbs);
    crypto::PlaintextBytes random(LimbBytes(layer.geometry, num_limbs));
    for (int64_t row = 0; row < layer.geometry.input[0]; ++row) {
      layers_[i].codec->RandomRow(pad->key(), i, row,
                                  random.ExposeMutable().subspan(static_cast<size_t>(row) * row_bytes, row_bytes));
    }
    crypto::PlaintextBytes scratch(layers_[i].kernel->scratch_bytes(num_limbs));
    crypto::PlaintextBytes product(WordsBytes(layer.geometry, layer.ring));
    layers_[i].kernel->Run(layer.ring, {random.Expose(), num_limbs, 0}, {0, layer.geometry.output[0]},
                           product.ExposeMutable(), scratch.ExposeMutable());
    pad->products_.push_back(std::move(product));
  }
  ++num_made_;
  const absl::MutexLock lock(&mu_);
  ready_.push_back(std::move(pad));
  return true;
}

bool PadPool::HasRoom() const {
  const absl::MutexLock lock(&mu_);
  return num_pads_ < max_pads_;
}

size_t PadPool::num_pads() const {
  const absl::MutexLock lock(&mu_);
  return num_pads_;
}

size_t PadPool::num_available() const {
  const absl::MutexLock lock(&mu_);
  return ready_.size();
}

void PadPool::Release() {
  {
    const absl::MutexLock lock(&mu_);
    --num_pads_;
  }
  if (notify_room_) {
    notify_room_();
  }
}

}  // namespace shoji::enclave
