// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/evaluate.h"

#include <cstring>

namespace shoji::graph::onnx_io {
namespace {

// Row-major strides of `shape`, in elements. Those of a shape without elements are not needed, and would overflow.
std::vector<int64_t> StridesOf(const Shape& shape) {
  std::vector<int64_t> strides(shape.rank(), 1);
  if (shape.num_elements() == 0) {
    return strides;
  }
  for (size_t i = shape.rank(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

// Calls visit(offset) for each position of `shape` in row-major order, where `offset` is `base` plus the sum of
// index times `strides` over the axes.
template <typename Visit>
void ForEachOffset(const Shape& shape, int64_t base, const std::vector<int64_t>& strides, Visit visit) {
  if (shape.num_elements() == 0) {
    return;
  }
  std::vector<int64_t> index(shape.rank(), 0);
  int64_t offset = base;
  for (size_t n = 0; n < shape.num_elements(); ++n) {
    visit(offset);
    for (size_t axis = shape.rank(); axis-- > 0;) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) {
        break;
      }
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// Copies the elements of `in` at base + index * strides, for every index of `shape`.
Tensor Pick(const Tensor& in, int64_t base, const std::vector<int64_t>& strides, const Shape& shape) {
  Tensor out(in.type(), shape);
  const size_t size = SizeOf(in.type());
  const uint8_t* from = in.bytes().data();
  uint8_t* to = out.mutable_bytes().data();
  ForEachOffset(shape, base, strides, [&](int64_t offset) {
    std::memcpy(to, from + static_cast<size_t>(offset) * size, size);
    to += size;
  });
  return out;
}

Tensor EvaluateTranspose(const Tensor& in, const TransposeAttributes& attributes, const Shape& shape) {
  const std::vector<int64_t> in_strides = StridesOf(in.shape());
  std::vector<int64_t> strides;
  for (const int64_t axis : attributes.permutation) {
    strides.push_back(in_strides[static_cast<size_t>(axis)]);
  }
  return Pick(in, 0, strides, shape);
}

Tensor EvaluateSlice(const Tensor& in, const SliceAttributes& attributes, const Shape& shape) {
  std::vector<int64_t> strides = StridesOf(in.shape());
  int64_t base = 0;
  for (size_t axis = 0; axis < strides.size(); ++axis) {
    base += attributes.starts[axis] * strides[axis];
    // A single position takes no step, whose size may be anything.
    strides[axis] = shape[axis] <= 1 ? 0 : strides[axis] * attributes.steps[axis];
  }
  return Pick(in, base, strides, shape);
}

Tensor EvaluateConcat(const std::vector<const Tensor*>& inputs, size_t axis, const Shape& shape) {
  Tensor out(inputs[0]->type(), shape);
  size_t outer = 1;
  for (size_t i = 0; i < axis; ++i) {
    outer *= static_cast<size_t>(shape[i]);
  }
  uint8_t* to = out.mutable_bytes().data();
  for (size_t o = 0; o < outer; ++o) {
    for (const Tensor* input : inputs) {
      const size_t row = input->size_bytes() / outer;
      if (row != 0) {
        std::memcpy(to, input->bytes().data() + o * row, row);
        to += row;
      }
    }
  }
  return out;
}

// Strides that repeat `in` over the broadcast `shape`.
std::vector<int64_t> BroadcastStrides(const Shape& in, const Shape& shape) {
  const std::vector<int64_t> in_strides = StridesOf(in);
  std::vector<int64_t> strides(shape.rank(), 0);
  const size_t lead = shape.rank() - in.rank();
  for (size_t i = 0; i < in.rank(); ++i) {
    strides[lead + i] = in[i] == 1 ? 0 : in_strides[i];
  }
  return strides;
}

}  // namespace

bool CanEvaluate(Op op, DataType type) {
  switch (op) {
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kConcat:
    case Op::kExpand:
    case Op::kGather:
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
    case Op::kMax:
    case Op::kMin:
      return true;
    default:
      return type == DataType::kFloat32 && (op == Op::kPow || IsFunction(op));
  }
}

Tensor BroadcastTo(const Tensor& in, const Shape& shape) {
  return Pick(in, 0, BroadcastStrides(in.shape(), shape), shape);
}

absl::StatusOr<Tensor> Evaluate(Op op, const Attributes& attributes, const std::vector<const Tensor*>& inputs,
                                const Shape& shape) {
  for (const Tensor* input : inputs) {
    if (input->type() != inputs[0]->type()) {
      return absl::InvalidArgumentError("its inputs have different types");
    }
  }
  switch (op) {
    case Op::kReshape: {
      Tensor out = inputs[0]->Clone();
      out.Reshape(shape);
      return out;
    }
    case Op::kTranspose:
      return EvaluateTranspose(*inputs[0], std::get<TransposeAttributes>(attributes), shape);
    case Op::kSlice:
      return EvaluateSlice(*inputs[0], std::get<SliceAttributes>(attributes), shape);
    case Op::kConcat:
      return EvaluateConcat(inputs, static_cast<size_t>(std::get<AxisAttributes>(attributes).axis), shape);
    case Op::kExpand:
      return BroadcastTo(*inputs[0], shape);
    case Op::kGather: {
      const auto& gather = std::get<GatherAttributes>(attributes);
      return Gather(*inputs[0], gather.indices, static_cast<size_t>(gather.axis), shape);
    }
    default:
      return IsFunction(op) ? EvaluateFunction(op, attributes, *inputs[0])
                            : EvaluateArithmetic(op, *inputs[0], *inputs[1], shape);
  }
}

Tensor Gather(const Tensor& data, const std::vector<int64_t>& indices, size_t axis, const Shape& shape) {
  Tensor out(data.type(), shape);
  size_t outer = 1;
  for (size_t i = 0; i < axis; ++i) {
    outer *= static_cast<size_t>(data.shape()[i]);
  }
  size_t row = SizeOf(data.type());
  for (size_t i = axis + 1; i < data.shape().rank(); ++i) {
    row *= static_cast<size_t>(data.shape()[i]);
  }
  if (out.num_elements() == 0) {
    return out;
  }
  const auto along = static_cast<size_t>(data.shape()[axis]);
  uint8_t* to = out.mutable_bytes().data();
  for (size_t o = 0; o < outer; ++o) {
    for (const int64_t index : indices) {
      std::memcpy(to, data.bytes().data() + (o * along + static_cast<size_t>(index)) * row, row);
      to += row;
    }
  }
  return out;
}

}  // namespace shoji::graph::onnx_io
