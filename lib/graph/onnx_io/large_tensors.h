// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the large tensors of an ONNX file hold, kept apart from their protos: read from the file straight to the memory
// where a Tensor keeps it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "lib/base/check.h"
#include "lib/tensor/tensor.h"

namespace onnx {
class TensorProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// The field of a TensorProto that holds its values.
enum class DataForm : uint8_t { kRaw, kFloats, kInt32s, kInt64s, kDoubles };

struct LargeData {
  DataForm form = DataForm::kRaw;
  Tensor bytes;  // uint8, one dimension: what the field holds, numbers of kInt32s and kInt64s as varints
};

// By the address of the proto, which must stay where it is. Thread-compatible.
class LargeTensors {
 public:
  LargeTensors() = default;
  LargeTensors(LargeTensors&&) = default;
  LargeTensors& operator=(LargeTensors&&) = default;

  // Null when `proto` holds its data itself.
  const LargeData* Find(const ::onnx::TensorProto& proto) const {
    const auto found = data_.find(&proto);
    return found == data_.end() ? nullptr : &found->second;
  }
  void Put(const ::onnx::TensorProto& proto, LargeData data) { data_.insert_or_assign(&proto, std::move(data)); }
  // For a proto that goes.
  void Forget(const ::onnx::TensorProto& proto) { data_.erase(&proto); }
  // Once for each proto that has one.
  LargeData Take(const ::onnx::TensorProto& proto) {
    const auto found = data_.find(&proto);
    SHOJI_CHECK(found != data_.end() && !found->second.bytes.bytes().empty());
    return std::move(found->second);
  }

 private:
  std::unordered_map<const ::onnx::TensorProto*, LargeData> data_;
};

}  // namespace shoji::graph::onnx_io
