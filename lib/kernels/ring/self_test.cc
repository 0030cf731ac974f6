// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What goes wrong in 8-bit layers, by experience, and what brings it out:
//
//   pairs of products added with 16-bit saturation     255 * 127 twice, in every layer
//   sums stored through float32                        sums beyond 2^24 that are no multiples of 2^8: 255 and 254
//                                                      against 127 and -127 of one sign, in more than 1040 terms
//   inputs or weights taken for the other signedness   255 and 254, -127
//   a border, a tile's or vector's rest, a group       odd extents, asymmetric pads, dilations, strides
#include "lib/kernels/ring/self_test.h"

#include <algorithm>
#include <array>
#include <string>

#include "lib/base/status_macros.h"

namespace shoji::kernels::ring {
namespace {

enum class Values : uint8_t {
  kExtreme,  // inputs 255 and 254, weights 127 and -127, of one sign for an output channel
  kRandom,
};

struct Case {
  const char* name = "";
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t group = 1;
  Extents input = {};
  Window window = {};
  Values values = Values::kExtreme;
};

constexpr Window kPoint = {};
constexpr Window kSame3x3 = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};

const std::array kCases = {
    Case{"a row of 1301 terms", 1301, 19, 1, {1, 1}, kPoint, Values::kExtreme},
    Case{"3x3 over 132 channels", 132, 17, 1, {3, 5}, kSame3x3, Values::kExtreme},
    Case{"points of 1044 terms", 1044, 5, 1, {1, 15}, kPoint, Values::kExtreme},
    Case{"two groups of 1044 terms", 2088, 10, 2, {1, 3}, kPoint, Values::kExtreme},
    Case{"depthwise 33x33", 17, 17, 17, {33, 34}, {{33, 33}, {1, 1}, {1, 1}, {0, 1, 0, 0}}, Values::kExtreme},
    Case{"an image of 3 channels", 3, 17, 1, {9, 31}, kSame3x3, Values::kRandom},
    Case{"one channel to one", 1, 1, 1, {5, 7}, kSame3x3, Values::kRandom},
    Case{"5 channels, 7x7, stride 2", 5, 18, 1, {11, 13}, {{7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}}, Values::kRandom},
    Case{"asymmetric pads and strides", 8, 40, 1, {9, 10}, {{3, 5}, {3, 2}, {1, 1}, {2, 0, 1, 3}}, Values::kRandom},
    Case{"dilated", 8, 20, 1, {9, 10}, {{3, 3}, {1, 1}, {2, 3}, {2, 3, 2, 3}}, Values::kRandom},
    Case{"points, stride 2", 20, 64, 1, {7, 9}, {{1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}}, Values::kRandom},
    Case{"7 columns, 70 channels", 16, 70, 1, {3, 7}, kSame3x3, Values::kRandom},
    Case{"29 columns", 8, 34, 1, {2, 29}, kSame3x3, Values::kRandom},
    Case{"groups of 8 to 18", 24, 54, 3, {5, 6}, kSame3x3, Values::kRandom},
    Case{"groups of 3 to 5", 9, 15, 3, {5, 6}, kSame3x3, Values::kRandom},
    Case{"depthwise, 2 outputs a channel", 6, 12, 6, {6, 6}, kSame3x3, Values::kRandom},
    Case{"depthwise, stride 2", 21, 21, 21, {9, 8}, {{3, 3}, {2, 2}, {1, 1}, {0, 0, 1, 1}}, Values::kRandom},
    Case{"depthwise, dilated", 16, 16, 16, {9, 9}, {{3, 3}, {1, 1}, {2, 2}, {2, 2, 2, 2}}, Values::kRandom},
};

// Numbers that are the same in every run and on every CPU (splitmix64).
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}
  uint32_t Next() {
    state_ += 0x9E3779B97F4A7C15U;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return static_cast<uint32_t>(z >> 32);
  }

 private:
  uint64_t state_;
};

ConvGeometry GeometryOf(const Case& c) {
  ConvGeometry g;
  g.in_channels = c.in_channels;
  g.out_channels = c.out_channels;
  g.group = c.group;
  g.input = c.input;
  g.window = c.window;
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t padded = c.input[axis] + c.window.pads[axis] + c.window.pads[axis + 2];
    g.output[axis] = (padded - c.window.Span(axis)) / c.window.strides[axis] + 1;
  }
  return g;
}

std::vector<int8_t> MakeWeights(const ConvGeometry& g, Values values, Numbers& numbers) {
  const int64_t terms = g.in_channels / g.group * g.window.kernel[0] * g.window.kernel[1];
  std::vector<int8_t> weights;
  weights.reserve(static_cast<size_t>(g.out_channels * terms));
  for (int64_t o = 0; o < g.out_channels; ++o) {
    for (int64_t i = 0; i < terms; ++i) {
      const int random = static_cast<int>(numbers.Next() >> 24) - 128;
      const int extreme = o % 2 == 0 ? 127 : -127;
      weights.push_back(static_cast<int8_t>(values == Values::kExtreme ? extreme : random));
    }
  }
  return weights;
}

// All bytes, those between and behind the channels too, which must not matter.
std::vector<uint8_t> MakeLimbs(const ConvGeometry& g, size_t num_limbs, Values values, Numbers& numbers) {
  std::vector<uint8_t> limbs(LimbBytes(g, num_limbs));
  for (uint8_t& byte : limbs) {
    const uint32_t random = numbers.Next() >> 24;
    byte = static_cast<uint8_t>(values == Values::kExtreme ? 254 + random % 2 : random);
  }
  return limbs;
}

// The ring elements, [height][width][channel] without padding.
std::vector<uint32_t> Elements(const ConvGeometry& g, const LinearInput& input) {
  std::vector<uint32_t> out;
  for (int64_t h = 0; h < g.input[0]; ++h) {
    const uint8_t* row = input.limbs.data() + static_cast<size_t>(h) * LimbRowBytes(g, input.num_limbs);
    for (int64_t w = 0; w < g.input[1]; ++w) {
      for (int64_t c = 0; c < g.in_channels; ++c) {
        uint32_t element = 0;
        for (size_t limb = 0; limb < input.num_limbs; ++limb) {
          const size_t at = limb * PlaneBytes(g.input[1], g.in_channels) +
                            static_cast<size_t>(w) * PaddedChannels(g.in_channels) + static_cast<size_t>(c);
          element |= uint32_t{row[at]} << (8 * limb);
        }
        out.push_back(element);
      }
    }
  }
  return out;
}

// One output, by the definition of convolution.
uint32_t Expected(const ConvGeometry& g, std::span<const uint32_t> elements, std::span<const int8_t> weights,
                  uint32_t padding, const std::array<int64_t, 3>& at) {
  const int64_t inputs = g.in_channels / g.group;
  const int64_t first = at[2] / (g.out_channels / g.group) * inputs;
  const int64_t taps = g.window.kernel[0] * g.window.kernel[1];
  uint32_t sum = 0;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t h = at[0] * g.window.strides[0] - g.window.pads[0] + tap / g.window.kernel[1] * g.window.dilations[0];
    const int64_t w = at[1] * g.window.strides[1] - g.window.pads[1] + tap % g.window.kernel[1] * g.window.dilations[1];
    const bool inside = h >= 0 && h < g.input[0] && w >= 0 && w < g.input[1];
    for (int64_t i = 0; i < inputs; ++i) {
      const auto weight =
          static_cast<uint32_t>(int32_t{weights[static_cast<size_t>((at[2] * inputs + i) * taps + tap)]});
      const uint32_t element =
          inside ? elements[static_cast<size_t>((h * g.input[1] + w) * g.in_channels + first + i)] : padding;
      sum += weight * element;
    }
  }
  return sum;
}

std::vector<uint8_t> ExpectedWords(const ConvGeometry& g, std::span<const int8_t> weights, Ring ring,
                                   const LinearInput& input) {
  const std::vector<uint32_t> elements = Elements(g, input);
  std::vector<uint8_t> words;
  words.reserve(WordsBytes(g, ring));
  for (int64_t h = 0; h < g.output[0]; ++h) {
    for (int64_t w = 0; w < g.output[1]; ++w) {
      for (int64_t c = 0; c < static_cast<int64_t>(PaddedChannels(g.out_channels)); ++c) {
        const uint32_t word =
            c < g.out_channels ? Expected(g, elements, weights, input.padding, {h, w, c}) : uint32_t{0};
        for (size_t byte = 0; byte < WordBytes(ring); ++byte) {
          words.push_back(static_cast<uint8_t>(word >> (8 * byte)));
        }
      }
    }
  }
  return words;
}

struct Form {
  size_t num_limbs;
  Ring ring;
  uint8_t padding;
};
constexpr std::array<Form, 5> kForms = {
    {{1, Ring::k32, 0}, {1, Ring::k32, 255}, {1, Ring::k24, 131}, {3, Ring::k24, 0}, {4, Ring::k32, 0}}};

absl::Status TestCase(const std::string& where, const Case& c, const Form& form, const KernelRunner& run) {
  const ConvGeometry g = GeometryOf(c);
  Numbers numbers(static_cast<uint64_t>(c.in_channels) << 8 | form.num_limbs);
  const std::vector<int8_t> weights = MakeWeights(g, c.values, numbers);
  const std::vector<uint8_t> limbs = MakeLimbs(g, form.num_limbs, c.values, numbers);
  const LinearInput input = {limbs, form.num_limbs, form.padding};
  const absl::StatusOr<std::vector<uint8_t>> words = run(g, weights, form.ring, input);
  if (!words.ok()) {
    return absl::InternalError(where + ": " + std::string(words.status().message()));
  }
  if (*words != ExpectedWords(g, weights, form.ring, input)) {
    return absl::InternalError(where + ": the result is wrong");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> RunKernel(Isa isa, const ConvGeometry& geometry, std::span<const int8_t> weights,
                                               Ring ring, const LinearInput& input) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LinearKernel> kernel, LinearKernel::Create(geometry, weights, isa));
  std::vector<uint8_t> words(WordsBytes(geometry, ring), 0xA5);
  std::vector<uint8_t> scratch(kernel->scratch_bytes(input.num_limbs), 0x5A);
  // In two parts, as callers with threads do.
  const int64_t middle = geometry.output[0] / 2;
  const size_t first = static_cast<size_t>(middle) * WordRowBytes(geometry, ring);
  kernel->Run(ring, input, {0, middle}, std::span(words).first(first), scratch);
  kernel->Run(ring, input, {middle, geometry.output[0]}, std::span(words).subspan(first), scratch);
  return words;
}

}  // namespace

absl::Status TestKernel(std::string_view name, const KernelRunner& run) {
  for (const Case& c : kCases) {
    for (const Form& form : kForms) {
      const std::string where = "ring kernels for " + std::string(name) + ", " + c.name + ", " +
                                std::to_string(form.num_limbs) + " limbs, ring 2^" + std::to_string(Bits(form.ring)) +
                                ", padding " + std::to_string(form.padding);
      RETURN_IF_ERROR(TestCase(where, c, form, run));
    }
  }
  return absl::OkStatus();
}

absl::Status SelfTest(Isa isa) {
  return TestKernel(NameOf(isa),
                    [isa](const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
                          const LinearInput& input) { return RunKernel(isa, geometry, weights, ring, input); });
}

}  // namespace shoji::kernels::ring
