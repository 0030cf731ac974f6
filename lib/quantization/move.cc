// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/move.h"

#include <array>
#include <variant>

#include "lib/quantization/byte_form.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using Coordinates = std::array<int64_t, Shape::kMaxRank>;

// The row-major index in the source of the result's element at some coordinates: an affine function, for coordinates
// within bounds.
struct SourceMap {
  int64_t offset = 0;
  Coordinates strides = {};
  Coordinates begin = {};
  Coordinates end = {};
};

Coordinates RowMajorStrides(const Shape& shape) {
  Coordinates strides = {};
  int64_t stride = 1;
  for (size_t i = shape.rank(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

SourceMap Everywhere(const Shape& y) {
  SourceMap map;
  for (size_t i = 0; i < y.rank(); ++i) {
    map.end[i] = y[i];
  }
  return map;
}

// Of input `index` of `node`, which is of shape `x` and for Concat lies at `position`.
SourceMap SourceMapOf(const Node& node, const Shape& x, const Shape& y, int64_t position) {
  const Coordinates strides = RowMajorStrides(x);
  SourceMap map = Everywhere(y);
  if (const auto* transpose = std::get_if<graph::TransposeAttributes>(&node.attributes)) {
    for (size_t i = 0; i < y.rank(); ++i) {
      map.strides[i] = strides[static_cast<size_t>(transpose->permutation[i])];
    }
  } else if (const auto* slice = std::get_if<graph::SliceAttributes>(&node.attributes)) {
    for (size_t i = 0; i < y.rank(); ++i) {
      map.strides[i] = strides[i] * slice->steps[i];
      map.offset += strides[i] * slice->starts[i];
    }
  } else if (const auto* pad = std::get_if<graph::PadAttributes>(&node.attributes)) {
    for (size_t i = 0; i < y.rank(); ++i) {
      map.strides[i] = strides[i];
      map.offset -= strides[i] * pad->begin[i];
      map.begin[i] = std::max<int64_t>(pad->begin[i], 0);
      map.end[i] = std::min(pad->begin[i] + x[i], y[i]);
    }
  } else if (node.op == Op::kConcat) {
    const auto axis = static_cast<size_t>(std::get<graph::AxisAttributes>(node.attributes).axis);
    map.strides = strides;
    map.offset = -strides[axis] * position;
    map.begin[axis] = position;
    map.end[axis] = position + x[axis];
  } else {  // Reshape: the same index
    map.strides = RowMajorStrides(y);
  }
  return map;
}

// The coordinates of an element from its pixel and channel in the byte form of `shape`.
Coordinates CoordinatesOf(const Shape& shape, const ByteTensor& form, int64_t pixel, int64_t channel) {
  Coordinates at = {};
  if (IsImage(shape)) {
    at[1] = channel;
    at[2] = pixel / form.width;
    at[3] = pixel % form.width;
    return at;
  }
  int64_t rest = pixel;
  for (size_t i = shape.rank(); i-- > 0;) {
    if (i + 1 == shape.rank()) {
      at[i] = channel;
      continue;
    }
    at[i] = rest % shape[i];
    rest /= shape[i];
  }
  return at;
}

// Where the element of row-major index `index` lies in the byte form of `shape`.
size_t ByteOffset(const Shape& shape, const ByteTensor& form, int64_t index) {
  const auto padded = static_cast<int64_t>(kernels::ring::PaddedChannels(form.channels));
  if (IsImage(shape)) {
    const int64_t plane = form.height * form.width;
    return static_cast<size_t>(index % plane * padded + index / plane);
  }
  return static_cast<size_t>(index / form.channels * padded + index % form.channels);
}

void Append(MovePart& part, size_t from, size_t to) {
  if (!part.empty() && part.back().from + part.back().size == from && part.back().to + part.back().size == to) {
    ++part.back().size;
    return;
  }
  part.push_back({from, to, 1});
}

MovePart PartOf(const SourceMap& map, const Shape& x, const Shape& y) {
  const ByteTensor source = FormOf(x, {});
  const ByteTensor result = FormOf(y, {});
  const auto padded = static_cast<int64_t>(kernels::ring::PaddedChannels(result.channels));
  MovePart part;
  for (int64_t pixel = 0; pixel < result.height * result.width; ++pixel) {
    for (int64_t channel = 0; channel < result.channels; ++channel) {
      const Coordinates at = CoordinatesOf(y, result, pixel, channel);
      int64_t index = map.offset;
      bool inside = true;
      for (size_t i = 0; i < y.rank(); ++i) {
        inside = inside && at[i] >= map.begin[i] && at[i] < map.end[i];
        index += at[i] * map.strides[i];
      }
      if (inside) {
        Append(part, ByteOffset(x, source, index), static_cast<size_t>(pixel * padded + channel));
      }
    }
  }
  return part;
}

}  // namespace

std::vector<MovePart> MovePartsOf(const Graph& graph, const Node& node) {
  const Shape& y = graph.values[node.outputs[0]].shape;
  std::vector<MovePart> parts;
  int64_t position = 0;
  for (const graph::ValueId input : node.inputs) {
    const Shape& x = graph.values[input].shape;
    parts.push_back(PartOf(SourceMapOf(node, x, y, position), x, y));
    if (node.op == Op::kConcat) {
      position += x[static_cast<size_t>(std::get<graph::AxisAttributes>(node.attributes).axis)];
    }
  }
  return parts;
}

}  // namespace shoji::quantization
