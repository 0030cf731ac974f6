// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/region_batch.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {

using channel::Phase;

namespace {

// The most by which the time left of two requests of a message differs. More than where they are brought together:
// those who have not quite as long drift apart as time passes.
constexpr int kMaxRatio = 3;

}  // namespace

void RegionBatch::Add(BatchItem& item, quantization::Frame& frame, std::unique_ptr<Pad> pad) {
  auto avoided = std::make_unique<AvoidedSides>();
  auto run = std::make_unique<RegionRun>(parts_, frame, std::move(pad), *avoided);
  members_.push_back({&item, std::move(avoided), std::move(run)});
}

RegionBatch::Members RegionBatch::Alive() {
  Members alive;
  for (Member& member : members_) {
    if (member.item->status.ok()) {
      alive.push_back(&member);
    }
  }
  return alive;
}

std::vector<RunContext*> RegionBatch::RunsOf(const Members& members) {
  std::vector<RunContext*> runs;
  for (const Member* member : members) {
    runs.push_back(&member->item->run);
  }
  return runs;
}

void RegionBatch::Execute() {
  for (size_t step = 0; step < parts_.program.steps().size() && holds_slot_; ++step) {
    const Members alive = Alive();
    if (alive.empty()) {
      return;
    }
    FailLate(alive);
    RunStep(step);
  }
}

void RegionBatch::RunStep(size_t step) {
  Members here;
  Members there;
  for (Member* member : Alive()) {
    (member->run->OffloadOf(step) == nullptr ? here : there).push_back(member);
  }
  FailLate(there);
  std::erase_if(there, [](const Member* member) { return !member->item->status.ok(); });
  if (!there.empty()) {
    const Members back = RunThere(step, there);
    here.insert(here.end(), back.begin(), back.end());
  }
  RunHere(step, here);
}

void RegionBatch::RunHere(size_t step, const Members& members) {
  std::vector<quantization::Frame*> frames;
  Members running;
  for (Member* member : members) {
    if (member->item->status.ok()) {
      running.push_back(member);
      frames.push_back(&member->run->frame());
    }
  }
  const BatchTimer timer(parts_.clock, RunsOf(running), Phase::kCompute);
  if (!parts_.program.RunStepBatch(step, frames).ok()) {
    for (const Member* member : running) {
      member->item->status = ErrorOf(Reason::kInternal);
    }
  }
}

RegionBatch::Members RegionBatch::RunThere(size_t step, const Members& members) {
  {
    const BatchTimer timer(parts_.clock, RunsOf(members), Phase::kMask);
    for (const Member* member : members) {
      member->run->Prepare(step);
    }
  }
  parts_.slots.Release();
  holds_slot_ = false;
  std::vector<absl::StatusOr<LayerAnswers>> answers = Exchange(step, members);
  TakeSlotAgain();
  Members back;
  const BatchTimer timer(parts_.clock, RunsOf(members), Phase::kVerify);
  for (size_t i = 0; i < members.size(); ++i) {
    Member& member = *members[i];
    if (!member.item->status.ok()) {
      continue;
    }
    if (!answers[i].ok()) {
      member.run->OffloadOf(step)->Miss();
    }
    const bool received = answers[i].ok() && member.run->Receive(step, *answers[i]);
    if (!received) {
      back.push_back(&member);
    }
  }
  return back;
}

void RegionBatch::FailLate(const Members& members) {
  std::vector<BatchItem*> items;
  for (const Member* member : members) {
    items.push_back(member->item);
  }
  FailExpired(items, parts_.clock.SteadyNow());
}

// Until the last deadline: whoever's own has come by then has failed.
void RegionBatch::TakeSlotAgain() {
  const Members alive = Alive();
  std::vector<BatchItem*> items;
  for (const Member* member : alive) {
    items.push_back(member->item);
  }
  const BatchTimer timer(parts_.clock, RunsOf(alive), Phase::kQueue);
  holds_slot_ = parts_.slots.Acquire(LatestDeadlineOf(items)).ok();
  FailLate(alive);
}

size_t RegionBatch::NumTogether(std::span<const size_t> order, const Members& members, size_t most) const {
  const SteadyTime now = parts_.clock.SteadyNow();
  const auto left = [&](size_t i) { return members[order[i]]->item->run.deadline - now; };
  size_t num = 1;
  while (num < std::min(most, order.size()) && left(num) / kMaxRatio <= left(0)) {
    ++num;
  }
  return num;
}

std::vector<absl::StatusOr<LayerAnswers>> RegionBatch::Exchange(size_t step, const Members& members) {
  const BatchTimer timer(parts_.clock, RunsOf(members), Phase::kOffloadWait);
  const size_t most = members.front()->run->OffloadOf(step)->max_batch();
  std::vector<absl::StatusOr<LayerAnswers>> all(members.size());
  // Whoever has the least time left first: the others wait for a small part of theirs.
  std::vector<size_t> order(members.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return members[i]->item->run.deadline; });
  for (std::span<const size_t> rest = order; !rest.empty();) {
    const std::span<const size_t> now = rest.first(NumTogether(rest, members, most));
    rest = rest.subspan(now.size());
    Members together;
    for (const size_t i : now) {
      together.push_back(members[i]);
    }
    absl::StatusOr<std::vector<LayerAnswers>> answers = ExchangeTogether(step, together);
    for (size_t k = 0; k < now.size(); ++k) {
      if (answers.ok()) {
        all[now[k]] = std::move((*answers)[k]);
      } else {
        all[now[k]] = answers.status();
      }
    }
  }
  return all;
}

// None of them asks whom one of them avoids; what they learn together each remembers.
absl::StatusOr<std::vector<LayerAnswers>> RegionBatch::ExchangeTogether(size_t step, const Members& members) {
  AvoidedSides avoided;
  for (const Member* member : members) {
    for (size_t side = 0; side < avoided.size(); ++side) {
      avoided[side].insert((*member->avoided)[side].begin(), (*member->avoided)[side].end());
    }
  }
  absl::StatusOr<std::vector<LayerAnswers>> answers = SendAndReceive(step, members, avoided);
  for (const Member* member : members) {
    *member->avoided = avoided;
  }
  return answers;
}

// Under the earliest deadline, so that each can still compute the layer here.
absl::StatusOr<std::vector<LayerAnswers>> RegionBatch::SendAndReceive(size_t step, const Members& members,
                                                                      AvoidedSides& avoided) {
  const LayerOffload& offload = *members.front()->run->OffloadOf(step);
  SteadyTime deadline = SteadyTime::max();
  for (const Member* member : members) {
    deadline = std::min(deadline, member->item->run.deadline);
  }
  // A trace names one request.
  const Execution execution(deadline, members.front()->item->run.traceparent, members.size());
  const auto message = [&](size_t i) { return members[i]->run->TakeMessage(step); };
  std::vector<LayerAnswer> masked;
  absl::StatusOr<std::vector<LayerAnswer>> random = std::vector<LayerAnswer>();
  if (!offload.uses_shares()) {
    ASSIGN_OR_RETURN(masked, offload.Send(0, message, execution, avoided[0]));
  } else {
    // Both at a time. Neither operator waits for, or hears of, the other.
    const std::jthread other([&] {
      random = offload.Send(
          1, [&](size_t i) { return members[i]->run->RandomMessage(step); }, execution, avoided[1]);
    });
    ASSIGN_OR_RETURN(masked, offload.Send(0, message, execution, avoided[0]));
  }
  RETURN_IF_ERROR(random.status());
  std::vector<LayerAnswers> answers(members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    answers[i].masked = std::move(masked[i]);
    if (!random->empty()) {
      answers[i].random = std::move((*random)[i]);
    }
  }
  return answers;
}

}  // namespace shoji::enclave
