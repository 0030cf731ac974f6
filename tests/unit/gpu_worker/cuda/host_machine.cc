// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/gpu_worker/cuda/host_machine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <variant>

#include "gpu_worker/cuda/open_elements.h"

namespace shoji::accelerator::open_segment {
namespace {

template <typename Args>
void Run(const Args& args) {
  for (uint32_t i = 0; i < args.count; ++i) {
    Element(args, i);
  }
}

// One part of k for one column of all rows.
void MultiplyColumn(const MultiplyArgs& args, uint32_t position, uint32_t split, uint32_t column,
                    std::vector<float>& sums) {
  const float* a = args.a + OffsetAt(args.batch, 0, position);
  const float* b = args.b + OffsetAt(args.batch, 1, position);
  const Corner corner = args.taps == nullptr ? Corner() : CornerOf(args.window, column);
  std::fill(sums.begin(), sums.end(), 0.0F);
  const uint32_t end = std::min(args.k, (split + 1) * args.k_per_split);
  for (uint32_t k = split * args.k_per_split; k < end; ++k) {
    const float right =
        args.taps == nullptr ? b[size_t{k} * args.n + column] : CellAt(args.window, b, corner, args.taps[k]);
    for (uint32_t row = 0; row < args.m; ++row) {
      sums[row] += a[size_t{k} * args.m + row] * right;
    }
  }
}

void Run(const MultiplyArgs& args) {
  std::vector<float> sums(args.m);
  for (uint32_t split = 0; split < args.splits; ++split) {
    for (uint32_t position = 0; position < args.count; ++position) {
      for (uint32_t column = 0; column < args.n; ++column) {
        MultiplyColumn(args, position, split, column, sums);
        for (uint32_t row = 0; row < args.m; ++row) {
          const uint32_t i = (position * args.m + row) * args.n + column;
          args.y[size_t{split} * args.count * args.m * args.n + i] =
              args.splits > 1
                  ? sums[row]
                  : Finished(args.epilogue, ChannelOf(i, args.inner, args.channels), i, args.factor * sums[row]);
        }
      }
    }
  }
}

void Run(const DenseArgs& args) {
  for (uint32_t i = 0; i < args.outputs; ++i) {
    float sum = 0;
    for (uint32_t k = 0; k < args.inputs; ++k) {
      sum += args.w[size_t{i} * args.inputs + k] * args.x[k];
    }
    args.y[i] = Finished(args.epilogue, i, i, args.factor * sum);
  }
}

void Run(const ReduceArgs& args) {
  for (uint32_t i = 0; i < args.count; ++i) {
    float out = ReductionStart(args);
    for (uint32_t term = 0; term < args.num_terms; ++term) {
      out = ReducedBy(args, out, TermOf(args, OffsetAt(args.outputs, 0, i), term));
    }
    FinishReduction(args, i, out);
  }
}

void Run(const SoftmaxArgs& args) {
  for (uint32_t row = 0; row < args.outer * args.inner; ++row) {
    const size_t begin = size_t{row / args.inner} * args.extent * args.inner + row % args.inner;
    float most = std::numeric_limits<float>::lowest();
    for (uint32_t i = 0; i < args.extent; ++i) {
      most = MaxOf(most, args.x[begin + size_t{i} * args.inner]);
    }
    float sum = 0;
    for (uint32_t i = 0; i < args.extent; ++i) {
      sum += std::exp(args.x[begin + size_t{i} * args.inner] - most);
    }
    for (uint32_t i = 0; i < args.extent; ++i) {
      args.y[begin + size_t{i} * args.inner] = std::exp(args.x[begin + size_t{i} * args.inner] - most) / sum;
    }
  }
}

}  // namespace

HostMachine::HostMachine(const OpenPlan& plan)
    : plan_(plan), constants_(plan.constant_bytes / sizeof(float)), arena_(plan.arena_bytes / sizeof(float)) {
  for (const OpenPlan::Constant& constant : plan.constants) {
    std::copy(constant.tensor->bytes().begin(), constant.tensor->bytes().end(),
              reinterpret_cast<uint8_t*>(constants_.data()) + constant.offset);
  }
}

std::vector<Tensor> HostMachine::Run(std::span<const Tensor> inputs) {
  std::fill(arena_.begin(), arena_.end(), std::numeric_limits<float>::quiet_NaN());
  auto* const arena = reinterpret_cast<uint8_t*>(arena_.data());
  const auto* const constants = reinterpret_cast<const uint8_t*>(constants_.data());
  const Addresses at(plan_.buffers, arena, constants);
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::copy(inputs[i].bytes().begin(), inputs[i].bytes().end(),
              reinterpret_cast<uint8_t*>(at.Out(plan_.input_places[i])));
  }
  for (const Kernel& kernel : plan_.Bind(arena, constants)) {
    std::visit([](const auto& args) { open_segment::Run(args); }, kernel);
  }
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < plan_.outputs.size(); ++i) {
    Tensor output(plan_.outputs[i].type, plan_.outputs[i].shape);
    const auto* const from = reinterpret_cast<const uint8_t*>(at.In(plan_.output_places[i]));
    std::copy_n(from, output.size_bytes(), output.mutable_bytes().begin());
    outputs.push_back(std::move(output));
  }
  return outputs;
}

}  // namespace shoji::accelerator::open_segment
