// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/hostile_attacks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/base/check.h"

namespace shoji::testing {
namespace {

namespace ring = kernels::ring;

constexpr std::array<std::pair<Attack, const char*>, 18> kNames = {{
    {Attack::kFlippedBit, "flipped_bit"},
    {Attack::kOffByOne, "off_by_one"},
    {Attack::kCompensatingPair, "compensating_pair"},
    {Attack::kOffBy2To24, "off_by_2_to_24"},
    {Attack::kOffBy2To31, "off_by_2_to_31"},
    {Attack::kOtherRequest, "other_request"},
    {Attack::kStale, "stale"},
    {Attack::kWrongLayer, "wrong_layer"},
    {Attack::kZeros, "zeros"},
    {Attack::kScaled, "scaled"},
    {Attack::kShort, "short"},
    {Attack::kLong, "long"},
    {Attack::kHuge, "huge"},
    {Attack::kLate, "late"},
    {Attack::kNothing, "nothing"},
    {Attack::kWrongId, "wrong_id"},
    {Attack::kFailure, "failure"},
    {Attack::kClosedStream, "closed_stream"},
}};

constexpr std::array<Attack, kNames.size()> kAll = [] {
  std::array<Attack, kNames.size()> all = {};
  for (size_t i = 0; i < all.size(); ++i) {
    all[i] = kNames[i].first;
  }
  return all;
}();

uint64_t Below(std::mt19937_64& random, uint64_t bound) { return random() % bound; }

// The values of an answer, numbered without their padding.
class Words {
 public:
  Words(const accelerator::RingLayer& layer, std::string& bytes) : layer_(layer), bytes_(bytes) {}

  uint64_t count() const {
    const kernels::ConvGeometry& g = layer_.geometry;
    return static_cast<uint64_t>(g.output[0] * g.output[1] * g.out_channels);
  }
  uint32_t Get(uint64_t i) const {
    uint32_t value = 0;
    for (size_t byte = 0; byte < ring::WordBytes(layer_.ring); ++byte) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes_[At(i) + byte])) << (8 * byte);
    }
    return value;
  }
  void Set(uint64_t i, uint32_t value) {
    for (size_t byte = 0; byte < ring::WordBytes(layer_.ring); ++byte) {
      bytes_[At(i) + byte] = static_cast<char>(value >> (8 * byte));
    }
  }
  void Add(uint64_t i, uint32_t addend) { Set(i, Get(i) + addend); }

 private:
  size_t At(uint64_t i) const {
    const auto channels = static_cast<uint64_t>(layer_.geometry.out_channels);
    const uint64_t position = i / channels;
    return (position * ring::PaddedChannels(layer_.geometry.out_channels) + i % channels) *
           ring::WordBytes(layer_.ring);
  }

  const accelerator::RingLayer& layer_;
  std::string& bytes_;
};

// Cut off, or repeated, to the size of `words`.
void Replace(const std::string* with, std::string& words) {
  if (with == nullptr || with->empty()) {
    return;
  }
  for (size_t i = 0; i < words.size(); i += with->size()) {
    const size_t size = std::min(with->size(), words.size() - i);
    words.replace(i, size, *with, 0, size);
  }
}

void Apply(Attack attack, const EarlierAnswers& earlier, bool narrow, std::mt19937_64& random, Words& values,
           std::string& words) {
  const uint64_t one = Below(random, values.count());
  const uint64_t other = (one + 1 + Below(random, std::max<uint64_t>(values.count() - 1, 1))) % values.count();
  const uint32_t sign = Below(random, 2) == 0 ? 1U : ~0U;
  switch (attack) {
    case Attack::kOffByOne:
      return values.Add(one, sign);
    case Attack::kCompensatingPair:
      values.Add(one, sign);
      return values.Add(other, 0U - sign);
    case Attack::kOffBy2To24:
      return values.Add(one, sign * (narrow ? 1U << 23 : 1U << 24));
    case Attack::kOffBy2To31:
      return values.Add(one, sign * (narrow ? 1U << 22 : 1U << 31));
    case Attack::kOtherRequest:
      return Replace(earlier.other_request, words);
    case Attack::kStale:
      return Replace(earlier.stale, words);
    case Attack::kWrongLayer:
      return Replace(earlier.wrong_layer, words);
    case Attack::kZeros:
      return std::fill(words.begin(), words.end(), '\0');
    case Attack::kScaled:
      for (uint64_t i = 0; i < values.count(); ++i) {
        values.Add(i, values.Get(i));
      }
      return;
    default:
      return;  // kFlippedBit: below
  }
}

}  // namespace

std::span<const Attack> AllAttacks() { return kAll; }

const char* NameOf(Attack attack) {
  const auto* found = std::find_if(kNames.begin(), kNames.end(), [&](const auto& row) { return row.first == attack; });
  return found == kNames.end() ? "unknown" : found->second;
}

std::optional<Attack> ParseAttack(std::string_view name) {
  const auto* found = std::find_if(kNames.begin(), kNames.end(), [&](const auto& row) { return row.second == name; });
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

bool ChangesOnlyWords(Attack attack) { return attack < Attack::kShort; }

Attack CorruptWords(Attack attack, const accelerator::RingLayer& layer, const EarlierAnswers& earlier,
                    std::mt19937_64& random, std::string& words) {
  SHOJI_CHECK(ChangesOnlyWords(attack) && words.size() == layer.OutputShape().num_elements());
  const std::string right = words;
  Words values(layer, words);
  Apply(attack, earlier, layer.ring == ring::Ring::k24, random, values, words);
  std::string was = right;
  const Words before(layer, was);
  for (uint64_t i = 0; i < values.count(); ++i) {
    if (values.Get(i) != before.Get(i)) {
      return attack;
    }
  }
  const uint64_t i = Below(random, values.count());
  values.Set(i, values.Get(i) ^ (1U << Below(random, static_cast<uint64_t>(ring::Bits(layer.ring)))));
  return Attack::kFlippedBit;
}

void CorruptForm(Attack attack, size_t huge_bytes, std::mt19937_64& random, internal::v1::ExecuteReply& reply) {
  internal::v1::Tensor& output = *reply.mutable_outputs(0);
  std::string& data = *output.mutable_data();
  const bool is_short = attack == Attack::kShort;
  if (attack == Attack::kHuge) {
    data.resize(huge_bytes);
    output.clear_dims();
    output.add_dims(static_cast<int64_t>(data.size()));
    return;
  }
  switch (Below(random, 3)) {
    case 0:  // the extents stay as they were
      data.resize(is_short ? Below(random, data.size()) : data.size() + 1 + Below(random, 4096));
      return;
    case 1: {  // consistent, and not what was asked for: a row less or more
      const size_t row = data.size() / static_cast<size_t>(output.dims(0));
      data.resize(is_short ? data.size() - row : data.size() + row);
      output.set_dims(0, output.dims(0) + (is_short ? -1 : 1));
      return;
    }
    default:  // no output, or two
      if (is_short) {
        reply.clear_outputs();
      } else {
        *reply.add_outputs() = internal::v1::Tensor(output);
      }
      return;
  }
}

internal::v1::Failure MakeFailure(std::mt19937_64& random) {
  constexpr std::array<uint32_t, 8> kCodes = {0, 3, 4, 8, 13, 14, 16, 4'000'000'000U};
  internal::v1::Failure failure;
  failure.set_code(kCodes[Below(random, kCodes.size())]);
  failure.set_message(Below(random, 2) == 0 ? "" : std::string(100'000, '\x01'));
  return failure;
}

}  // namespace shoji::testing
