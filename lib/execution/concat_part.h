// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Concatenation without copies: values computed where their concatenation wants them. Private to this folder.
#pragma once

#include <cstddef>
#include <optional>

#include "lib/execution/fusion.h"
#include "lib/graph/graph.h"
#include "lib/kernels/onednn/layout.h"

namespace shoji::execution {

// Where a value lies in the output of a concatenation of channels.
struct ConcatPart {
  size_t node = 0;                // the Concat
  kernels::onednn::Layout whole;  // of its output
  size_t offset = 0;              // in bytes
};

// Of `value` in `layout`, in the first Concat that reads it; none where the parts' bytes do not follow each other.
std::optional<ConcatPart> ConcatPartOf(const graph::Graph& graph, const UseTable& uses, graph::ValueId value,
                                       const kernels::onednn::Layout& layout);

// Of input `input` of the Concat `node`, whose output lies in `whole`; requires that some ConcatPartOf gave `whole`.
ConcatPart InputPart(const graph::Graph& graph, size_t node, size_t input, const kernels::onednn::Layout& whole);

}  // namespace shoji::execution
