// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/key_ring.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"

namespace shoji::channel {

KeyRing::KeyRing(const Options& options, MakeManifest make_manifest, std::shared_ptr<const void> context,
                 const Moment& now)
    : options_(options), make_manifest_(std::move(make_manifest)), context_(std::move(context)) {
  AddKey(now);
}

void KeyRing::AddKey(const Moment& now) {
  Key key;
  auto pair = std::make_shared<crypto::HpkeKeyPair>(crypto::GenerateHpkeKeyPair());
  key.id = KeyIdOf(pair->public_key);
  key.rotate_at = now.steady + options_.rotate_after;
  key.refuses_sessions_at = key.rotate_at + options_.grace;
  key.destroy_at = key.refuses_sessions_at + options_.grace;
  key.expires_at = std::chrono::floor<std::chrono::seconds>(now.system) + options_.rotate_after + options_.grace;
  key.manifest = make_manifest_(pair->public_key, key.expires_at);
  key.manifest_digest = digest::Sha256(key.manifest);
  key.context = context_;
  key.pair = std::move(pair);
  keys_.push_front(std::move(key));
  ++num_made_;
}

void KeyRing::Rotate(const Moment& now) {
  if (IsFull(keys_.front())) {
    keys_.front().destroy_at = std::min(keys_.front().destroy_at, now.steady + options_.grace);
  }
  AddKey(now);
}

std::vector<KeyId> KeyRing::Advance(const Moment& now) {
  std::vector<KeyId> destroyed;
  const auto destroy = [this, &destroyed](std::list<Key>::iterator it) {
    destroyed.push_back(it->id);
    return keys_.erase(it);
  };
  for (auto it = std::next(keys_.begin()); it != keys_.end();) {
    it = it->destroy_at <= now.steady ? destroy(it) : std::next(it);
  }
  const bool is_due = keys_.front().rotate_at <= now.steady;
  if (is_due && keys_.size() >= kMaxKeys) {
    destroy(std::prev(keys_.end()));  // time rotation is a promise; the oldest key gives way
  }
  if (is_due || (IsFull(keys_.front()) && keys_.size() < kMaxKeys)) {
    const KeyId replaced = keys_.front().id;
    Rotate(now);
    const auto previous = std::next(keys_.begin());
    SHOJI_CHECK(previous->id == replaced);
    if (previous->destroy_at <= now.steady) {  // nobody asked for longer than its whole life
      destroy(previous);
    }
  }
  return destroyed;
}

std::vector<KeyId> KeyRing::Reissue(MakeManifest make_manifest, std::shared_ptr<const void> context,
                                    const Moment& now) {
  std::vector<KeyId> killed = LiveKeyIds();
  dead_.insert(dead_.end(), killed.begin(), killed.end());
  while (dead_.size() > kMaxDeadKeys) {
    dead_.pop_front();
  }
  keys_.clear();
  make_manifest_ = std::move(make_manifest);
  context_ = std::move(context);
  AddKey(now);
  return killed;
}

bool KeyRing::Adopt(const MakeManifest& make_manifest, std::shared_ptr<const void> context) {
  // Every key here has its manifest from one maker, so that one stands for all.
  if (make_manifest(current().pair->public_key, current().expires_at) != current().manifest) {
    return false;
  }
  make_manifest_ = make_manifest;
  context_ = std::move(context);
  for (Key& key : keys_) {
    key.context = context_;
  }
  return true;
}

std::vector<KeyId> KeyRing::StaleKeyIds(size_t max) const {
  std::vector<KeyId> out;
  for (auto id = dead_.rbegin(); id != dead_.rend() && out.size() < max; ++id) {
    out.push_back(*id);
  }
  return out;
}

std::vector<KeyId> KeyRing::LiveKeyIds() const {
  std::vector<KeyId> out;
  out.reserve(keys_.size());
  for (const Key& key : keys_) {
    out.push_back(key.id);
  }
  return out;
}

absl::StatusOr<const KeyRing::Key*> KeyRing::Find(const KeyId& id) const {
  for (const Key& key : keys_) {
    if (key.id == id) {
      return &key;
    }
  }
  const bool is_dead = std::find(dead_.rbegin(), dead_.rend(), id) != dead_.rend();
  return ErrorOf(is_dead ? Reason::kStaleManifest : Reason::kUnknownKey);
}

absl::StatusOr<const KeyRing::Key*> KeyRing::FindForNewSession(const KeyId& key_id,
                                                               const ManifestDigest& manifest_digest,
                                                               const crypto::HpkeEnc& enc, const Moment& now) const {
  ASSIGN_OR_RETURN(const Key* const key, Find(key_id));
  if (key->refuses_sessions_at <= now.steady) {
    return ErrorOf(Reason::kUnknownKey);
  }
  if (key->manifest_digest != manifest_digest) {
    return ErrorOf(Reason::kStaleManifest);
  }
  if (key->accepted.contains(enc)) {
    return ErrorOf(Reason::kEncReused);
  }
  if (IsFull(*key)) {
    return ErrorOf(Reason::kSessionLimit);
  }
  return key;
}

void KeyRing::Remember(const KeyId& key_id, const crypto::HpkeEnc& enc) {
  for (Key& key : keys_) {
    if (key.id == key_id) {
      key.accepted.insert(enc);
    }
  }
}

}  // namespace shoji::channel
