// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/external_weights.h"

#include <onnx/onnx_pb.h>

#include <string>

#include "lib/base/check.h"

namespace shoji::testing {
namespace {

std::string RawDataOf(const ::onnx::TensorProto& tensor) {
  if (tensor.has_raw_data()) {
    return tensor.raw_data();
  }
  const auto raw = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(values.data()),
                       static_cast<size_t>(values.size()) * sizeof(*values.data()));
  };
  return tensor.float_data_size() > 0 ? raw(tensor.float_data()) : raw(tensor.int64_data());
}

}  // namespace

ExternalModel MoveWeightsOut(ByteSpan onnx, const std::string& name) {
  ::onnx::ModelProto model;
  SHOJI_CHECK(model.ParseFromArray(onnx.data(), static_cast<int>(onnx.size())));
  ExternalModel out;
  for (::onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
    const std::string data = RawDataOf(tensor);
    tensor.clear_raw_data();
    tensor.clear_float_data();
    tensor.clear_int64_data();
    tensor.set_data_location(::onnx::TensorProto::EXTERNAL);
    const auto add = [&tensor](const std::string& key, const std::string& value) {
      auto* entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", name);
    add("offset", std::to_string(out.weights.size()));
    add("length", std::to_string(data.size()));
    Append(out.weights, data);
  }
  out.onnx = ToBytes(model.SerializeAsString());
  return out;
}

}  // namespace shoji::testing
