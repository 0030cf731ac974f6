// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/input_shape.h"

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

using Dimension = ::onnx::TensorShapeProto::Dimension;

// Some exporters write a dynamic extent as -1, that of a batch also as 0.
bool IsDynamic(const Dimension& dim) { return !dim.has_dim_value() || dim.dim_value() < 1; }

const ::onnx::TensorShapeProto& ShapeOf(const ::onnx::ValueInfoProto& input) {
  return input.type().tensor_type().shape();
}

// The dynamic dimensions other than the batch.
std::vector<int> OpenDimensions(const ::onnx::ValueInfoProto& input) {
  std::vector<int> open;
  for (int i = 1; i < ShapeOf(input).dim_size(); ++i) {
    if (IsDynamic(ShapeOf(input).dim(i))) {
      open.push_back(i);
    }
  }
  return open;
}

// As the file has it: "[`batch`,3,`height`,`width`]".
std::string ShapeText(const ::onnx::TensorShapeProto& shape) {
  std::string out = "[";
  for (const Dimension& dim : shape.dim()) {
    out += out.size() == 1 ? "" : ",";
    out += !IsDynamic(dim) ? std::to_string(dim.dim_value()) : dim.has_dim_param() ? Quoted(dim.dim_param()) : "?";
  }
  return out + "]";
}

std::string Label(const ::onnx::ValueInfoProto& input) {
  return "input " + Quoted(input.name()) + " is " + ShapeText(ShapeOf(input));
}

absl::Status RefuseOpen(const ::onnx::ValueInfoProto& input, const std::vector<int>& open,
                        const std::string& what_to_do) {
  std::string dims;
  for (size_t i = 0; i < open.size(); ++i) {
    dims += (i == 0 ? "" : i + 1 < open.size() ? ", " : " and ") + std::to_string(open[i]);
  }
  return absl::UnimplementedError(Label(input) + ": " + (open.size() == 1 ? "dimension " : "dimensions ") + dims +
                                  (open.size() == 1 ? " is" : " are") +
                                  " dynamic, and only the first, the batch, may be: " + what_to_do);
}

absl::Status Bind(const StatedInputShape& stated, ::onnx::ValueInfoProto& input) {
  ::onnx::TensorShapeProto& shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
  const auto rank = static_cast<size_t>(shape.dim_size());
  const size_t num_stated = stated.shape.rank();
  // A shape that is stated without its batch begins at dimension 1.
  const size_t skipped = num_stated + 1 == rank ? 1 : 0;
  bool fits = num_stated + skipped == rank;
  for (size_t i = skipped; fits && i < rank; ++i) {
    Dimension& dim = *shape.mutable_dim(static_cast<int>(i));
    const int64_t extent = stated.shape[i - skipped];
    // What stays dynamic in the first dimension is a batch of 1.
    fits = i == 0 && IsDynamic(dim) ? extent == 1 : extent > 0 && (IsDynamic(dim) || dim.dim_value() == extent);
  }
  if (!fits) {
    return absl::InvalidArgumentError(Label(input) + ", but " + stated.by + " " + stated.shape.ToString());
  }
  for (size_t i = 1; i < rank; ++i) {
    shape.mutable_dim(static_cast<int>(i))->set_dim_value(stated.shape[i - skipped]);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BindInputShape(const ImportOptions& options, ::onnx::ModelProto& model) {
  std::unordered_set<std::string> constants;
  for (const ::onnx::TensorProto& initializer : model.graph().initializer()) {
    constants.insert(initializer.name());
  }
  std::vector<::onnx::ValueInfoProto*> inputs;
  for (::onnx::ValueInfoProto& input : *model.mutable_graph()->mutable_input()) {
    if (!constants.contains(input.name())) {
      inputs.push_back(&input);
    }
  }
  if (const auto& stated = options.input_shape; stated.has_value()) {
    return inputs.size() == 1
               ? Bind(*stated, *inputs[0])
               : absl::InvalidArgumentError("the model takes " + std::to_string(inputs.size()) + " inputs, but " +
                                            stated->by + " " + stated->shape.ToString() + ", the shape of one");
  }
  for (const ::onnx::ValueInfoProto* input : inputs) {
    if (const std::vector<int> open = OpenDimensions(*input); !open.empty()) {
      return inputs.size() == 1
                 ? RefuseOpen(*input, open, options.how_to_fix_shape)
                 : RefuseOpen(*input, open, "the model has several inputs: export it with fixed input shapes");
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::graph::onnx_io
