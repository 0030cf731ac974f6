// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/rpc/event_loop.h"
#include "lib/telemetry/log.h"
#include "server/admission.h"
#include "server/config.h"
#include "server/enclave_link.h"
#include "server/router.h"

namespace shoji::server {

// The enclaves behind the front end, which a reload changes while calls are under way. Each has a number, under which
// the router and the admission know it, and which is another's only once nothing of the first is left:
//
//   - a new enclave gets a free number and a link;
//   - one that is no longer configured is retired at once: no call is routed to it any more, those that wait for it are
//     routed anew, those that it has been sent end as they end;
//   - one whose address or TLS files have changed gets a second number and link. The first link serves until the second
//     has heard of the enclave, or until it is lost itself, and is retired then: no request falls between the two.
//
// Thread-safe, but for Prepare, Commit and Stop, which one thread calls.
class EnclaveTable {
 public:
  // What everything here works with; outlives the table. `loops` is filled before the first Commit.
  struct Environment {
    const std::vector<std::unique_ptr<rpc::EventLoop>>& loops;
    Router& router;
    Admission& admission;
    telemetry::Logger& logger;
    size_t max_message_bytes;
    std::function<void()> on_change;  // what the router knows has changed
  };
  // All that can fail of a change.
  class Prepared {
   private:
    friend class EnclaveTable;
    struct Entry {
      std::string name;
      std::string fingerprint;
      std::shared_ptr<grpc::Channel> channel;  // null: as it was
    };
    std::vector<Entry> entries_;
  };

  explicit EnclaveTable(Environment environment) : environment_(std::move(environment)) {}
  EnclaveTable(const EnclaveTable&) = delete;
  EnclaveTable& operator=(const EnclaveTable&) = delete;
  ~EnclaveTable() { Stop(); }

  // Reads what it takes to connect to `targets`, and changes nothing. Errors: their TLS files.
  absl::StatusOr<Prepared> Prepare(const std::vector<EnclaveTarget>& targets) const;
  // From now on the enclaves are those of `prepared`, which Prepare made of the present ones, under `limits`.
  void Commit(Prepared prepared, const Limits& limits);
  // A call to enclave `index`, sent when the router was at `generation`, has lost its connection. When this returns
  // nothing is routed to the enclave until it has been heard of again, and what waited for it has gone elsewhere or
  // been told.
  void OnConnectionLost(size_t index, uint64_t generation);
  // Ends every link.
  void Stop();

  // Numbers that are, or were, an enclave's are less than this.
  size_t size() const;
  // Null for a number that is nobody's now.
  std::shared_ptr<EnclaveConnection> Find(size_t index) const;
  // Every number that is somebody's, with the name; those that are retired for as long as a call is under way there.
  std::vector<std::pair<size_t, std::string>> Named() const;

 private:
  struct Slot {
    std::string name;
    std::string fingerprint;                        // of address and TLS files
    std::shared_ptr<EnclaveConnection> connection;  // calls keep it too; null: free
    std::unique_ptr<EnclaveLink> link;
    std::optional<size_t> predecessor;  // serves until this one does
    bool is_outdated = false;           // is some slot's predecessor
    bool is_retired = false;
  };

  // What enclave `index` reports has changed; called by threads that its link must not wait for.
  void OnEnclave(size_t index);
  void FlushLanes(size_t index);
  // Takes the slot out of routing and ends its link, without waiting for that.
  void Retire(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Retired slots whose calls have ended are free again.
  void Reap();
  size_t TakeFreeSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The slot that serves under `name`, the latest where one takes over from another.
  std::optional<size_t> Current(std::string_view name) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // The numbers of those that `prepared` does not name, which are retired.
  std::vector<size_t> RetireUnlisted(const Prepared& prepared) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Numbers that are retired by this are added to `retired`.
  void Open(Prepared::Entry entry, std::vector<size_t>& retired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsIdle(size_t index) const;

  const Environment environment_;
  mutable absl::Mutex mu_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::server
