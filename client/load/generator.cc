// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/generator.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/attempts.h"
#include "client/load/schedule.h"
#include "client/retry.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/channel/payload.h"

namespace shoji::client::load {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kGlance(50);  // how often a stop is looked for
constexpr milliseconds kProgress(1000);
constexpr milliseconds kMendPause(50);
constexpr size_t kMaxOwnSessionThreads = 256;  // they wait, most of the time

nanoseconds CpuTime() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Whether nobody answered: what a server says of itself has a reason.
bool IsOfConnection(const absl::Status& status) {
  return absl::IsUnavailable(status) && ReasonOf(status) == Reason::kUnspecified;
}

}  // namespace

Generator::Generator(const Options& options, Target target, const Clock& clock, std::ofstream* raw,
                     OnProgress on_progress)
    : options_(options), target_(std::move(target)), clock_(clock), raw_(raw), on_progress_(std::move(on_progress)) {
  for (const std::unique_ptr<Transport>& transport : target_.connections) {
    lanes_.push_back({.transport = transport.get(), .channel = nullptr});
  }
}

Generator::~Generator() = default;

std::shared_ptr<const Session::Attested> Generator::attested() {
  const std::scoped_lock lock(mu_);
  return attested_;
}

absl::Status Generator::Attest(const Session::Attested* seen) {
  if (const auto now = attested(); now != nullptr && now.get() != seen) {
    return absl::OkStatus();
  }
  const SteadyTime begin = clock_.SteadyNow();
  absl::StatusOr<Session::Attested> fresh = target_.session->Attest(begin + options_.timeout);
  RETURN_IF_ERROR(fresh.status());
  const std::scoped_lock lock(mu_);
  recorder_->Attested(clock_.SteadyNow() - begin);
  attested_ = std::make_shared<const Session::Attested>(*std::move(fresh));
  return absl::OkStatus();
}

// As a session does at its start: a token that may make few calls a second has spent them on the steps before.
absl::Status Generator::WhileOverloaded(const std::function<absl::Status()>& step) const {
  const WaitFunction wait = [this](milliseconds delay) {
    const SteadyTime end = clock_.SteadyNow() + delay;
    for (SteadyTime now = clock_.SteadyNow(); now < end && !stop_; now = clock_.SteadyNow()) {
      std::this_thread::sleep_for(std::min<nanoseconds>(kGlance, end - now));
    }
  };
  const WarnFunction warn;  // nothing is said of such a wait
  return Attempts(*lanes_.front().transport, clock_, wait, warn)
      .WhileOverloaded(step, clock_.SteadyNow() + options_.timeout);
}

absl::Status Generator::OpenLanes() {
  const std::shared_ptr<const Session::Attested> seen = attested();
  RETURN_IF_ERROR(WhileOverloaded([&] { return Attest(seen.get()); }));
  if (options_.session_per_request) {
    return absl::OkStatus();
  }
  for (Lane& lane : lanes_) {
    const auto open = [&]() -> absl::Status {
      const SteadyTime begin = clock_.SteadyNow();
      ASSIGN_OR_RETURN(std::shared_ptr<const Session::Channel> channel,
                       target_.session->Open(*attested(), begin + options_.timeout, lane.transport));
      recorder_->Opened(clock_.SteadyNow() - begin, false);
      const std::scoped_lock lock(mu_);
      lane.channel = std::move(channel);
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(WhileOverloaded(open));
  }
  return absl::OkStatus();
}

void Generator::Mend(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::optional<size_t> broken;
    std::shared_ptr<const Session::Attested> seen;
    {
      std::unique_lock lock(mu_);
      changed_.wait_for(lock, kGlance);
      seen = attested_;
      for (size_t i = 0; i < lanes_.size() && !options_.session_per_request; ++i) {
        if (lanes_[i].channel == nullptr) {
          broken = i;
        }
      }
    }
    if (!broken.has_value()) {
      continue;
    }
    const SteadyTime begin = clock_.SteadyNow();
    Lane& lane = lanes_[*broken];
    absl::StatusOr<std::shared_ptr<const Session::Channel>> opened = absl::UnavailableError("");
    if (seen != nullptr) {
      opened = target_.session->Open(*seen, begin + options_.timeout, lane.transport);
    }
    if (!opened.ok()) {
      // The key may be gone, or the server; either shows at the next attempt.
      if (!Attest(seen.get()).ok()) {
        std::this_thread::sleep_for(kMendPause);
      }
      continue;
    }
    recorder_->Opened(clock_.SteadyNow() - begin, true);
    {
      const std::scoped_lock lock(mu_);
      lane.channel = *std::move(opened);
    }
    Pump();
  }
}

const crypto::PlaintextBytes& Generator::NextRequest() {
  return target_.requests[num_requests_++ % target_.requests.size()];
}

bool Generator::WantsMore(SteadyTime intended) {
  if (!issuing_ || stop_ || (options_.requests == 0 && intended >= end_)) {
    return false;
  }
  if (intended < counted_from_) {
    return true;
  }
  return options_.requests == 0 || num_counted_ < options_.requests;
}

void Generator::Offer(SteadyTime intended) {
  {
    const std::scoped_lock lock(mu_);
    if (!WantsMore(intended)) {
      issuing_ = false;
      changed_.notify_all();
      return;
    }
    num_counted_ += intended >= counted_from_ ? 1U : 0U;
    waiting_.push_back(intended);
  }
  Pump();
}

void Generator::Pump() {
  size_t num_dropped = 0;
  SendWaiting(num_dropped);
  // Whoever kept one in flight gives up on it, and goes on with the next.
  for (; options_.mode == Mode::kConcurrency && num_dropped > 0; --num_dropped) {
    Offer(clock_.SteadyNow());
  }
}

void Generator::SendWaiting(size_t& num_dropped) {
  while (true) {
    std::shared_ptr<const Session::Channel> channel;
    size_t lane = 0;
    SteadyTime intended;
    {
      const std::scoped_lock lock(mu_);
      const SteadyTime now = clock_.SteadyNow();
      while (!waiting_.empty() && waiting_.front() + options_.timeout <= now) {
        if (waiting_.front() >= counted_from_) {
          recorder_->Dropped(waiting_.front(), now);
        }
        waiting_.pop_front();
        ++num_dropped;
        changed_.notify_all();
      }
      if (waiting_.empty() || in_flight_ >= cap_) {
        return;
      }
      if (!options_.session_per_request) {
        const SystemTime today = clock_.SystemNow();
        for (size_t step = 0; step < lanes_.size() && channel == nullptr; ++step) {
          lane = next_lane_;
          next_lane_ = (next_lane_ + 1) % lanes_.size();
          if (lanes_[lane].channel != nullptr && lanes_[lane].channel->expires_at <= today) {
            lanes_[lane].channel = nullptr;  // Mend opens it anew
            changed_.notify_all();
          }
          channel = lanes_[lane].channel;
        }
        if (channel == nullptr) {
          return;
        }
      }
      intended = waiting_.front();
      waiting_.pop_front();
      ++in_flight_;
      if (options_.session_per_request) {
        own_sessions_.push_back(intended);
        offered_.notify_one();
        continue;
      }
    }
    Send(lane, std::move(channel), intended);
  }
}

absl::Status Generator::Judge(const Session::Channel& channel, uint64_t sequence,
                              const absl::StatusOr<channel::SealedAnswer>& sealed,
                              std::optional<channel::PhaseTimes>& phases) const {
  RETURN_IF_ERROR(sealed.status());
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes plaintext,
                   channel.initiator->OpenResponse(sequence, channel.model->manifest.name, *sealed));
  ASSIGN_OR_RETURN(const channel::AnswerView view,
                   channel::ParseAnswer(plaintext.Expose(), channel.model->output_bytes,
                                        options_.phases ? channel::Trailer::kPhases : channel::Trailer::kNone));
  phases = view.phases;
  return view.status;
}

bool Generator::EndsSession(const absl::Status& status) const {
  return !status.ok() && (NextStepAfter(status) == NextStep::kAttest ||
                          (options_.mode == Mode::kConcurrency && IsOfConnection(status)));
}

void Generator::Send(size_t lane, std::shared_ptr<const Session::Channel> channel, SteadyTime intended) {
  Sample sample;
  sample.intended = intended;
  sample.sent = clock_.SteadyNow();
  const absl::StatusOr<channel::SealedRequest> request =
      channel->initiator->Seal(channel->model->manifest.name, NextRequest().Expose());
  if (!request.ok()) {  // it has sealed all that a session may
    const std::scoped_lock lock(mu_);
    lanes_[lane].channel = nullptr;
    waiting_.push_front(intended);
    --in_flight_;
    changed_.notify_all();
    return;
  }
  const uint64_t sequence = request->sequence;
  lanes_[lane].transport->StartInfer(
      *request, sample.sent + options_.timeout,
      [this, lane, sequence, sample, channel](const absl::StatusOr<channel::SealedAnswer>& sealed) mutable {
        sample.status = Judge(*channel, sequence, sealed, sample.phases);
        sample.done = clock_.SteadyNow();
        if (EndsSession(sample.status)) {
          const std::scoped_lock lock(mu_);
          if (lanes_[lane].channel == channel) {
            lanes_[lane].channel = nullptr;
            changed_.notify_all();
          }
        }
        Finish(sample);
      });
}

bool Generator::SendInOwnSession(SteadyTime intended) {
  Sample sample;
  sample.intended = intended;
  sample.sent = clock_.SteadyNow();
  const SteadyTime deadline = sample.sent + options_.timeout;
  Transport& transport = *lanes_[num_requests_ % lanes_.size()].transport;
  const std::shared_ptr<const Session::Attested> under = attested();
  const absl::StatusOr<std::unique_ptr<const Session::Channel>> channel =
      target_.session->Open(*under, deadline, &transport);
  sample.status = channel.status();
  if (channel.ok()) {
    sample.handshake = clock_.SteadyNow() - sample.sent;
    const absl::StatusOr<channel::SealedRequest> request =
        (*channel)->initiator->Seal((*channel)->model->manifest.name, NextRequest().Expose());
    sample.status = request.status();
    if (request.ok()) {
      sample.status = Judge(**channel, request->sequence, transport.Infer(*request, deadline), sample.phases);
    }
  }
  sample.done = clock_.SteadyNow();
  if (!sample.status.ok() && NextStepAfter(sample.status) == NextStep::kAttest) {
    Attest(under.get()).IgnoreError();  // the next one finds out
  }
  Finish(sample);
  return !IsOfConnection(sample.status);
}

void Generator::WorkInOwnSessions(const std::stop_token& stop) {
  Backoff backoff;
  while (!stop.stop_requested()) {
    SteadyTime intended;
    {
      std::unique_lock lock(mu_);
      if (!offered_.wait(lock, stop, [this] { return !own_sessions_.empty(); })) {
        return;
      }
      intended = own_sessions_.front();
      own_sessions_.pop_front();
    }
    if (SendInOwnSession(intended)) {
      backoff = Backoff();
    } else if (options_.mode == Mode::kConcurrency) {
      std::unique_lock lock(mu_);
      offered_.wait_for(lock, stop, backoff.Next({}), [] { return false; });
    }
  }
}

void Generator::Finish(const Sample& sample) {
  if (sample.intended >= counted_from_) {
    recorder_->Record(sample);
  }
  bool ended = false;
  {
    const std::scoped_lock lock(mu_);
    --in_flight_;
    last_done_ = std::max(last_done_, sample.done);
    ended = !issuing_;
    if (ended) {
      changed_.notify_all();
    }
  }
  if (options_.mode == Mode::kConcurrency && !ended) {
    Offer(sample.done);
  } else {
    Pump();
  }
}

// Offers each request at its time, however late it is: what should have been sent before the end is sent, or dropped
// and counted. Sleeps in steps short enough to see a stop.
void Generator::Pace(double rate) {
  prctl(PR_SET_TIMERSLACK, 1);
  Schedule schedule(options_.arrival, rate, options_.seed);
  const SteadyTime begin = counted_from_ - options_.warmup;
  while (true) {
    const SteadyTime intended = begin + schedule.Next();
    const SteadyTime until = options_.requests == 0 ? std::min(intended, end_) : intended;
    for (SteadyTime now = clock_.SteadyNow(); now < until && !stop_; now = clock_.SteadyNow()) {
      std::this_thread::sleep_until(std::min(until, now + kGlance));
    }
    paced_until_ = until;
    Offer(intended);
    const std::scoped_lock lock(mu_);
    if (!issuing_) {
      return;
    }
  }
}

// Until all that was to be sent has ended, or been dropped.
void Generator::AwaitEnd() {
  SteadyTime reported = clock_.SteadyNow();
  while (true) {
    {
      std::unique_lock lock(mu_);
      if (stop_) {
        issuing_ = false;
        waiting_.clear();  // whoever stops it does not wait for what was not sent
      }
      if (!issuing_ && in_flight_ == 0 && waiting_.empty()) {
        return;
      }
      changed_.wait_for(lock, kGlance);
      // At a rate it is Pace that ends: it may be late, and then has requests left whose time was before the end.
      if (options_.mode == Mode::kConcurrency && options_.requests == 0 && clock_.SteadyNow() >= end_) {
        issuing_ = false;
      }
    }
    Pump();
    const SteadyTime now = clock_.SteadyNow();
    if (on_progress_ && now - reported >= kProgress && now >= counted_from_) {
      reported = now;
      on_progress_(recorder_->progress(), now - counted_from_);
    }
  }
}

absl::StatusOr<Measurement> Generator::Run(double level) {
  const bool by_rate = options_.mode == Mode::kRate;
  recorder_ = std::make_unique<Recorder>(options_.mode, level, raw_);
  RETURN_IF_ERROR(OpenLanes());
  {
    const std::scoped_lock lock(mu_);
    counted_from_ = clock_.SteadyNow() + options_.warmup;
    recorder_->Begin(counted_from_);
    end_ = counted_from_ + options_.duration;
    last_done_ = counted_from_;
    paced_until_ = counted_from_;
    cap_ = by_rate ? options_.max_in_flight : static_cast<size_t>(level);
    num_counted_ = 0;
    issuing_ = true;
  }
  std::vector<std::jthread> threads;
  threads.emplace_back([this](const std::stop_token& stop) { Mend(stop); });
  if (options_.session_per_request) {
    for (size_t i = 0; i < std::min(cap_, kMaxOwnSessionThreads); ++i) {
      threads.emplace_back([this](const std::stop_token& stop) { WorkInOwnSessions(stop); });
    }
  }
  const nanoseconds cpu_before = CpuTime();
  if (by_rate) {
    threads.emplace_back([this, level] { Pace(level); });
  } else {
    for (size_t i = 0; i < cap_; ++i) {
      Offer(clock_.SteadyNow());
    }
  }
  AwaitEnd();
  const nanoseconds cpu = CpuTime() - cpu_before;
  for (std::jthread& thread : threads) {
    thread.request_stop();
  }
  threads.clear();
  const SteadyTime now = clock_.SteadyNow();
  SteadyTime end = last_done_;
  if (by_rate) {
    end = std::max(end, std::min(paced_until_, now));  // the time in which so many were to be sent
  }
  const auto total = static_cast<double>((end - (counted_from_ - options_.warmup)).count());
  const auto counted = static_cast<double>((end - counted_from_).count());
  return recorder_->Finish(
      end, nanoseconds(static_cast<int64_t>(static_cast<double>(cpu.count()) * (total > 0 ? counted / total : 1))));
}

}  // namespace shoji::client::load
