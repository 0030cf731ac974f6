// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a hostile accelerator does to the answer of a linear layer. Pure functions of a seeded generator; the process
// around them is hostile_accelerator_main.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "gpu_worker/ring_layer.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::testing {

enum class Attack : uint8_t {
  // Words of the right size that are wrong.
  kFlippedBit,        // one, of one value
  kOffByOne,          // +1 or -1 on one value, mod the ring
  kCompensatingPair,  // +1 on one value, -1 on another
  kOffBy2To24,        // +2^24 or -2^24 on one value; in Z_2^24, where that is nothing, 2^23
  kOffBy2To31,        // +2^31, or -2^31, which is the same; in Z_2^24 +-2^22
  kOtherRequest,      // the last answer that the same layer gave to another request
  kStale,             // an older one
  kWrongLayer,        // the right answer of another layer, of the same size where there is one
  kZeros,
  kScaled,  // twice the right answer, mod the ring
  // Answers of another form.
  kShort,
  kLong,
  kHuge,  // over what a message may have
  // Answers that are not.
  kLate,     // after the request's timeout
  kNothing,  // never
  kWrongId,  // under the id of another request, or of none
  kFailure,
  kClosedStream,  // the stream ends instead
};
// All of them, in order.
std::span<const Attack> AllAttacks();
// "flipped_bit", "off_by_one", ...
const char* NameOf(Attack attack);
std::optional<Attack> ParseAttack(std::string_view name);

// Whether `attack` leaves an answer of the right form under the right id.
bool ChangesOnlyWords(Attack attack);

// Answers that were given before, for replay; each null where there is none. Not of this execution.
struct EarlierAnswers {
  const std::string* other_request = nullptr;
  const std::string* stale = nullptr;
  const std::string* wrong_layer = nullptr;
};

// Makes `words`, the right answer of `layer`, wrong as `attack` says, which is one that ChangesOnlyWords. At least one
// value, padding not counted, is another afterwards: where the attack has no effect (a replay of nothing, or of the
// same; twice zero) a bit is flipped instead. Returns what was really done.
Attack CorruptWords(Attack attack, const accelerator::RingLayer& layer, const EarlierAnswers& earlier,
                    std::mt19937_64& random, std::string& words);

// The same for kShort and kLong, on the answer's tensor: bytes, extents or outputs too few or too many. kHuge fills it
// to `huge_bytes`.
void CorruptForm(Attack attack, size_t huge_bytes, std::mt19937_64& random, internal::v1::ExecuteReply& reply);

// Of any kind, known or not.
internal::v1::Failure MakeFailure(std::mt19937_64& random);

}  // namespace shoji::testing
