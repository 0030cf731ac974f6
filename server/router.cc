// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/router.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::server {
namespace {

using internal::v1::EnclaveState;

constexpr size_t kKeyIdLength = 16;
constexpr int kMaxKeys = 64;
constexpr size_t kDigestLength = 32;
constexpr int kMaxModels = 1000;

absl::Status Validate(const EnclaveState& state) {
  if (state.key_ids_size() > kMaxKeys || state.stale_key_ids_size() > kMaxKeys || state.models_size() > kMaxModels ||
      state.sealed_models_size() > kMaxModels) {
    return absl::InvalidArgumentError("it reports too many keys or models");
  }
  for (const auto* keys : {&state.key_ids(), &state.stale_key_ids()}) {
    for (const std::string& key_id : *keys) {
      if (key_id.size() != kKeyIdLength) {
        return absl::InvalidArgumentError("it reports a key id that is not 16 bytes");
      }
    }
  }
  for (const auto& model : state.sealed_models()) {
    if (model.sealed_digest().size() != kDigestLength) {
      return absl::InvalidArgumentError("it reports a sealed model's digest that is not 32 bytes");
    }
  }
  return absl::OkStatus();
}

bool Serves(const EnclaveState& state, std::string_view model) {
  return model.empty() || std::any_of(state.models().begin(), state.models().end(),
                                      [model](const auto& served) { return served.name() == model; });
}

bool Awaits(const EnclaveState& state, std::string_view model) {
  return std::any_of(state.sealed_models().begin(), state.sealed_models().end(), [model](const auto& sealed) {
    return sealed.awaits_key() && (model.empty() || sealed.name() == model);
  });
}

enum class Key : uint8_t { kAwaited, kReleased };

bool HasSealed(const EnclaveState& state, std::string_view sealed_digest, Key key) {
  return std::any_of(state.sealed_models().begin(), state.sealed_models().end(), [&](const auto& sealed) {
    return sealed.sealed_digest() == sealed_digest && sealed.awaits_key() == (key == Key::kAwaited);
  });
}

// The entry of `response` that describes a model as `model` does, added when there is none.
v1::ModelDescription& EntryFor(const v1::ModelDescription& model, v1::ListModelsResponse& response) {
  for (v1::ModelDescription& entry : *response.mutable_models()) {
    if (entry.name() == model.name() && entry.preprocessing() == model.preprocessing() &&
        entry.labels() == model.labels()) {
      return entry;
    }
  }
  v1::ModelDescription& entry = *response.add_models();
  entry = model;
  entry.clear_key_ids();
  return entry;
}

}  // namespace

void Router::Grow(size_t num_enclaves) {
  const absl::MutexLock lock(&mu_);
  if (num_enclaves > states_.size()) {
    states_.resize(num_enclaves);
    is_retired_.resize(num_enclaves);
    generations_.resize(num_enclaves);
  }
}

void Router::Open(size_t index) {
  const absl::MutexLock lock(&mu_);
  is_retired_[index] = false;
}

void Router::Retire(size_t index) {
  const absl::MutexLock lock(&mu_);
  states_[index].reset();
  ++generations_[index];
  is_retired_[index] = true;
}

absl::Status Router::Update(size_t index, EnclaveState state) {
  const absl::Status valid = Validate(state);
  const absl::MutexLock lock(&mu_);
  if (is_retired_[index]) {
    return valid;
  }
  if (valid.ok()) {
    states_[index] = std::move(state);
  } else {
    states_[index].reset();
  }
  return valid;
}

void Router::Remove(size_t index) {
  const absl::MutexLock lock(&mu_);
  states_[index].reset();
  ++generations_[index];
}

uint64_t Router::Generation(size_t index) const {
  const absl::MutexLock lock(&mu_);
  return generations_[index];
}

absl::StatusOr<size_t> Router::ByKey(std::string_view key_id) const {
  const absl::MutexLock lock(&mu_);
  bool is_any_connected = false;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (!states_[i].has_value()) {
      continue;
    }
    is_any_connected = true;
    for (const auto* keys : {&states_[i]->key_ids(), &states_[i]->stale_key_ids()}) {
      if (std::find(keys->begin(), keys->end(), key_id) != keys->end()) {
        return i;
      }
    }
  }
  return ErrorOf(is_any_connected ? Reason::kUnknownKey : Reason::kNoEnclave);
}

template <typename Predicate>
std::optional<size_t> Router::LeastLoaded(Predicate fits, const Load& load) const {
  std::optional<size_t> best;
  size_t least = 0;
  for (size_t step = 0; step < states_.size(); ++step) {
    const size_t i = (next_ + step) % states_.size();
    if (!states_[i].has_value() || !fits(*states_[i])) {
      continue;
    }
    const size_t has_to_do = load(i);
    if (!best.has_value() || has_to_do < least) {
      best = i;
      least = has_to_do;
    }
  }
  return best;
}

void Router::TakeTurn(size_t index) {
  const absl::MutexLock lock(&mu_);
  next_ = (index + 1) % states_.size();
}

absl::StatusOr<size_t> Router::ByModel(std::string_view model, const Load& load) const {
  const absl::MutexLock lock(&mu_);
  const auto is_ready = [](const EnclaveState& state) { return state.ready(); };
  const auto serves = [&](const EnclaveState& state) { return Serves(state, model); };
  if (const auto found =
          LeastLoaded([&](const EnclaveState& state) { return is_ready(state) && serves(state); }, load)) {
    return *found;
  }
  if (const auto found = LeastLoaded([&](const EnclaveState& state) { return Awaits(state, model); }, load)) {
    return *found;
  }
  const auto any = [&](const auto& predicate) {
    return std::any_of(states_.begin(), states_.end(),
                       [&](const auto& state) { return state.has_value() && predicate(*state); });
  };
  return ErrorOf(any(is_ready) && !any(serves) ? Reason::kUnknownModel : Reason::kNoEnclave);
}

absl::StatusOr<size_t> Router::BySealedDigest(std::string_view sealed_digest, const Load& load) const {
  const absl::MutexLock lock(&mu_);
  for (const Key key : {Key::kAwaited, Key::kReleased}) {
    if (const auto found =
            LeastLoaded([&](const EnclaveState& state) { return HasSealed(state, sealed_digest, key); }, load)) {
      return *found;
    }
  }
  const bool connected =
      std::any_of(states_.begin(), states_.end(), [](const auto& state) { return state.has_value(); });
  return ErrorOf(connected ? Reason::kUnknownSealedModel : Reason::kNoEnclave);
}

v1::ListModelsResponse Router::Models() const {
  v1::ListModelsResponse out;
  const absl::MutexLock lock(&mu_);
  for (const std::optional<EnclaveState>& state : states_) {
    if (!state.has_value() || !state->ready()) {
      continue;
    }
    for (const v1::ModelDescription& model : state->models()) {
      EntryFor(model, out).mutable_key_ids()->MergeFrom(state->key_ids());
    }
  }
  return out;
}

bool Router::AnyReady() const {
  const absl::MutexLock lock(&mu_);
  return std::any_of(states_.begin(), states_.end(),
                     [](const auto& state) { return state.has_value() && state->ready(); });
}

bool Router::IsConnected(size_t index) const {
  const absl::MutexLock lock(&mu_);
  return states_[index].has_value();
}

bool Router::IsReady(size_t index) const {
  const absl::MutexLock lock(&mu_);
  return states_[index].has_value() && states_[index]->ready();
}

}  // namespace shoji::server
