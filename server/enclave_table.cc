// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/enclave_table.h"

#include <algorithm>

#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/rpc/channel.h"
#include "server/lanes.h"

namespace shoji::server {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;

// Of all that a connection to `endpoint` is made of. A file that cannot be read counts as empty: who connects says why.
std::string FingerprintOf(const rpc::Endpoint& endpoint) {
  std::string out = TextOf(endpoint);
  const rpc::TransportSecurity& security = endpoint.security;
  for (const std::string* path :
       {&security.certificate_file, &security.private_key_file, &security.ca_file, &security.server_key_file}) {
    const absl::StatusOr<Bytes> file = path->empty() ? Bytes() : ReadFile(*path, kMaxFileBytes);
    out += " " + HexEncode(digest::Sha256(file.ok() ? *file : Bytes()));
  }
  return out;
}

}  // namespace

absl::StatusOr<EnclaveTable::Prepared> EnclaveTable::Prepare(const std::vector<EnclaveTarget>& targets) const {
  Prepared out;
  for (const EnclaveTarget& target : targets) {
    // Before the channel reads them: a file that changes in between is a change for the next reload.
    Prepared::Entry entry = {.name = target.name, .fingerprint = FingerprintOf(target.endpoint), .channel = nullptr};
    bool is_new = true;
    {
      const absl::MutexLock lock(&mu_);
      const std::optional<size_t> current = Current(target.name);
      is_new = !current.has_value() || slots_[*current].fingerprint != entry.fingerprint;
    }
    if (is_new) {
      rpc::ChannelOptions options;
      options.max_message_bytes = environment_.max_message_bytes;
      ASSIGN_OR_RETURN(entry.channel, rpc::CreateChannel(target.endpoint, options));
    }
    out.entries_.push_back(std::move(entry));
  }
  return out;
}

std::optional<size_t> EnclaveTable::Current(std::string_view name) const {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.connection != nullptr && slot.name == name && !slot.is_retired && !slot.is_outdated) {
      return i;
    }
  }
  return std::nullopt;
}

bool EnclaveTable::IsIdle(size_t index) const {
  const auto has_none = [&](Work work) {
    const size_t lane = LaneOf(index, work);
    return environment_.admission.num_in_flight(lane) == 0 && environment_.admission.num_queued(lane) == 0;
  };
  return has_none(Work::kRequest) && has_none(Work::kEvidence);
}

void EnclaveTable::Retire(size_t index) {
  Slot& slot = slots_[index];
  slot.is_retired = true;
  slot.predecessor.reset();
  environment_.router.Retire(index);
  slot.link->Stop();
}

void EnclaveTable::Reap() {
  std::vector<std::unique_ptr<EnclaveLink>> ended;  // joined without the lock, which their threads may wait for
  {
    const absl::MutexLock lock(&mu_);
    for (Slot& slot : slots_) {
      if (slot.is_retired && slot.link != nullptr) {
        ended.push_back(std::move(slot.link));
      }
    }
  }
  ended.clear();
  const absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].is_retired && slots_[i].link == nullptr && IsIdle(i)) {
      slots_[i] = Slot();
    }
  }
}

size_t EnclaveTable::TakeFreeSlot() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].connection == nullptr) {
      return i;
    }
  }
  slots_.emplace_back();
  return slots_.size() - 1;
}

std::vector<size_t> EnclaveTable::RetireUnlisted(const Prepared& prepared) {
  std::vector<size_t> out;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    const bool is_listed = std::any_of(prepared.entries_.begin(), prepared.entries_.end(),
                                       [&slot](const Prepared::Entry& entry) { return entry.name == slot.name; });
    if (slot.connection != nullptr && !slot.is_retired && !is_listed) {
      Retire(i);
      out.push_back(i);
      if (!slot.is_outdated) {  // else its successor's line says it
        environment_.logger.Info("enclave_removed", {{"enclave", slot.name}});
      }
    }
  }
  return out;
}

void EnclaveTable::Open(Prepared::Entry entry, std::vector<size_t>& retired) {
  std::optional<size_t> predecessor = Current(entry.name);
  if (predecessor.has_value() && !environment_.router.IsConnected(*predecessor)) {
    // It serves nobody; perhaps it was to take over from one that does.
    const size_t unconnected = *predecessor;
    predecessor = slots_[unconnected].predecessor;
    Retire(unconnected);
    retired.push_back(unconnected);
  }
  const size_t index = TakeFreeSlot();
  environment_.router.Open(index);
  Slot& slot = slots_[index];
  slot.name = entry.name;
  slot.fingerprint = std::move(entry.fingerprint);
  slot.predecessor = predecessor;
  if (predecessor.has_value()) {
    slots_[*predecessor].is_outdated = true;
  }
  slot.connection = std::make_shared<EnclaveConnection>(entry.name, entry.channel);
  rpc::EventLoop& loop = *environment_.loops[index % environment_.loops.size()];
  slot.link = EnclaveLink::Create(
      entry.name, entry.channel, index, loop, environment_.router, [this, index] { OnEnclave(index); },
      environment_.logger);
  environment_.logger.Info(predecessor.has_value() ? "enclave_changed" : "enclave_added", {{"enclave", entry.name}});
}

void EnclaveTable::Commit(Prepared prepared, const Limits& limits) {
  Reap();
  // Before any link can report, the router and the admission know every number that may be taken. Without the lock: a
  // call that gets its slot here looks for its enclave.
  const size_t num_slots = size() + prepared.entries_.size();
  environment_.router.Grow(num_slots);
  for (size_t i = 0; i < num_slots; ++i) {
    for (const Work work : {Work::kRequest, Work::kEvidence}) {
      environment_.admission.Open(LaneOf(i, work), OptionsOf(limits, work));
    }
  }
  std::vector<size_t> retired;
  {
    const absl::MutexLock lock(&mu_);
    retired = RetireUnlisted(prepared);
    for (Prepared::Entry& entry : prepared.entries_) {
      if (entry.channel != nullptr) {
        Open(std::move(entry), retired);
      }
    }
  }
  for (const size_t index : retired) {
    FlushLanes(index);
  }
  environment_.on_change();
}

void EnclaveTable::FlushLanes(size_t index) {
  environment_.admission.Flush(LaneOf(index, Work::kRequest));
  environment_.admission.Flush(LaneOf(index, Work::kEvidence));
}

void EnclaveTable::OnEnclave(size_t index) {
  const bool is_connected = environment_.router.IsConnected(index);
  std::optional<size_t> retired;
  {
    const absl::MutexLock lock(&mu_);
    Slot& slot = slots_[index];
    if (is_connected && slot.predecessor.has_value()) {
      retired = slot.predecessor;
      environment_.logger.Info("enclave_replaced", {{"enclave", slot.name}});
    } else if (!is_connected && slot.is_outdated) {
      retired = index;  // it must not connect anew as it did
    }
    if (retired.has_value() && !slots_[*retired].is_retired) {
      Retire(*retired);
      for (Slot& other : slots_) {
        other.predecessor = other.predecessor == retired ? std::nullopt : other.predecessor;
      }
    }
  }
  environment_.on_change();
  if (!is_connected) {
    // What waits for it goes elsewhere, or is told, at once.
    FlushLanes(index);
  }
  if (retired.has_value()) {
    FlushLanes(*retired);
  }
}

void EnclaveTable::OnConnectionLost(size_t index, uint64_t generation) {
  {
    const absl::MutexLock lock(&mu_);
    Slot& slot = slots_[index];
    if (slot.link == nullptr || environment_.router.Generation(index) != generation) {
      return;  // that is known
    }
    slot.link->Abandon();
  }
  OnEnclave(index);
}

void EnclaveTable::Stop() {
  std::vector<std::unique_ptr<EnclaveLink>> links;
  {
    const absl::MutexLock lock(&mu_);
    for (Slot& slot : slots_) {
      if (slot.link != nullptr) {
        slot.is_retired = true;
        links.push_back(std::move(slot.link));
      }
    }
  }
  links.clear();
}

size_t EnclaveTable::size() const {
  const absl::MutexLock lock(&mu_);
  return slots_.size();
}

std::shared_ptr<EnclaveConnection> EnclaveTable::Find(size_t index) const {
  const absl::MutexLock lock(&mu_);
  return slots_[index].connection;
}

std::vector<std::pair<size_t, std::string>> EnclaveTable::Named() const {
  std::vector<std::pair<size_t, std::string>> out;
  const absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].connection != nullptr && (!slots_[i].is_retired || !IsIdle(i))) {
      out.emplace_back(i, slots_[i].name);
    }
  }
  return out;
}

}  // namespace shoji::server
