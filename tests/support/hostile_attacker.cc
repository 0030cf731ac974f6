// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <cstdio>
#include <iterator>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "tests/support/hostile_service.h"

namespace shoji::testing {
namespace {

namespace pb = internal::v1;

constexpr size_t kMaxControlFile = 4096;
// Of each layer: the answer to the last request, and one before.
constexpr size_t kAnswersKept = 2;

std::string& WordsOf(pb::AttachResponse& answer) {
  return *answer.mutable_execute_reply()->mutable_outputs(0)->mutable_data();
}

}  // namespace

void Attacker::Learn(const std::string& digest, ByteSpan serialized) {
  absl::StatusOr<accelerator::RingLayer> layer = accelerator::ParseRingLayer(serialized);
  if (!layer.ok() || ToString(digest::Sha256(serialized)) != digest) {
    return;
  }
  layer->weight_bytes.clear();
  layer->weight_bytes.shrink_to_fit();
  const absl::MutexLock lock(&mu_);
  layers_.try_emplace(digest, Layer{.shape = *std::move(layer), .answers = {}});
}

bool Attacker::Knows(const std::string& digest) const {
  const absl::MutexLock lock(&mu_);
  return layers_.contains(digest);
}

HostileOrder Attacker::CurrentOrder() const {
  const absl::StatusOr<Bytes> text =
      options_.control_file.empty() ? absl::NotFoundError("") : ReadFile(options_.control_file, kMaxControlFile);
  if (!text.ok()) {
    return options_.order;
  }
  const absl::StatusOr<HostileOrder> order = ParseOrder(ToString(*text));
  if (!order.ok()) {
    std::fprintf(stderr, "shoji-hostile-accelerator: %s: %s\n", options_.control_file.c_str(),
                 std::string(order.status().message()).c_str());
    return {};
  }
  return *order;
}

std::optional<Attack> Attacker::Choose() {
  const HostileOrder order = CurrentOrder();
  if (order.kind == HostileOrder::Kind::kNone || random_() % order.one_in != 0) {
    return std::nullopt;
  }
  return order.kind == HostileOrder::Kind::kOne ? order.attack : AllAttacks()[random_() % AllAttacks().size()];
}

EarlierAnswers Attacker::EarlierThan(const std::string& answer, const Layer& layer) const {
  EarlierAnswers out;
  if (!layer.answers.empty()) {
    out.other_request = &layer.answers.back();
    out.stale = &layer.answers.front();
  }
  for (const auto& [digest, other] : layers_) {
    if (&other == &layer || other.answers.empty()) {
      continue;
    }
    const bool better = out.wrong_layer == nullptr ||
                        (out.wrong_layer->size() != answer.size() && other.answers.back().size() == answer.size());
    out.wrong_layer = better ? &other.answers.back() : out.wrong_layer;
  }
  return out;
}

void Attacker::Remember(Layer& layer, std::string answer) {
  if (layer.answers.size() >= kAnswersKept) {
    memory_ -= layer.answers.front().size();
    layer.answers.pop_front();
  }
  if (answer.size() <= options_.max_memory - memory_) {
    memory_ += answer.size();
    layer.answers.push_back(std::move(answer));
  }
}

void Attacker::Count(std::optional<Attack> attack) {
  ++status_.executions;
  if (attack.has_value()) {
    ++status_.attacks;
    ++status_.of[*attack];
    status_.last = attack;
  }
  if (options_.status_file.empty()) {
    return;
  }
  if (const absl::Status written = WriteFileAtomically(options_.status_file, AsBytes(ToText(status_))); !written.ok()) {
    std::fprintf(stderr, "shoji-hostile-accelerator: %s\n", std::string(written.message()).c_str());
  }
}

Attack Attacker::Corrupt(Attack attack, Layer& layer, const std::vector<uint64_t>& other_ids, Outcome& outcome) {
  pb::AttachResponse& answer = *outcome.answer;
  switch (attack) {
    case Attack::kShort:
    case Attack::kLong:
    case Attack::kHuge:
      CorruptForm(attack, options_.huge_bytes, random_, *answer.mutable_execute_reply());
      return attack;
    case Attack::kLate:
      outcome.late = true;
      return attack;
    case Attack::kNothing:
      outcome.answer.reset();
      return attack;
    case Attack::kWrongId:
      answer.set_id(other_ids.empty() ? answer.id() + 1'000'000 : other_ids[random_() % other_ids.size()]);
      return attack;
    case Attack::kFailure:
      *answer.mutable_failure() = MakeFailure(random_);
      return attack;
    case Attack::kClosedStream:
      outcome.answer.reset();
      outcome.close_stream = true;
      return attack;
    default:
      return CorruptWords(attack, layer.shape, EarlierThan(WordsOf(answer), layer), random_, WordsOf(answer));
  }
}

Attacker::Outcome Attacker::Treat(const std::string& digest, const std::vector<uint64_t>& other_ids,
                                  pb::AttachResponse answer) {
  Outcome outcome;
  outcome.answer = std::move(answer);
  const absl::MutexLock lock(&mu_);
  const auto found = layers_.find(digest);
  if (found == layers_.end()) {
    return outcome;
  }
  std::string honest = WordsOf(*outcome.answer);
  std::optional<Attack> attack = Choose();
  if (attack.has_value()) {
    attack = Corrupt(*attack, found->second, other_ids, outcome);
  }
  Remember(found->second, std::move(honest));
  Count(attack);
  return outcome;
}

}  // namespace shoji::testing
