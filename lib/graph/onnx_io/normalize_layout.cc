// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that move elements and compute nothing.

#include <algorithm>
#include <numeric>
#include <utility>

#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

absl::Status EmitReshape(NodeScope& node, std::vector<int64_t> dims) {
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  if (shape.num_elements() != node.shape(0).num_elements()) {
    return node.Invalid("an input of shape " + node.shape(0).ToString() + " cannot take shape " + shape.ToString());
  }
  return node.Emit(Op::kReshape, {}, std::move(shape), 1);
}

// The axes of Squeeze and Unsqueeze: an attribute before operator set 13, an input since.
absl::StatusOr<std::vector<int64_t>> AxesOf(const NodeScope& node) {
  if (node.opset() < 13) {
    return node.Ints("axes", {});
  }
  return node.has_input(1) ? node.ConstantInts(1) : std::vector<int64_t>();
}

// Replaces the -1 in `dims` by what is left of `total` elements.
absl::Status InferDimension(const NodeScope& node, size_t total, std::vector<int64_t>& dims) {
  const auto inferred = std::find(dims.begin(), dims.end(), int64_t{-1});
  if (inferred == dims.end()) {
    return absl::OkStatus();
  }
  int64_t known = 1;
  for (const int64_t dim : dims) {
    const absl::StatusOr<int64_t> product = CheckedMul(known, dim == -1 ? 1 : dim);
    if (!product.ok() || dim < -1) {
      return node.Invalid("extent " + std::to_string(dim) + " in its shape is out of range");
    }
    known = *product;
  }
  if (std::count(dims.begin(), dims.end(), int64_t{-1}) != 1 || known == 0 ||
      static_cast<int64_t>(total) % known != 0) {
    return node.Invalid("the extent -1 in its shape cannot be inferred from an input of shape " +
                        node.shape(0).ToString());
  }
  *inferred = static_cast<int64_t>(total) / known;
  return absl::OkStatus();
}

}  // namespace

absl::Status NormalizeReshape(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, node.ConstantInts(1));
  ASSIGN_OR_RETURN(const int64_t allow_zero, node.Int("allowzero", 0));
  const Shape& x = node.shape(0);
  for (size_t i = 0; i < dims.size() && allow_zero == 0; ++i) {
    if (dims[i] == 0) {
      if (i >= x.rank()) {
        return node.Invalid("the extent 0 in its shape has no counterpart in an input of shape " + x.ToString());
      }
      dims[i] = x[i];
    }
  }
  RETURN_IF_ERROR(InferDimension(node, x.num_elements(), dims));
  return EmitReshape(node, std::move(dims));
}

absl::Status NormalizeFlatten(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  const auto rank = static_cast<int64_t>(x.rank());
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 1));
  if (axis < -rank || axis > rank) {
    return node.Invalid("axis " + std::to_string(axis) + " is out of range for " + std::to_string(rank) +
                        " dimensions");
  }
  axis += axis < 0 ? rank : 0;
  int64_t rows = 1;
  int64_t columns = 1;
  for (int64_t i = 0; i < rank; ++i) {
    int64_t& side = i < axis ? rows : columns;
    const absl::StatusOr<int64_t> product = CheckedMul(side, x[static_cast<size_t>(i)]);
    if (!product.ok()) {
      return node.Invalid("its input of shape " + x.ToString() + " cannot be flattened");
    }
    side = *product;
  }
  return EmitReshape(node, {rows, columns});
}

absl::Status NormalizeSqueeze(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, AxesOf(node));
  ASSIGN_OR_RETURN(axes, node.Axes(std::move(axes), x.rank()));
  std::vector<int64_t> dims;
  for (size_t i = 0; i < x.rank(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    if (named && x[i] != 1) {
      return node.Invalid("axis " + std::to_string(i) + " of an input of shape " + x.ToString() +
                          " cannot be squeezed");
    }
    if (!named && (!axes.empty() || x[i] != 1)) {
      dims.push_back(x[i]);
    }
  }
  return EmitReshape(node, std::move(dims));
}

absl::Status NormalizeUnsqueeze(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, AxesOf(node));
  const size_t rank = x.rank() + axes.size();
  if (rank > Shape::kMaxRank) {
    return node.Invalid("a tensor of rank " + std::to_string(rank) + "; at most 8 is supported");
  }
  ASSIGN_OR_RETURN(axes, node.Axes(std::move(axes), rank));
  std::vector<int64_t> dims = x.dims();
  for (const int64_t axis : axes) {
    dims.insert(dims.begin() + axis, 1);
  }
  return EmitReshape(node, std::move(dims));
}

absl::Status NormalizeTranspose(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  std::vector<int64_t> reversed(x.rank());
  std::iota(reversed.rbegin(), reversed.rend(), int64_t{0});
  TransposeAttributes attributes;
  ASSIGN_OR_RETURN(attributes.permutation, node.Ints("perm", reversed));
  std::vector<int64_t> sorted = attributes.permutation;
  std::sort(sorted.begin(), sorted.end());
  std::reverse(reversed.begin(), reversed.end());
  if (sorted != reversed) {
    return node.Invalid("attribute `perm` is not a permutation of the axes of an input of shape " + x.ToString());
  }
  std::vector<int64_t> dims;
  for (const int64_t axis : attributes.permutation) {
    dims.push_back(x[static_cast<size_t>(axis)]);
  }
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.Emit(Op::kTranspose, std::move(attributes), std::move(shape), 1);
}

absl::Status NormalizeConcat(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(std::max<size_t>(1, node.num_inputs())));
  std::vector<int64_t> dims = node.shape(0).dims();
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 1));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, dims.size()));
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    std::vector<int64_t> other = node.shape(i).dims();
    const bool same_rank = other.size() == dims.size();
    const int64_t extent =
        same_rank ? std::exchange(other[static_cast<size_t>(axis)], dims[static_cast<size_t>(axis)]) : 0;
    if (!same_rank || other != dims) {
      return node.Invalid("inputs of shapes " + node.shape(0).ToString() + " and " + node.shape(i).ToString() +
                          " cannot be joined along axis " + std::to_string(axis));
    }
    dims[static_cast<size_t>(axis)] += extent;
  }
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.Emit(Op::kConcat, AxisAttributes{axis}, std::move(shape), node.num_inputs());
}

// Extents split in two and put in another order: both ways between depth and space. `split` and `permuted` are the
// shapes before and after the transposition.
namespace {

struct Blocks {
  int64_t n = 0, c = 0, h = 0, w = 0, size = 0;
};

absl::StatusOr<Blocks> BlocksOf(const NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(const int64_t size, node.Int("blocksize", 0));
  if (x.rank() != 4 || size < 1 || size > Shape::kMaxElements) {
    return node.Invalid("blocks of " + std::to_string(size) + " in an input of shape " + x.ToString());
  }
  return Blocks{x[0], x[1], x[2], x[3], size};
}

absl::Status EmitBlocks(NodeScope& node, std::vector<int64_t> split, std::vector<int64_t> permutation,
                        std::vector<int64_t> result) {
  std::vector<int64_t> permuted;
  permuted.reserve(permutation.size());
  for (const int64_t axis : permutation) {
    permuted.push_back(split[static_cast<size_t>(axis)]);
  }
  ASSIGN_OR_RETURN(const Shape split_shape, node.MakeShape(std::move(split)));
  ASSIGN_OR_RETURN(const Shape permuted_shape, node.MakeShape(std::move(permuted)));
  ASSIGN_OR_RETURN(const Shape shape, node.MakeShape(std::move(result)));
  ASSIGN_OR_RETURN(KnownValue * blocks, node.EmitStep("blocks", Op::kReshape, {}, split_shape, {node.inputs()[0]}));
  ASSIGN_OR_RETURN(
      KnownValue * moved,
      node.EmitStep("moved", Op::kTranspose, TransposeAttributes{std::move(permutation)}, permuted_shape, {blocks}));
  return node.EmitLast(Op::kReshape, {}, shape, {moved});
}

}  // namespace

absl::Status NormalizeDepthToSpace(NodeScope& node) {
  ASSIGN_OR_RETURN(const Blocks b, BlocksOf(node));
  ASSIGN_OR_RETURN(const std::string mode, node.String("mode", "DCR"));
  if (mode != "DCR" && mode != "CRD") {
    return node.Invalid("attribute `mode` is " + Quoted(mode));
  }
  if (b.c % b.size != 0 || b.c / b.size % b.size != 0) {
    return node.Invalid("blocks of " + std::to_string(b.size) + " in an input of shape " + node.shape(0).ToString());
  }
  const int64_t depth = b.c / b.size / b.size;
  const std::vector<int64_t> result = {b.n, depth, b.h * b.size, b.w * b.size};
  return mode == "DCR" ? EmitBlocks(node, {b.n, b.size, b.size, depth, b.h, b.w}, {0, 3, 4, 1, 5, 2}, result)
                       : EmitBlocks(node, {b.n, depth, b.size, b.size, b.h, b.w}, {0, 1, 4, 2, 5, 3}, result);
}

absl::Status NormalizeSpaceToDepth(NodeScope& node) {
  ASSIGN_OR_RETURN(const Blocks b, BlocksOf(node));
  if (b.h % b.size != 0 || b.w % b.size != 0) {
    return node.Invalid("blocks of " + std::to_string(b.size) + " in an input of shape " + node.shape(0).ToString());
  }
  const int64_t rows = b.h / b.size;
  const int64_t columns = b.w / b.size;
  return EmitBlocks(node, {b.n, b.c, rows, b.size, columns, b.size}, {0, 3, 5, 1, 2, 4},
                    {b.n, b.c * b.size * b.size, rows, columns});
}

absl::Status NormalizeExpand(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, node.ConstantInts(1));
  ASSIGN_OR_RETURN(const Shape target, node.MakeShape(std::move(dims)));
  absl::StatusOr<Shape> shape = BroadcastShape(node.shape(0), target);
  if (!shape.ok()) {
    return node.Invalid(std::string(shape.status().message()));
  }
  return *shape == node.shape(0) ? node.Alias() : node.Emit(Op::kExpand, {}, *std::move(shape), 1);
}

// Each repeated axis becomes two, of which the first is expanded.
absl::Status NormalizeTile(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(const std::vector<int64_t> repeats, node.ConstantInts(1));
  if (repeats.size() != x.rank()) {
    return node.Invalid(std::to_string(repeats.size()) + " repeats do not fit an input of shape " + x.ToString());
  }
  std::vector<int64_t> split;
  std::vector<int64_t> expanded;
  std::vector<int64_t> result;
  for (size_t i = 0; i < x.rank(); ++i) {
    const absl::StatusOr<int64_t> extent = CheckedMul(x[i], repeats[i]);
    if (!extent.ok() || repeats[i] < 0) {
      return node.Invalid(std::to_string(repeats[i]) + " repeats are out of range");
    }
    if (repeats[i] != 1) {
      split.push_back(1);
      expanded.push_back(repeats[i]);
    }
    split.push_back(x[i]);
    expanded.push_back(x[i]);
    result.push_back(*extent);
  }
  if (split.size() == x.rank()) {
    return node.Alias();
  }
  ASSIGN_OR_RETURN(const Shape split_shape, node.MakeShape(std::move(split)));
  ASSIGN_OR_RETURN(const Shape expanded_shape, node.MakeShape(std::move(expanded)));
  ASSIGN_OR_RETURN(const Shape shape, node.MakeShape(std::move(result)));
  ASSIGN_OR_RETURN(KnownValue * parts, node.EmitStep("parts", Op::kReshape, {}, split_shape, {node.inputs()[0]}));
  ASSIGN_OR_RETURN(KnownValue * copies, node.EmitStep("copies", Op::kExpand, {}, expanded_shape, {parts}));
  return node.EmitLast(Op::kReshape, {}, shape, {copies});
}

}  // namespace shoji::graph::onnx_io
