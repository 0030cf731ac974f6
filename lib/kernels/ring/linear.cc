// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/linear.h"

#include <string>

#include "lib/base/status_macros.h"
#include "lib/kernels/ring/blocked_kernel.h"
#include "lib/kernels/ring/ops.h"
#include "lib/tensor/shape.h"

namespace shoji::kernels::ring {
namespace {

// What the input of one tile may take of scratch memory. Only windows that no network has reach so far.
constexpr double kMaxTileBytes = 1U << 30;
constexpr double kTilePixels = 16;

absl::Status CheckGeometry(const ConvGeometry& g, size_t num_weights) {
  if (g.batch != 1) {
    return absl::InvalidArgumentError("a ring kernel works on one item, not on " + std::to_string(g.batch));
  }
  if (g.group < 1) {
    return absl::InvalidArgumentError("a convolution in " + std::to_string(g.group) + " groups");
  }
  ASSIGN_OR_RETURN(const Shape x, Shape::Create({1, g.in_channels, g.input[0], g.input[1]}));
  ASSIGN_OR_RETURN(const Shape y, Shape::Create({1, g.out_channels, g.output[0], g.output[1]}));
  ASSIGN_OR_RETURN(const Shape w,
                   Shape::Create({g.out_channels, g.in_channels / g.group, g.window.kernel[0], g.window.kernel[1]}));
  RETURN_IF_ERROR(MakeConvGeometry(x, w, y, g.group, g.window).status());
  if (x.num_elements() == 0 || y.num_elements() == 0 || w.num_elements() == 0) {
    return absl::InvalidArgumentError("a convolution of " + x.ToString() + " to " + y.ToString() + " has no values");
  }
  if (w.num_elements() != num_weights) {
    return absl::InvalidArgumentError(std::to_string(num_weights) + " weights where there are " + w.ToString());
  }
  const double reach = kTilePixels * static_cast<double>(g.window.strides[1]) + static_cast<double>(g.window.Span(1));
  const double words = reach * static_cast<double>(g.window.kernel[0]) * static_cast<double>(g.in_channels + 3);
  if (words * sizeof(uint32_t) > kMaxTileBytes) {
    return absl::InvalidArgumentError("a window that reaches over " + std::to_string(g.window.Span(1)) + " positions");
  }
  return absl::OkStatus();
}

const Ops& WordOps(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return WordOpsPortable();
    case Isa::kAvx2:
      return WordOpsAvx2();
    case Isa::kAvx512Vnni:
      return WordOpsAvx512();
  }
  return WordOpsPortable();
}

// The fastest loops for layers that fill their steps.
const Ops& StepOps(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return PairOpsPortable();
    case Isa::kAvx2:
      return PairOpsAvx2();
    case Isa::kAvx512Vnni:
      return LimbOpsAvx512Vnni();
  }
  return PairOpsPortable();
}

// A layer of one position reads each weight once, from memory, where wide ones take twice the time. AVX2 multiplies
// words fast enough to keep up; SSE2 does not.
bool WantsStepOps(const ConvGeometry& g, Isa isa) {
  const bool one_position = g.output[0] == 1 && g.output[1] == 1;
  return BlockedKernel::Takes(g, StepOps(isa)) && !(one_position && isa == Isa::kAvx2);
}

}  // namespace

const char* NameOf(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512Vnni:
      return "avx512_vnni";
  }
  return "unknown";
}

// The compiler's own test asks the operating system too, whether it saves these registers.
bool IsSupported(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return static_cast<bool>(__builtin_cpu_supports("avx2"));
    case Isa::kAvx512Vnni:
      return static_cast<bool>(__builtin_cpu_supports("avx512f")) &&
             static_cast<bool>(__builtin_cpu_supports("avx512bw")) &&
             static_cast<bool>(__builtin_cpu_supports("avx512dq")) &&
             static_cast<bool>(__builtin_cpu_supports("avx512vl")) &&
             static_cast<bool>(__builtin_cpu_supports("avx512vnni"));
  }
  return false;
}

Isa BestIsa() {
  for (const Isa isa : {Isa::kAvx512Vnni, Isa::kAvx2}) {
    if (IsSupported(isa)) {
      return isa;
    }
  }
  return Isa::kPortable;
}

void LinearKernel::RunBatch(Ring ring, std::span<const BatchRun> runs) const {
  for (const BatchRun& run : runs) {
    Run(ring, run.input, {0, geometry().output[0]}, run.words, run.scratch);
  }
}

absl::StatusOr<std::unique_ptr<LinearKernel>> LinearKernel::Create(const ConvGeometry& geometry,
                                                                   std::span<const int8_t> weights, Isa isa,
                                                                   int num_threads) {
  if (!IsSupported(isa)) {
    return absl::UnimplementedError("this CPU cannot run the ring kernels for " + std::string(NameOf(isa)));
  }
  RETURN_IF_ERROR(CheckGeometry(geometry, weights.size()));
  if (DepthwiseKernel::Takes(geometry)) {
    return std::make_unique<DepthwiseKernel>(geometry, weights, WordOps(isa));
  }
  if (WantsStepOps(geometry, isa)) {
    return std::make_unique<BlockedKernel>(geometry, weights, StepOps(isa), num_threads);
  }
  return std::make_unique<BlockedKernel>(geometry, weights, WordOps(isa), num_threads);
}

}  // namespace shoji::kernels::ring
