// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/evidence_queue.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/check.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/status.h"

namespace shoji::enclave {
namespace {

// Advice to those who are refused: no shorter, so that a crowd does not come back at once.
constexpr std::chrono::milliseconds kShortestRetry(100);

}  // namespace

EvidenceQueue::EvidenceQueue(Options options, EvidenceProvider& provider, const Clock& clock)
    : options_(std::move(options)),
      interval_(std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::duration<double>(1 / options_.limits.quotes_per_second))),
      provider_(provider),
      clock_(clock) {
  SHOJI_CHECK(options_.limits.max_waiting >= 1 && options_.limits.max_waiting <= kMaxWaiting);
}

EvidenceQueue::~EvidenceQueue() {
  if (thread_.joinable()) {
    thread_.request_stop();
    {
      const absl::MutexLock lock(&mu_);
      changed_.SignalAll();
    }
    thread_.join();
  }
  std::vector<Waiting> left;
  {
    const absl::MutexLock lock(&mu_);
    left.swap(waiting_);
  }
  for (const Waiting& waiting : left) {
    waiting.waiter->Done(ErrorOf(Reason::kDraining));
  }
}

void EvidenceQueue::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

absl::Status EvidenceQueue::Add(const attest::Nonce& nonce, SteadyTime deadline, Waiter& waiter) {
  const absl::MutexLock lock(&mu_);
  if (waiting_.size() + in_quote_.size() - num_left_ >= options_.limits.max_waiting) {
    ++counts_.refused;
    const auto until_next = UntilNextLocked(clock_.SteadyNow()) + last_took_;
    return rpc::WithRetryAfter(ErrorOf(Reason::kOverloaded),
                               std::max(kShortestRetry, std::chrono::ceil<std::chrono::milliseconds>(until_next)));
  }
  waiting_.push_back({nonce, deadline, &waiter});
  if (waiting_.size() == 1) {
    changed_.Signal();  // with others here the thread wakes by itself
  }
  return absl::OkStatus();
}

bool EvidenceQueue::Leave(const Waiter& waiter) {
  const auto is_meant = [&waiter](const Waiting& waiting) { return waiting.waiter == &waiter; };
  const absl::MutexLock lock(&mu_);
  if (std::erase_if(waiting_, is_meant) > 0) {
    return true;
  }
  const auto in_quote = std::find_if(in_quote_.begin(), in_quote_.end(), is_meant);
  if (in_quote == in_quote_.end()) {
    return false;
  }
  in_quote->waiter = nullptr;
  ++num_left_;
  return true;
}

std::chrono::nanoseconds EvidenceQueue::UntilNextLocked(SteadyTime now) const {
  if (!begun_.has_value()) {
    return std::chrono::nanoseconds(0);
  }
  return std::max<std::chrono::nanoseconds>(*begun_ + interval_ - now, std::chrono::nanoseconds(0));
}

std::vector<EvidenceQueue::Waiting> EvidenceQueue::TakeLateLocked(SteadyTime now) {
  const auto late = std::stable_partition(waiting_.begin(), waiting_.end(),
                                          [now](const Waiting& waiting) { return now < waiting.deadline; });
  std::vector<Waiting> out(late, waiting_.end());
  waiting_.erase(late, waiting_.end());
  return out;
}

absl::StatusOr<EvidenceQueue::Quote> EvidenceQueue::Make(std::span<const Waiting> waiting,
                                                         std::vector<attest::NoncePath>& paths) {
  attest::Nonce nonce = waiting.front().nonce;
  if (waiting.size() > 1) {
    std::vector<attest::Nonce> nonces;
    nonces.reserve(waiting.size());
    for (const Waiting& one : waiting) {
      nonces.push_back(one.nonce);
    }
    attest::NonceTree tree = attest::BuildNonceTree(nonces);
    nonce = tree.root;
    paths = std::move(tree.paths);
  }
  Enclave::Claim claim = options_.claim(nonce);
  ASSIGN_OR_RETURN(attest::Evidence evidence, provider_.Generate(claim.report_data));
  return Quote{.manifest = std::move(claim.manifest), .evidence = std::move(evidence)};
}

std::chrono::nanoseconds EvidenceQueue::Step() {
  std::vector<Waiting> late;
  std::vector<Waiting> served;
  {
    const absl::MutexLock lock(&mu_);
    const SteadyTime now = clock_.SteadyNow();
    late = TakeLateLocked(now);
    if (!waiting_.empty() && UntilNextLocked(now).count() == 0) {
      in_quote_.swap(waiting_);
      served = in_quote_;
      begun_ = now;
    }
  }
  for (const Waiting& waiting : late) {
    waiting.waiter->Done(ErrorOf(Reason::kDeadline));
  }
  if (served.empty()) {
    const absl::MutexLock lock(&mu_);
    return UntilNextLocked(clock_.SteadyNow());
  }
  const SteadyTime begun = clock_.SteadyNow();
  std::vector<attest::NoncePath> paths;
  absl::StatusOr<Quote> quote = Make(served, paths);
  {
    const absl::MutexLock lock(&mu_);
    last_took_ = clock_.SteadyNow() - begun;
    ++(quote.ok() ? counts_.quotes : counts_.failed);
  }
  if (options_.after_quote) {
    options_.after_quote(quote.status());
  }
  Deliver(std::move(quote), std::move(paths));
  const absl::MutexLock lock(&mu_);
  return UntilNextLocked(clock_.SteadyNow());
}

void EvidenceQueue::Deliver(absl::StatusOr<Quote> quote, std::vector<attest::NoncePath> paths) {
  std::vector<Waiting> served;
  {
    // From here on nobody leaves who has not left.
    const absl::MutexLock lock(&mu_);
    served.swap(in_quote_);
    num_left_ = 0;
    const auto num_here =
        std::count_if(served.begin(), served.end(), [](const auto& w) { return w.waiter != nullptr; });
    counts_.answers += quote.ok() ? static_cast<uint64_t>(num_here) : 0;
  }
  const auto shared = quote.ok() ? std::make_shared<const Quote>(*std::move(quote)) : nullptr;
  for (size_t i = 0; i < served.size(); ++i) {
    if (served[i].waiter == nullptr) {
      continue;
    }
    if (shared == nullptr) {
      served[i].waiter->Done(ErrorOf(Reason::kInternal));
      continue;
    }
    Issued issued = {.quote = shared, .path = std::nullopt};
    if (!paths.empty()) {
      issued.path = std::move(paths[i]);
    }
    served[i].waiter->Done(std::move(issued));
  }
}

void EvidenceQueue::Loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const std::chrono::nanoseconds until_next = Step();
    const absl::MutexLock lock(&mu_);
    if (stop.stop_requested()) {
      return;
    }
    if (waiting_.empty()) {
      changed_.Wait(&mu_);
    } else if (until_next.count() > 0) {
      changed_.WaitWithTimeout(&mu_, absl::FromChrono(until_next));
    }
  }
}

EvidenceQueue::Counts EvidenceQueue::counts() {
  const absl::MutexLock lock(&mu_);
  return counts_;
}

}  // namespace shoji::enclave
