// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/region_run.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "enclave_worker/core/received_rows.h"
#include "enclave_worker/core/row_threads.h"
#include "lib/base/check.h"
#include "lib/crypto/constant_time.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::enclave {

using kernels::ring::ActivationRowBytes;
using kernels::ring::LimbBytes;
using kernels::ring::WordBytes;
using kernels::ring::WordsBytes;
using quantization::LinearStep;

// One check of one answer, from the moment its message is built.
struct RegionRun::Check {
  explicit Check(ChallengeKeeper& from)
      : keeper(from), draw(from.Current()), input(draw->challenge()), output(draw->challenge()) {}

  ChallengeKeeper& keeper;
  std::shared_ptr<ChallengeKeeper::Draw> draw;
  InputSum input;
  OutputSum output;
};

struct RegionRun::Prepared {
  Prepared(size_t of_step, OutgoingLayer outgoing) : step(of_step), message(std::move(outgoing)) {}

  size_t step;
  std::optional<OutgoingLayer> message;  // gone once it was sent for the first time
  std::vector<Check> checks;
};

namespace {

const LinearStep& LinearOf(const quantization::Program& program, size_t step) {
  return std::get<LinearStep>(program.steps()[step].kind);
}

// [band][check]
template <typename Sum, typename Checks>
std::vector<std::vector<Sum>> SumsFor(size_t num_bands, const Checks& checks) {
  std::vector<std::vector<Sum>> sums(num_bands);
  for (std::vector<Sum>& band : sums) {
    band.reserve(checks.size());
    for (const auto& check : checks) {
      band.emplace_back(check.draw->challenge());
    }
  }
  return sums;
}

}  // namespace

RegionRun::RegionRun(const RegionParts& parts, quantization::Frame& frame, std::unique_ptr<Pad> pad,
                     AvoidedSides& avoided)
    : parts_(parts), frame_(frame), pad_(std::move(pad)), avoided_(avoided) {
  const bool shares = std::any_of(parts.offloads.begin(), parts.offloads.end(),
                                  [](const auto& offload) { return offload != nullptr && offload->uses_shares(); });
  if (shares) {
    share_key_ = PadKey::Draw();
  }
}

RegionRun::~RegionRun() = default;

const LayerOffload* RegionRun::OffloadOf(size_t step) const {
  const LayerOffload* offload = step < parts_.offloads.size() ? parts_.offloads[step].get() : nullptr;
  return offload != nullptr && offload->uses_pads() && pad_ == nullptr ? nullptr : offload;
}

const PadKey* RegionRun::KeyFor(const LayerOffload& offload) const {
  if (!offload.blinded()) {
    return nullptr;
  }
  return offload.uses_pads() ? &pad_->key() : &*share_key_;
}

void RegionRun::Prepare(size_t step) {
  prepared_ = next_ != nullptr && next_->step == step ? std::move(next_) : PrepareFromFrame(step);
  next_ = nullptr;
}

OutgoingLayer RegionRun::TakeMessage(size_t step) {
  if (!prepared_->message.has_value()) {
    return MessageFromFrame(step, OffloadOf(step)->form());
  }
  OutgoingLayer first = *std::move(prepared_->message);
  prepared_->message.reset();
  return first;
}

OutgoingLayer RegionRun::RandomMessage(size_t step) const {
  return MessageFromFrame(step, OutgoingLayer::Form::kRandom);
}

bool RegionRun::Receive(size_t step, LayerAnswers& answers) {
  const bool received = Unmask(step, answers);
  if (answers.random.has_value()) {  // the two together are what the layer made
    answers.random->words.Wipe();
  }
  if (!received) {
    // What was built for the next layer from a wrong answer was not sent; it is built anew from the right one.
    next_ = nullptr;
  }
  return received;
}

std::unique_ptr<RegionRun::Prepared> RegionRun::StartMessage(size_t step) const {
  const LayerOffload& offload = *OffloadOf(step);
  auto prepared = std::make_unique<Prepared>(
      step, OutgoingLayer(offload.codec(), offload.form(), KeyFor(offload), offload.index()));
  for (const std::unique_ptr<ChallengeKeeper>& keeper : offload.keepers()) {
    prepared->checks.emplace_back(*keeper);
  }
  return prepared;
}

std::unique_ptr<RegionRun::Prepared> RegionRun::PrepareFromFrame(size_t step) const {
  std::unique_ptr<Prepared> prepared = StartMessage(step);
  const LinearStep& linear = LinearOf(parts_.program, step);
  const kernels::ConvGeometry& geometry = linear.layer.geometry;
  const size_t row_bytes = ActivationRowBytes(geometry.input[1], geometry.in_channels);
  const std::span<const uint8_t> q = frame_.bytes(linear.input);
  const size_t num_bands = NumBands(geometry.input[0], row_bytes, parts_.num_threads);
  std::vector<std::vector<InputSum>> sums = SumsFor<InputSum>(num_bands, prepared->checks);
  ForEachBand(geometry.input[0], num_bands, [&](size_t band, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const std::span<const uint8_t> values = q.subspan(static_cast<size_t>(row) * row_bytes, row_bytes);
      prepared->message->AddRow(row, values);
      for (InputSum& sum : sums[band]) {
        sum.AddRow(row, values);
      }
    }
  });
  for (const std::vector<InputSum>& band : sums) {
    for (size_t i = 0; i < band.size(); ++i) {
      prepared->checks[i].input.Add(band[i]);
    }
  }
  return prepared;
}

OutgoingLayer RegionRun::MessageFromFrame(size_t step, OutgoingLayer::Form form) const {
  const LayerOffload& offload = *OffloadOf(step);
  const LinearStep& linear = LinearOf(parts_.program, step);
  const kernels::ConvGeometry& geometry = linear.layer.geometry;
  const size_t row_bytes = ActivationRowBytes(geometry.input[1], geometry.in_channels);
  const std::span<const uint8_t> q = frame_.bytes(linear.input);
  OutgoingLayer message(offload.codec(), form, KeyFor(offload), offload.index());
  for (int64_t row = 0; row < geometry.input[0]; ++row) {
    message.AddRow(row, q.subspan(static_cast<size_t>(row) * row_bytes, row_bytes));
  }
  return message;
}

std::optional<size_t> RegionRun::FusedNext(size_t step) const {
  const LinearStep& linear = LinearOf(parts_.program, step);
  if (!linear.layer.quantized_output || OffloadOf(step + 1) == nullptr ||
      LinearOf(parts_.program, step + 1).input != linear.output) {
    return std::nullopt;
  }
  return step + 1;
}

ByteSpan RegionRun::PadWords(const LayerOffload& offload, const LayerAnswers& answers) const {
  if (offload.uses_pads()) {
    return pad_->product(offload.index());
  }
  return answers.random.has_value() ? answers.random->words.bytes() : ByteSpan();
}

bool RegionRun::Unmask(size_t step, const LayerAnswers& answers) {
  Prepared& prepared = *prepared_;
  const LayerOffload& offload = *OffloadOf(step);
  const LinearStep& linear = LinearOf(parts_.program, step);
  const std::optional<size_t> next_step = FusedNext(step);
  std::unique_ptr<Prepared> next = next_step.has_value() ? StartMessage(*next_step) : nullptr;

  const ReceivedRows rows(linear, offload.codec(), answers.masked.words.bytes(), PadWords(offload, answers), frame_);
  const size_t num_bands = NumBands(rows.num_rows(), rows.values_per_row(), parts_.num_threads);
  std::vector<std::vector<OutputSum>> output_sums = SumsFor<OutputSum>(num_bands, prepared.checks);
  const std::vector<Check> nothing;
  std::vector<std::vector<InputSum>> input_sums =
      SumsFor<InputSum>(num_bands, next != nullptr ? next->checks : nothing);
  ForEachBand(rows.num_rows(), num_bands, [&](size_t band, int64_t begin, int64_t end) {
    rows.Receive(begin, end, output_sums[band], [&](int64_t row, std::span<const uint8_t> values) {
      if (next == nullptr) {
        return;
      }
      next->message->AddRow(row, values);
      for (InputSum& sum : input_sums[band]) {
        sum.AddRow(row, values);
      }
    });
  });
  for (size_t band = 0; band < num_bands; ++band) {
    for (size_t i = 0; i < prepared.checks.size(); ++i) {
      prepared.checks[i].output.Add(output_sums[band][i]);
    }
    for (size_t i = 0; next != nullptr && i < next->checks.size(); ++i) {
      next->checks[i].input.Add(input_sums[band][i]);
    }
  }
  if (!Judge(step, answers)) {
    return false;
  }
  next_ = std::move(next);
  return true;
}

bool RegionRun::Judge(size_t step, const LayerAnswers& answers) {
  bool right = true;
  bool wrong = false;
  for (Check& check : prepared_->checks) {
    const ChallengeKeeper::Verdict verdict = check.keeper.Judge(*check.draw, check.output, check.input);
    right = right && verdict == ChallengeKeeper::Verdict::kRight;
    wrong = wrong || verdict == ChallengeKeeper::Verdict::kWrong;
  }
  if (wrong) {
    AccuseLiars(step, answers);
  }
  return right;
}

void RegionRun::AccuseLiars(size_t step, const LayerAnswers& answers) {
  const LayerOffload& offload = *OffloadOf(step);
  if (!answers.random.has_value()) {
    avoided_[0].insert(answers.masked.from);
    offload.Accuse(*answers.masked.from);
    return;
  }
  // Two operators answered: what each should have said is computed here, and only the liar is held to it.
  const quantization::LinearLayer& layer = offload.layer();
  const auto accuse_if_wrong = [&](size_t side, OutgoingLayer::Form form, const LayerAnswer& answer) {
    const size_t num_limbs = WordBytes(layer.ring);
    crypto::PlaintextBytes limbs(LimbBytes(layer.geometry, num_limbs));
    const size_t row_bytes = limbs.size() / static_cast<size_t>(layer.geometry.input[0]);
    const LinearStep& linear = LinearOf(parts_.program, step);
    const size_t q_bytes = ActivationRowBytes(layer.geometry.input[1], layer.geometry.in_channels);
    for (int64_t row = 0; row < layer.geometry.input[0]; ++row) {
      const auto at = static_cast<size_t>(row);
      const std::span<uint8_t> out = limbs.ExposeMutable().subspan(at * row_bytes, row_bytes);
      if (form == OutgoingLayer::Form::kRandom) {
        offload.codec().RandomRow(*share_key_, offload.index(), row, out);
      } else {
        offload.codec().MaskRow(*share_key_, offload.index(), row,
                                frame_.bytes(linear.input).subspan(at * q_bytes, q_bytes), out);
      }
    }
    crypto::PlaintextBytes expected(WordsBytes(layer.geometry, layer.ring));
    crypto::PlaintextBytes scratch(offload.kernel().scratch_bytes(num_limbs));
    offload.kernel().Run(layer.ring, {limbs.Expose(), num_limbs, 0}, {0, layer.geometry.output[0]},
                         expected.ExposeMutable(), scratch.ExposeMutable());
    if (!crypto::ConstantTimeEquals(expected.Expose(), answer.words.bytes())) {
      avoided_[side].insert(answer.from);
      offload.Accuse(*answer.from);
    }
  };
  accuse_if_wrong(0, OutgoingLayer::Form::kMasked, answers.masked);
  accuse_if_wrong(1, OutgoingLayer::Form::kRandom, *answers.random);
}

}  // namespace shoji::enclave
