// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/lowering.h"
#include "lib/execution/plain_kernels.h"

namespace shoji::execution {
namespace {

// The same bytes under another shape: no step, only another place.
absl::Status LowerReshape(Builder& builder, const graph::Node& node) {
  const Shape& to = builder.graph().values[node.outputs[0]].shape;
  ASSIGN_OR_RETURN(const Place place, builder.Plain(node.inputs[0]));
  ASSIGN_OR_RETURN(const kernels::onednn::Layout layout, kernels::onednn::Layout::Plain(to.dims()));
  builder.SetPlace(node.outputs[0], {place.buffer, layout, place.offset});
  return absl::OkStatus();
}

}  // namespace

absl::Status LowerPlain(Builder& builder, size_t node_index) {
  const graph::Node& node = builder.graph().nodes[node_index];
  if (node.op == graph::Op::kReshape) {
    return LowerReshape(builder, node);
  }
  ASSIGN_OR_RETURN(PlainKernel kernel, MakePlainKernel(builder.graph(), node));
  std::vector<Operand> inputs;
  for (const graph::ValueId input : node.inputs) {
    if (input == graph::kNoValue) {
      inputs.push_back({});
      continue;
    }
    ASSIGN_OR_RETURN(const Place place, builder.Plain(input));
    inputs.push_back({place.buffer, builder.graph().values[input].shape.num_elements(), place.offset});
  }
  ASSIGN_OR_RETURN(const Place output, builder.NewPlainPlace(node.outputs[0]));
  const size_t num_elements = builder.graph().values[node.outputs[0]].shape.num_elements();
  builder.AddPlainStep(node.name, std::move(kernel), std::move(inputs), {output.buffer, num_elements, output.offset});
  builder.SetPlace(node.outputs[0], output);
  return absl::OkStatus();
}

}  // namespace shoji::execution
