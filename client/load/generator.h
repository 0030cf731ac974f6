// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Sends load, and measures what becomes of it.
//
// At a rate, each request has a time that it is meant to be sent at, which depends on no answer, and its latency counts
// from then: a server that stalls is charged for every request that should have been sent meanwhile, and not only for
// those that were (coordinated omission, as Gil Tene calls leaving them out). A request whose turn does not come in
// time, because `max_in_flight` are out or no session is open, waits in line, is late, and is dropped once its time-out
// has passed. At a concurrency a request is meant to be sent when the one before it has ended; where the connection
// is lost it waits in line too, until there is another: a call that fails before it leaves this machine ends at once,
// and the next one after it would measure how fast this machine can fail.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/load/measurement.h"
#include "client/load/options.h"
#include "client/session.h"
#include "client/transport.h"
#include "lib/base/clock.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::client::load {

// Thread-compatible but for Stop.
class Generator {
 public:
  struct Target {
    Session* session = nullptr;                           // attests; outlives the generator
    std::vector<std::unique_ptr<Transport>> connections;  // at least one
    // Plaintexts of requests, sent in turn; asking for phases where the options do.
    std::vector<crypto::PlaintextBytes> requests;
  };
  // `raw` may be null. `on_progress` is called about once a second, may be empty.
  using OnProgress = std::function<void(const Recorder::Progress&, std::chrono::nanoseconds elapsed)>;
  Generator(const Options& options, Target target, const Clock& clock, std::ofstream* raw, OnProgress on_progress);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator();

  // One level, from opening its sessions until everything that was sent has ended. An error when no session can be
  // opened at its start.
  absl::StatusOr<Measurement> Run(double level);

  // Ends the level that runs as if its time were over. Callable from a signal handler.
  void Stop() { stop_ = true; }
  bool stopped() const { return stop_; }

 private:
  // A connection, and the session that its requests go in.
  struct Lane {
    Transport* transport = nullptr;
    std::shared_ptr<const Session::Channel> channel;  // null: it is being opened anew
  };

  absl::Status OpenLanes();
  absl::Status WhileOverloaded(const std::function<absl::Status()>& step) const;
  // Evidence anew, unless it is newer than `seen`.
  absl::Status Attest(const Session::Attested* seen);
  std::shared_ptr<const Session::Attested> attested();
  // Mends lanes whose session has ended.
  void Mend(const std::stop_token& stop);

  void Pace(double rate);
  void Offer(SteadyTime intended);
  // Sends what waits in line and may go, and drops what has waited too long.
  void Pump();
  void SendWaiting(size_t& num_dropped);
  // Whether `status` ends the session of its lane: no more is sent there until Mend has opened another.
  bool EndsSession(const absl::Status& status) const;
  void Send(size_t lane, std::shared_ptr<const Session::Channel> channel, SteadyTime intended);
  // Whether somebody answered.
  bool SendInOwnSession(SteadyTime intended);
  void WorkInOwnSessions(const std::stop_token& stop);
  void Finish(const Sample& sample);
  // Whether another one is to be sent, of those counted in `requests` too.
  bool WantsMore(SteadyTime intended);
  absl::Status Judge(const Session::Channel& channel, uint64_t sequence,
                     const absl::StatusOr<channel::SealedAnswer>& sealed,
                     std::optional<channel::PhaseTimes>& phases) const;
  const crypto::PlaintextBytes& NextRequest();
  void AwaitEnd();

  const Options options_;
  const Target target_;
  const Clock& clock_;
  std::ofstream* const raw_;
  const OnProgress on_progress_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> num_requests_ = 0;

  std::mutex mu_;  // of all that follows; released before anything is sent
  std::condition_variable changed_;
  std::condition_variable_any offered_;  // to own_sessions_
  std::shared_ptr<const Session::Attested> attested_;
  std::vector<Lane> lanes_;
  size_t next_lane_ = 0;
  std::deque<SteadyTime> waiting_;       // intended times, the earliest first
  std::deque<SteadyTime> own_sessions_;  // taken by the threads that open a session for each
  size_t in_flight_ = 0;
  size_t cap_ = 0;
  uint64_t num_counted_ = 0;
  bool issuing_ = false;
  SteadyTime counted_from_;
  SteadyTime end_;
  SteadyTime last_done_;
  SteadyTime paced_until_;  // the next request's time, or the end; written by Pace, read when it has ended
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace shoji::client::load
