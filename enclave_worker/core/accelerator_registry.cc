// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/accelerator_registry.h"

namespace shoji::enclave {

std::vector<partition::AcceleratorIdentity> AcceleratorRegistry::identities() const {
  std::vector<partition::AcceleratorIdentity> out;
  for (const Member& member : members_) {
    out.push_back(member.identity);
  }
  return out;
}

std::vector<const Accelerator*> AcceleratorRegistry::all() const {
  std::vector<const Accelerator*> out;
  for (const Member& member : members_) {
    out.push_back(member.accelerator.get());
  }
  return out;
}

Accelerator* AcceleratorRegistry::Find(const std::string& name) const {
  for (const Member& member : members_) {
    if (member.identity.name == name) {
      return member.accelerator.get();
    }
  }
  return nullptr;
}

AcceleratorRegistry::Registration AcceleratorRegistry::Register(Accelerator& accelerator,
                                                                const digest::Sha256Digest& digest,
                                                                std::shared_ptr<const Bytes> bytes,
                                                                SubModelFormat format) {
  const absl::MutexLock lock(&mu_);
  if (counts_[{&accelerator, digest}]++ == 0) {
    accelerator.Register(digest, std::move(bytes), format);
  }
  return {*this, accelerator, digest};
}

void AcceleratorRegistry::Drop(Accelerator& accelerator, const digest::Sha256Digest& digest) {
  const absl::MutexLock lock(&mu_);
  const auto it = counts_.find({&accelerator, digest});
  if (it != counts_.end() && --it->second == 0) {
    counts_.erase(it);
    accelerator.Unregister(digest);
  }
}

}  // namespace shoji::enclave
