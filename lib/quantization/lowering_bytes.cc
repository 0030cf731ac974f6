// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that only move bytes.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"
#include "lib/quantization/lowering.h"
#include "lib/quantization/move.h"

namespace shoji::quantization {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;

// `form` with the parameters of `like`, of whose channels its own are those from `channel` on.
ByteTensor Like(ByteTensor form, const ByteTensor& like, size_t channel) {
  form.parameters = like.parameters;
  form.scales.clear();
  if (!like.scales.empty()) {
    const auto first = like.scales.begin() + static_cast<std::ptrdiff_t>(channel);
    form.scales.assign(first, first + static_cast<std::ptrdiff_t>(form.channels));
  }
  return form;
}

}  // namespace

absl::Status Lowering::LowerMaxPool(size_t index) {
  const Node& node = graph_.nodes[index];
  ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, execution::PoolGeometryOf(graph_, node));
  const Slot input = UseBytes(node.inputs[0]);
  ASSIGN_OR_RETURN(const Slot output, NewBytes(node.outputs[0]));
  const ByteKernels& kernels = kernels_;
  Do([&kernels, loop = PoolLoopOf(geometry), input, output](ArenaFrame& frame) {
    kernels.max_pool(loop, 0, loop.output[0], frame.bytes(input).data(), frame.bytes(output).data());
  });
  return absl::OkStatus();
}

absl::Status Lowering::LowerMove(size_t index) {
  const Node& node = graph_.nodes[index];
  std::vector<MovePart> parts = MovePartsOf(graph_, node);
  ASSIGN_OR_RETURN(const Slot output, NewBytes(node.outputs[0]));
  const ByteTensor to = *compiled_->layout->slots[output].form;
  if (node.op == Op::kPad) {
    Do([output, zero = to.parameters.zero_point](ArenaFrame& frame) {
      const std::span<uint8_t> y = frame.bytes(output);
      std::fill(y.begin(), y.end(), zero);
    });
  }
  size_t channel = 0;  // of the result, where the next input of a Concat along the channels begins
  for (size_t i = 0; i < parts.size(); ++i) {
    Slot input = UseBytes(node.inputs[i]);
    if (node.op == Op::kConcat) {
      const ByteTensor from = *compiled_->layout->slots[input].form;
      input = Requantized(input, Like(from, to, channel));
      channel += from.channels < to.channels ? static_cast<size_t>(from.channels) : 0;
    }
    Do([runs = std::move(parts[i]), input, output](ArenaFrame& frame) {
      const uint8_t* x = frame.bytes(input).data();
      uint8_t* y = frame.bytes(output).data();
      for (const ByteRun& run : runs) {
        std::memcpy(y + run.to, x + run.from, run.size);
      }
    });
  }
  return absl::OkStatus();
}

// The bytes in `from` as those of `form`, another meaning of the same layout.
Slot Lowering::Requantized(Slot from, const ByteTensor& form) {
  const ByteTensor before = *compiled_->layout->slots[from].form;
  if (before.parameters == form.parameters && before.scales == form.scales) {
    return from;
  }
  SlotInfo info;
  info.form = form;
  info.size_bytes = PaddedBytes(form);
  WideChain chain(kernels_, static_cast<size_t>(form.channels));
  chain.SetFirst({from, Walk::kWhole, before});
  WideChain::Result result;
  result.bytes = NewSlot(info);
  result.form = form;
  result.clamp.zero_point = form.parameters.zero_point;
  chain.SetResult(result);
  const Slot scratch = NewScratch(chain.scratch_floats() * sizeof(float));
  Do([chain = std::move(chain), scratch, pixels = NumPixels(form)](ArenaFrame& frame) {
    chain.Run(frame, 0, pixels, frame.floats(scratch));
  });
  return *result.bytes;
}

}  // namespace shoji::quantization
