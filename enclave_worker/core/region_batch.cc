// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/region_batch.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {

using channel::Phase;

void RegionBatch::Add(BatchItem& item, quantization::Frame& frame, std::unique_ptr<Pad> pad) {
  members_.push_back({&item, std::make_unique<RegionRun>(parts_, frame, std::move(pad), avoided_)});
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
    RunStep(step);
  }
}

void RegionBatch::RunStep(size_t step) {
  Members here;
  Members there;
  for (Member* member : Alive()) {
    (member->run->OffloadOf(step) == nullptr ? here : there).push_back(member);
  }
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

// Until the last deadline: whoever's own has come by then has failed.
void RegionBatch::TakeSlotAgain() {
  const Members alive = Alive();
  std::vector<BatchItem*> items;
  for (const Member* member : alive) {
    items.push_back(member->item);
  }
  const BatchTimer timer(parts_.clock, RunsOf(alive), Phase::kQueue);
  holds_slot_ = parts_.slots.Acquire(LatestDeadlineOf(items)).ok();
  FailExpired(items, parts_.clock.SteadyNow());
}

std::vector<absl::StatusOr<LayerAnswers>> RegionBatch::Exchange(size_t step, const Members& members) {
  const BatchTimer timer(parts_.clock, RunsOf(members), Phase::kOffloadWait);
  const size_t most = members.front()->run->OffloadOf(step)->max_batch();
  std::vector<absl::StatusOr<LayerAnswers>> all;
  all.reserve(members.size());
  for (size_t begin = 0; begin < members.size(); begin += most) {
    const std::span<Member* const> together = std::span(members).subspan(begin, std::min(most, members.size() - begin));
    absl::StatusOr<std::vector<LayerAnswers>> answers = ExchangeTogether(step, together);
    for (size_t i = 0; i < together.size(); ++i) {
      if (answers.ok()) {
        all.emplace_back(std::move((*answers)[i]));
      } else {
        all.emplace_back(answers.status());
      }
    }
  }
  return all;
}

// Under the earliest deadline, so that each can still compute the layer here.
absl::StatusOr<std::vector<LayerAnswers>> RegionBatch::ExchangeTogether(size_t step, std::span<Member* const> members) {
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
    ASSIGN_OR_RETURN(masked, offload.Send(0, message, execution, avoided_[0]));
  } else {
    // Both at a time. Neither operator waits for, or hears of, the other.
    const std::jthread other([&] {
      random = offload.Send(
          1, [&](size_t i) { return members[i]->run->RandomMessage(step); }, execution, avoided_[1]);
    });
    ASSIGN_OR_RETURN(masked, offload.Send(0, message, execution, avoided_[0]));
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
